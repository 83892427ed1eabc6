"""RUN/dream.html: one page that dreams in a browser, with V's decoder, M, C and the starts of a run.

The page holds its weights in half precision and the JavaScript of `page/`, and needs no network. Chapter, "Learning
Inside a Dream". The authors' interactive article showed their own agents in the same way.
"""

import base64
import json
import re
from pathlib import Path

import keras
import numpy as np

from models.controller import Controller
from models.mdn_rnn import MDNRNN
from models.vae import VAE
from utils.dreams.noise import InitialLatents
from utils.environments.spec import EnvironmentSpec
from utils.figures.inputs import FigureInputs
from utils.figures.vision import telling_dimensions
from utils.system.errors import UsageError
from utils.system.files import atomic_write

PAGE = Path(__file__).parent / "page"
MODULES = ("tensors.mjs", "world_model.mjs", "page.mjs")
NUM_STARTS = 200
NUM_FRAMES = 100
LARGEST = 16_000_000  # bytes of a page


def page_weights(vae: VAE, rnn: MDNRNN, controller: Controller, parameters: np.ndarray) -> dict[str, np.ndarray]:
    """V's decoder, M and C by the names of `page/world_model.mjs`, in half precision.

    parameters: C's, float32 (num_parameters,).
    """
    dense = vae.decode.get_layer("decoder_dense")
    arrays = {"decoder_dense_kernel": dense.kernel, "decoder_dense_bias": dense.bias}
    convolutions = [layer for layer in vae.decode.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    for index, layer in enumerate(convolutions):
        # Keras's order is (height, width, filters, channels).
        arrays[f"decoder_conv_{index}_kernel"] = np.transpose(np.asarray(layer.kernel), (3, 0, 1, 2))
        arrays[f"decoder_conv_{index}_bias"] = layer.bias
    cell = rnn.lstm.cell
    arrays |= {
        "lstm_kernel": cell.kernel, "lstm_recurrent_kernel": cell.recurrent_kernel, "lstm_bias": cell.bias,
        "mdn_kernel": rnn.mdn.kernel, "mdn_bias": rnn.mdn.bias,
    }  # fmt: skip
    # From the actions back: a C without hidden units has one layer.
    for name, (weights, biases) in zip(("controller", "controller_hidden"), reversed(controller.layers(parameters))):
        arrays[f"{name}_kernel"] = weights
        arrays[f"{name}_bias"] = biases if controller.bias else np.zeros(weights.shape[1])
    return {name: np.asarray(array).astype(np.float16) for name, array in arrays.items()}


def save_dream_page(inputs: FigureInputs, path: Path) -> None:
    """Writes the page. Raises `UsageError` if V, M or C is missing, or too large for a page."""
    agent, (parameters, which) = inputs.agent, inputs.controller
    config, spec, controller = agent.config, agent.spec, agent.controller
    starts = InitialLatents(inputs.run, config.z_size)
    weights = page_weights(agent.vae, agent.rnn, controller, parameters)
    arrays = {
        "starts_mu": _some(starts.mu, NUM_STARTS), "starts_logvar": _some(starts.logvar, NUM_STARTS),
        "frames_mu": _some(inputs.seen_latents[0], NUM_FRAMES),
    }  # fmt: skip
    weights |= {name: array.astype(np.float16) for name, array in arrays.items()}
    header = {
        "title": f"The dream of {inputs.run.path.name} ({which})",
        "arrays": {name: array.shape for name, array in weights.items()},
        "zSize": config.z_size, "numMixture": config.rnn_num_mixture, "predicts": spec.predicts,
        "end": config.controller_dream_end, "rewards": config.dream_rewards,
        "inputs": list(controller.inputs), "activations": controller.activations, "actionNames": spec.action_names,
        "lowestAction": controller.lowest_action.tolist(), "keyboard": _keyboard(spec),
        "temperature": config.controller_temperature, "dropout": config.controller_dream_dropout,
        "maxSteps": spec.max_steps, "stepsPerSecond": spec.steps_per_second,
        "telling": inputs.telling.tolist(), "numTelling": len(telling_dimensions(inputs.kl)),
    }  # fmt: skip
    page = _page(header, weights)
    if len(page) > LARGEST:
        raise UsageError(f"dream_page: V, M and C make a page of {len(page) / 1e6:.0f} MB; at most 16 MB are sensible")
    with atomic_write(path) as temporary:
        temporary.write_bytes(page)


def _some(array: np.ndarray, count: int) -> np.ndarray:
    """At most `count` rows, evenly spread."""
    return array[np.linspace(0, len(array) - 1, min(len(array), count)).round().astype(int)]


def _keyboard(spec: EnvironmentSpec) -> dict[str, list[float]]:
    """What each arrow key adds to a person's action."""
    keys = ("left", "right", "up", "down")
    return {key: spec.keyboard_action(*(key == other for other in keys)).tolist() for key in keys}


def _page(header: dict, weights: dict[str, np.ndarray]) -> bytes:
    """The page as UTF-8: the parts of `page/` and the weights in one file."""
    numbers = b"".join(np.ascontiguousarray(array).tobytes() for array in weights.values())
    parts = {
        "TITLE": "A dream",
        "STYLE": (PAGE / "page.css").read_text(),
        "HEADER": json.dumps(header).replace("</", "<\\/"),
        "WEIGHTS": base64.b64encode(numbers).decode(),
        "SCRIPT": "\n".join(_inlined((PAGE / name).read_text()) for name in MODULES),
    }
    return re.sub("|".join(parts), lambda part: parts[part[0]], (PAGE / "page.html").read_text()).encode()


def _inlined(module: str) -> str:
    """A module without its imports and exports: a page that is opened from a disk cannot import files."""
    without_imports = re.sub(r"^import [^;]*;\n", "", module, flags=re.MULTILINE)
    return re.sub(r"^export ", "", without_imports, flags=re.MULTILINE)
