"""RUN/dream.html: one page that dreams in a browser, with V's decoder, M, C and the starts of a run.

The page holds its weights in half precision and the JavaScript of `page/`, and needs no network. Chapter, "Learning
Inside a Dream"; the authors' interactive article showed their own agents in the same way.
"""

import base64
import json
import re
from pathlib import Path

import keras
import numpy as np

from models.controller import Controller
from models.mdn_rnn import MDNRNN
from models.vae import VAE, kl_per_dimension
from utils.environments.spec import EnvironmentSpec
from utils.system.files import atomic_write

PAGE = Path(__file__).parent / "page"
MODULES = ("tensors.mjs", "world_model.mjs", "page.mjs")
NUM_STARTS = 200


def page_weights(
    vae: VAE, rnn: MDNRNN, controller: Controller, parameters: np.ndarray, starts: tuple[np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """All arrays of the page by their names in `page/world_model.mjs`, in half precision.

    parameters: C's, float32 (num_parameters,).
    starts: mu and logvar of first frames, float32 (n, z_size) each.
    """
    layers = {layer.name: layer for layer in vae.decode.layers}
    arrays = {"decoder_dense_kernel": layers["decoder_dense"].kernel, "decoder_dense_bias": layers["decoder_dense"].bias}
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
    weights, biases = np.split(parameters, [controller.num_features * controller.num_actions])
    arrays["controller_kernel"] = weights.reshape(controller.num_features, controller.num_actions)
    arrays["controller_bias"] = biases if controller.bias else np.zeros(controller.num_actions)
    for name, array in zip(("starts_mu", "starts_logvar"), starts):
        arrays[name] = array[np.linspace(0, len(array) - 1, min(len(array), NUM_STARTS)).round().astype(int)]
    return {name: np.asarray(array).astype(np.float16) for name, array in arrays.items()}
