"""V, M and C as ONNX graphs, for programs in other languages. docs/onnx.md shows how they make a loop.

Built node by node from Keras's weights: Keras's own export needs a converter that is no longer kept.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.controller import ACTIVATIONS, Controller
from models.mdn_rnn import LOGVAR_LIMIT, MDNRNN
from models.vae import IMAGE_SHAPE, VAE
from utils.agent.checkpoints import load_rnn, load_vae
from utils.agent.controllers import load_checked_controller
from utils.environments import get_spec
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.files import write_json

OPSET, IR_VERSION = 17, 8  # of 2022: runtimes older than that are rare
PREDICTED = {"reward": "reward", "done": "done_logit"}  # M's number, by what it predicts
TOLERANCE = 1e-4  # of `check`, beside the largest number of an output
NUM_STARTS = 100  # first frames in agent.json


def save_onnx(run: RunFolder, folder: Path, progress: Callable[[str], None]) -> None:
    """Writes V, M and C of a run into `folder`, each checked against TensorFlow in float32, and agent.json.

    progress: is given a line about each graph.
    Raises `UsageError` if a part is missing, if ONNX is not installed, or if a graph differs.
    """
    _require_packages()
    config = run.read_config().model_copy(update={"vae_precision": "float32", "rnn_precision": "float32"})
    parameters, which = load_checked_controller(config, run)
    run.require(run.starts, Step.SERIES, "dreams start from the first frames of the rollouts")
    controller, spec = config.controller, get_spec(config.env_name)
    with tf.device("CPU"):  # float32 of a GPU is TF32, which is coarser
        vae, rnn = load_vae(config, run), load_rnn(config, run)
        _save_graphs(vae, rnn, controller, parameters, spec.predicts, folder, progress)
    with np.load(run.starts, allow_pickle=False) as file:
        starts = {name: file[name][:NUM_STARTS].astype(float).round(5).tolist() for name in ("mu", "logvar")}
    write_json(
        folder / "agent.json",
        {
            "agent": f"{run.path.name}, {which}", "environment": config.env_name, "z_size": config.z_size,
            "rnn_size": config.rnn_size, "num_mixture": config.rnn_num_mixture, "predicts": spec.predicts,
            "action_names": spec.action_names, "lowest_action": controller.lowest_action.tolist(),
            "controller_inputs": list(controller.inputs), "controller_latent": config.controller_latent,
            "temperature": config.controller_temperature, "dream_dropout": config.controller_dream_dropout,
            "dream_end": config.controller_dream_end, "dream_rewards": config.dream_rewards,
            "max_steps": spec.max_steps, "steps_per_second": spec.steps_per_second, "starts": starts,
        },
    )  # fmt: skip


def _save_graphs(
    vae: VAE, rnn: MDNRNN, controller: Controller, parameters: np.ndarray, predicts: str, folder: Path,
    progress: Callable[[str], None],
) -> None:  # fmt: skip
    """Writes each graph and compares it with TensorFlow on random inputs."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal((3, *shape), np.float32)

    def checked(name: str, inputs: dict[str, np.ndarray], expected: dict[str, Any]) -> None:
        path = folder / f"{name}.onnx"
        arrays = {output: np.asarray(array) for output, array in expected.items()}
        difference = check(path, inputs, arrays)
        progress(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, within {difference:.1g} of TensorFlow")

    save_encoder(vae, folder / "encode.onnx")
    image = rng.random((3, *IMAGE_SHAPE), np.float32)
    checked("encode", {"image": image}, dict(zip(("mu", "logvar"), vae.encode_mu_logvar(image, training=False))))

    save_decoder(vae, folder / "decode.onnx")
    z = normal(rnn.z_size)
    checked("decode", {"z": z}, {"image": vae.decode(z, training=False)})

    save_memory(rnn, predicts, folder / "memory.onnx")
    action, before, h, c = normal(rnn.action_size), normal(1), np.tanh(normal(rnn.rnn_size)), normal(rnn.rnn_size)
    next_h, next_c = rnn.step(rnn.inputs(z, action, before[:, 0]), h, c)
    mixture, predicted = rnn.split(rnn.mdn(next_h))
    checked(
        "memory", {"z": z, "action": action, f"{predicts}_before": before, "h": h, "c": c},
        {"next_h": next_h, "next_c": next_c, **mixture._asdict(), PREDICTED[predicts]: predicted[:, None]},
    )  # fmt: skip

    save_controller(controller, parameters, folder / "controller.onnx")
    read = {name: array for name, array in {"z": z, "h": h, "c": c}.items() if name in controller.inputs}
    action = controller.act(parameters[None], controller.features(**read)[None])[0]
    checked("controller", read, {"action": action})


def _require_packages() -> None:
    """Raises `UsageError` if ONNX or its runtime is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        raise UsageError("ONNX needs two more packages: pip install -c constraints.txt -e '.[onnx]'") from None


class Graph:
    """A graph under construction. All numbers are float32, and the first axis of inputs and outputs is the batch."""

    def __init__(self, name: str):
        import onnx

        self._helper, self._name = onnx.helper, name
        self._inputs: list[Any] = []
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def input(self, name: str, *shape: int) -> str:
        """Declares an input. shape: without the batch. Returns its name."""
        self._inputs.append(self._helper.make_tensor_value_info(name, 1, ["batch", *shape]))
        return name

    def constant(self, array: Any, dtype: Any = np.float32) -> str:
        """Adds an array of any shape. Returns its name."""
        import onnx

        name = f"constant_{len(self._constants)}"
        self._constants.append(onnx.numpy_helper.from_array(np.asarray(array, dtype, order="C"), name))
        return name

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """An operator of ONNX. The name of its output, or a list of names."""
        names = [f"{kind.lower()}_{len(self._nodes)}_{index}" for index in range(outputs)]
        self._nodes.append(self._helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def dense(self, x: str, layer: keras.layers.Dense) -> str:
        """x: (batch, inputs). Returns the name of the output, (batch, outputs)."""
        return self.node("Gemm", x, self.constant(layer.kernel), self.constant(layer.bias))

    def save(self, path: Path, outputs: dict[str, tuple[str, tuple[int, ...]]]) -> None:
        """outputs: by name, the node's output and its shape without the batch."""
        import onnx

        declared = []
        for name, (made, shape) in outputs.items():
            self._nodes.append(self._helper.make_node("Identity", [made], [name]))
            declared.append(self._helper.make_tensor_value_info(name, 1, ["batch", *shape]))
        graph = self._helper.make_graph(self._nodes, self._name, self._inputs, declared, self._constants)
        model = self._helper.make_model(graph, opset_imports=[self._helper.make_opsetid("", OPSET)])
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)


