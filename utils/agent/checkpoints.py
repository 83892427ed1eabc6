"""Trained V, M and C of a run, loaded from and stored in its folder."""

from importlib import metadata
from pathlib import Path

import keras
import numpy as np

from models.dream import DreamModel
from models.mdn_rnn import MDNRNN
from models.vae import VAE, build_vae
from utils.environments import get_spec
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.provenance import check_agent
from utils.run.steps import Step
from utils.system import compute
from utils.system.errors import UsageError
from utils.system.files import UNREADABLE, write_npz


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


def save_controller(path: Path, parameters: np.ndarray, **facts: float) -> None:
    """Writes parameters, float32 (num_parameters,), and facts about them as a plain `.npz`.

    Adds the version of Gymnasium, which holds the rule that scores follow.
    """
    write_npz(path, parameters=parameters.astype(np.float32), gymnasium=metadata.version("gymnasium"), **facts)


def load_controller(config: Config, run: RunFolder) -> tuple[np.ndarray, str]:
    """C's parameters, float32 (num_parameters,), and in words which ones they are.

    The best mean by evaluation; before the first evaluation the last mean. Real scores never select a C that learned in
    dreams: it is the last mean, or the one that the dream of another M judged best.
    Raises `UsageError` if there is no file, or not one of this configuration.
    """
    path = controller_path(config, run)
    run.require(path, Step.CONTROLLER, "the controller is not trained yet")
    try:
        with np.load(path, allow_pickle=False) as file:
            parameters, generation = file["parameters"], int(file["generation"])
    except UNREADABLE as error:
        raise UsageError(
            f"{path} is damaged or foreign ({error}); run `{run.command(Step.CONTROLLER)}` again"
        ) from None
    size = config.controller.num_parameters
    if parameters.shape != (size,) or parameters.dtype != np.float32 or not np.isfinite(parameters).all():
        raise UsageError(
            f"{path} holds {parameters.dtype} {parameters.shape}, this configuration's controller {size} finite float32"
        )
    by = "the dream of another M" if config.controller_environment == "dream" else "evaluation"
    kind = f"best mean by {by}" if path.name == "best.npz" else "latest mean"
    return parameters, f"{kind}, generation {generation}"


def controller_path(config: Config, run: RunFolder) -> Path:
    """The file of the mean that is C, as `load_controller` says."""
    best = run.controller / "best.npz"
    is_c = best.exists() and (config.controller_environment == "real" or _is_judged(best))
    return best if is_c else run.controller / "mean.npz"


def _is_judged(best: Path) -> bool:
    try:
        with np.load(best, allow_pickle=False) as file:
            return "judge_evaluation_mean" in file.files
    except UNREADABLE:
        return True  # reading it will say what is wrong


def load_checked_controller(config: Config, run: RunFolder) -> tuple[np.ndarray, str]:
    """As `load_controller`. Raises `UsageError` as well if C was trained with another V or M than the run has now."""
    check_agent(run)
    return load_controller(config, run)
