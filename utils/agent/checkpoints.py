"""Trained V and M of a run, loaded from its folder."""

from pathlib import Path

import keras
import numpy as np

from models.dream import DreamModel
from models.mdn_rnn import MDNRNN
from models.vae import VAE, build_vae
from utils.environments import get_spec
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.errors import UsageError


def load_vae(config: Config, run: RunFolder) -> VAE:
    vae = new_vae(config)
    load_weights(vae.vae, run.vae_weights)
    return vae


def new_vae(config: Config) -> VAE:
    """An untrained V."""
    return build_vae(config.z_size, compute.precision(config.vae_precision), config.seed)


def load_rnn(config: Config, run: RunFolder) -> MDNRNN:
    rnn = build_rnn(config)
    load_weights(rnn, run.rnn_weights)
    return rnn


def build_rnn(config: Config) -> MDNRNN:
    """An untrained M."""
    action_size, precision = get_spec(config.env_name).action_size, compute.precision(config.rnn_precision)
    return MDNRNN(
        config.z_size, action_size, config.rnn_size, config.rnn_num_mixture, precision, config.seed, name="mdn_rnn"
    )


def dream_model(rnn: MDNRNN, config: Config) -> DreamModel:
    """M as the environment that C of this configuration acts in."""
    predicts = get_spec(config.env_name).predicts
    return DreamModel(rnn, predicts, config.controller_dream_end, config.dream_rewards)


def load_weights(model: keras.Model, path: Path) -> None:
    """Loads weights. Raises `UsageError` if `path` holds none of this network."""
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{path} holds no weights of this {model.name} network: {reason}") from None
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise UsageError(f"{path} holds weights that are not finite; delete its folder and train anew")