def save_encoder(vae: VAE, path: Path) -> None:
    """image, (batch, 64, 64, 3) in [0, 1], to mu and logvar, (batch, z_size) each."""
    graph, encoder = Graph("encode"), vae.encode_mu_logvar
    x = graph.node("Transpose", graph.input("image", *IMAGE_SHAPE), perm=[0, 3, 1, 2])
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel = graph.constant(np.transpose(layer.kernel, (3, 2, 0, 1)))
            x = graph.node("Conv", x, kernel, graph.constant(layer.bias), strides=list(layer.strides))
            x = graph.node("Relu", x)
    x = graph.node("Flatten", graph.node("Transpose", x, perm=[0, 2, 3, 1]))
    size = encoder.output_shape[0][-1]
    graph.save(path, {name: (graph.dense(x, encoder.get_layer(name)), (size,)) for name in ("mu", "logvar")})


def save_decoder(vae: VAE, path: Path) -> None:
    """z, (batch, z_size), to image, (batch, 64, 64, 3) in [0, 1]."""
    graph, decoder = Graph("decode"), vae.decode
    x = graph.dense(graph.input("z", decoder.input_shape[-1]), decoder.get_layer("decoder_dense"))
    x = graph.node("Reshape", x, graph.constant([0, -1, 1, 1], np.int64))
    for layer in decoder.layers:
        if isinstance(layer, keras.layers.Conv2DTranspose):
            kernel = graph.constant(np.transpose(layer.kernel, (3, 2, 0, 1)))
            x = graph.node("ConvTranspose", x, kernel, graph.constant(layer.bias), strides=list(layer.strides))
            if layer.activation is keras.activations.relu:
                x = graph.node("Relu", x)
    x = graph.node("Transpose", graph.node("Sigmoid", x), perm=[0, 2, 3, 1])
    graph.save(path, {"image": (x, IMAGE_SHAPE)})


