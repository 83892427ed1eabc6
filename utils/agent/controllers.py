"""Trained Cs of a run, loaded from and stored in its folder. Without TensorFlow: the orchestrator needs none."""

from importlib import metadata
from pathlib import Path

import numpy as np

from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.provenance import check_agent, fingerprint
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.files import UNREADABLE, write_npz


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
    """The file of the mean that is C, as `load_controller` says. Raises `UsageError` if there is none."""
    best, mean = run.controller / "best.npz", run.controller / "mean.npz"
    if best.exists() and (config.controller_environment == "real" or _is_judged(best)):
        return best
    run.require(mean, Step.CONTROLLER, "the controller is not trained yet")
    return mean


def agent_fingerprint(config: Config, run: RunFolder) -> str:
    """A hash of the files that make the agent: the configuration, V, M and C. Scores name their agent by it.

    Raises `UsageError` as `check_agent` and `controller_path` do.
    """
    check_agent(run)
    return fingerprint(run.path / "config.yaml", run.vae_weights, run.rnn_weights, controller_path(config, run))


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
