"""V, M and C for other languages: a dream through ONNX Runtime alone is TensorFlow's."""

import json

import numpy as np
import pytest

from models.controller import Controller
from models.dream import DreamModel
from models.mdn_rnn import MDNRNN
from tests.helpers import ROOT, call_here
from utils.agent.agent import Agent
from utils.agent.controllers import load_controller
from utils.dreams.noise import DreamNoise
from utils.run.folder import RunFolder

TEMPERATURE = 0.9


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    pytest.importorskip("onnx", reason="an optional extra: pip install '.[onnx]'")
    pytest.importorskip("onnxruntime", reason="an optional extra: pip install '.[onnx]'")
    folder = tmp_path_factory.mktemp("onnx") / "carracing"
    done = call_here("utils.run.export", ROOT / "pretrained/carracing", "--onnx", folder)
    assert done.returncode == 0, done.stderr
    for name in "encode", "decode", "memory", "controller":
        assert f"{name}.onnx" in done.stdout
    again = call_here("utils.run.export", ROOT / "pretrained/carracing", "--onnx", folder)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    return folder


def test_a_dream_through_onnx_runtime_is_that_of_tensorflow(exported):
    import onnxruntime

    told = json.loads((exported / "agent.json").read_text())
    decode, memory, act = (
        onnxruntime.InferenceSession(exported / f"{name}.onnx") for name in ("decode", "memory", "controller")
    )
    run = RunFolder(ROOT / "pretrained/carracing")
    exact = {"vae_precision": "float32", "rnn_precision": "float32"}
    config = run.read_config().model_copy(update=exact)
    agent, (parameters, _) = Agent(config, run), load_controller(config, run)
    z = np.array(told["starts"]["mu"][:1], np.float32)
    h = c = np.zeros((1, told["rnn_size"]), np.float32)
    before = np.zeros((1, 1), np.float32)
    model, uniforms, normals = DreamModel(agent.rnn, "reward"), *DreamNoise(0).draw(30, told["z_size"])
    state = model.begin(z)
    for uniform, normal in zip(uniforms, normals):
        (action,) = act.run(["action"], {"z": z, "h": h})
        # As docs/onnx.md has it.
        names = ["next_h", "next_c", "logpi", "mu", "logvar", "reward"]
        step = {"z": z, "action": action, "reward_before": before, "h": h, "c": c}
        h, c, logpi, mu, logvar, before = memory.run(names, step)
        weights = np.exp(logpi / TEMPERATURE)
        sums = np.cumsum(weights, axis=-1)
        chosen = (uniform[..., None] * sums[..., -1:] >= sums[..., :-1]).sum(axis=-1)[..., None]
        mu, logvar = (np.take_along_axis(part, chosen, axis=-1)[..., 0] for part in (mu, logvar))
        z = (mu + np.exp(logvar / 2) * np.sqrt(TEMPERATURE) * normal).astype(np.float32)

        theirs = agent.controller.act(parameters[None], agent.controller.features(z=state.z, h=state.h)[None])[0]
        state, reward, _ = model.step(state, theirs, TEMPERATURE, uniform[None], normal[None])
        for ours, expected in ((action, theirs), (z, state.z), (h, state.h), (c, state.c), (before[:, 0], reward)):
            np.testing.assert_allclose(ours, expected, atol=1e-3)
    image = decode.run(["image"], {"z": z})[0]
    np.testing.assert_allclose(image, agent.vae.decode(state.z, training=False), atol=1e-3)


def test_a_memory_that_predicts_the_end_and_a_controller_of_c_without_bias(tmp_path):
    """As Doom's, untrained."""
    pytest.importorskip("onnx", reason="an optional extra: pip install '.[onnx]'")
    import onnx

    from utils.agent.onnx_files import check, save_controller, save_memory

    rng, rnn = np.random.default_rng(0), MDNRNN(6, 1, 12, 3, seed=0)
    z, action, h, c = (rng.normal(0, 1, (2, size)).astype(np.float32) for size in (6, 1, 12, 12))
    before = np.array([[0], [1]], np.float32)
    path = tmp_path / "memory.onnx"
    save_memory(rnn, "done", path)
    next_h, next_c = rnn.step(rnn.inputs(z, action, before[:, 0]), h, c)
    mixture, logit = rnn.split(rnn.mdn(next_h))
    expected = {"next_h": next_h, "next_c": next_c, **mixture._asdict(), "done_logit": logit[:, None]}
    read = {"z": z, "action": action, "done_before": before, "h": h, "c": c}
    assert check(path, read, {name: np.asarray(array) for name, array in expected.items()}) < 1e-5
    limits = [part for part in onnx.load(path).graph.initializer if part.name in clipped(onnx.load(path))]
    assert [list(part.dims) for part in limits] == [[], []]  # scalars, as the standard wants them

    for hidden in (0, 5):
        controller = Controller({"c": 12, "z": 6}, ("tanh",), bias=False, hidden=hidden)
        parameters = rng.normal(0, 1, controller.num_parameters).astype(np.float32)
        save_controller(controller, parameters, tmp_path / "controller.onnx")
        acted = controller.act(parameters[None], controller.features(z=z, c=c)[None])[0]
        assert check(tmp_path / "controller.onnx", {"z": z, "c": c}, {"action": np.asarray(acted)}) < 1e-5


def clipped(model) -> list[str]:
    """The names of the limits of the graph's only Clip."""
    (node,) = (node for node in model.graph.node if node.op_type == "Clip")
    return list(node.input[1:])


def test_a_graph_that_differs_is_refused(exported):
    from utils.agent.onnx_files import check
    from utils.system.errors import UsageError

    z = np.zeros((1, 32), np.float32)
    with pytest.raises(UsageError, match=r"image differs from TensorFlow's by 0\.\d+"):
        check(exported / "decode.onnx", {"z": z}, {"image": np.zeros((1, 64, 64, 3), np.float32)})