def save_memory(rnn: MDNRNN, predicts: str, path: Path) -> None:
    """A step of M: z, action, `predicts`_before, h and c to the next h and c, the mixture of the next z, and a number.

    z (batch, z_size), action (batch, action_size), reward_before or done_before (batch, 1), h and c (batch, rnn_size).
    logpi (normalised), mu and logvar, (batch, z_size, num_mixture). reward or done_logit, (batch, 1).
    """
    graph, cell, mixtures = Graph("memory"), rnn.lstm.cell, (rnn.z_size, rnn.num_mixture)
    z, action = graph.input("z", rnn.z_size), graph.input("action", rnn.action_size)
    before = graph.input(f"{predicts}_before", 1)
    h, c = graph.input("h", rnn.rnn_size), graph.input("c", rnn.rnn_size)

    read = graph.node("Concat", z, action, before, axis=1)
    gates = graph.node("Gemm", read, graph.constant(cell.kernel), graph.constant(cell.bias))
    gates = graph.node("Add", gates, graph.node("MatMul", h, graph.constant(cell.recurrent_kernel)))
    i, f, g, o = graph.node("Split", gates, outputs=4, axis=1)
    i, f, o = (graph.node("Sigmoid", gate) for gate in (i, f, o))
    new = graph.node("Mul", i, graph.node("Tanh", g))
    c = graph.node("Add", graph.node("Mul", f, c), new)
    h = graph.node("Mul", o, graph.node("Tanh", c))

    outputs = graph.dense(h, rnn.mdn)
    sizes = graph.constant([rnn.output_size - 1, 1], np.int64)
    raw, predicted = graph.node("Split", outputs, sizes, outputs=2, axis=1)
    parts = graph.node("Split", raw, outputs=3, axis=1)
    logpi, mu, logvar = (graph.node("Reshape", x, graph.constant([0, *mixtures], np.int64)) for x in parts)
    logvar = graph.node("Clip", logvar, graph.constant(-LOGVAR_LIMIT), graph.constant(LOGVAR_LIMIT))
    logpi = graph.node("LogSoftmax", logpi, axis=-1)
    graph.save(path, {
        "next_h": (h, (rnn.rnn_size,)), "next_c": (c, (rnn.rnn_size,)), "logpi": (logpi, mixtures),
        "mu": (mu, mixtures), "logvar": (logvar, mixtures), PREDICTED[predicts]: (predicted, (1,)),
    })  # fmt: skip


def save_controller(controller: Controller, parameters: np.ndarray, path: Path) -> None:
    """z, h and c, as far as C reads them, (batch, size) each, to action, (batch, num_actions)."""
    graph = Graph("controller")
    action = graph.node("Concat", *(graph.input(name, size) for name, size in controller.inputs.items()), axis=1)
    for kernel, biases in controller.layers(parameters):
        bias = biases if controller.bias else np.zeros(kernel.shape[1])
        action = graph.node("Tanh", graph.node("Gemm", action, graph.constant(kernel), graph.constant(bias)))
    half = [name == "half_tanh" for name in controller.activations]
    action = graph.node("Mul", action, graph.constant(np.where(half, 0.5, 1.0)))
    action = graph.node("Add", action, graph.constant(np.where(half, 0.5, 0.0)))
    lowest = graph.constant([ACTIVATIONS[name] for name in controller.activations])
    graph.save(path, {"action": (graph.node("Max", action, lowest), (controller.num_actions,))})


def check(path: Path, inputs: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The largest difference between ONNX Runtime's outputs and TensorFlow's.

    Raises `UsageError` if it is above TOLERANCE of the largest number of an output.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    made = dict(zip(expected, session.run(list(expected), inputs)))
    largest = 0.0
    for name, array in expected.items():
        difference = float(np.abs(made[name] - array).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(array).max())):
            raise UsageError(f"{path}: {name} differs from TensorFlow's by {difference:.2g}; do not use it")
        largest = max(largest, difference)
    return largest
