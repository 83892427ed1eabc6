"""A controller on disk: `parameters`, float32 (num_parameters,), and facts about them, as a plain `.npz`."""

from importlib import metadata
from pathlib import Path

import numpy as np

from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.provenance import check_agent
from utils.system.errors import UsageError
from utils.system.files import UNREADABLE, write_npz


def save_parameters(path: Path, parameters: np.ndarray, **facts: float) -> None:
    """Adds the version of Gymnasium to the facts: scores follow its rule."""
    write_npz(path, parameters=parameters.astype(np.float32), gymnasium=metadata.version("gymnasium"), **facts)


def load_parameters(run: RunFolder, num_parameters: int, latest: bool = False) -> tuple[np.ndarray, str]:
    """The controller of a run, float32 (num_parameters,), and which one it is in words.

    The best one by evaluation; before the first evaluation there is none, and it is the latest mean, as with
    `latest`, which no evaluation has chosen.
    """
    best, mean = run.controller / "best.npz", run.controller / "mean.npz"
    path = best if best.exists() and not latest else mean
    run.require(path, 5, "the controller is not trained yet")
    try:
        with np.load(path, allow_pickle=False) as file:
            parameters, generation = file["parameters"], int(file["generation"])
    except UNREADABLE as error:
        raise UsageError(f"{path} is damaged or foreign ({error}); run `{run.command(5)}` again") from None
    if parameters.shape != (num_parameters,) or parameters.dtype != np.float32 or not np.isfinite(parameters).all():
        raise UsageError(
            f"{path} holds {parameters.dtype} {parameters.shape}, this configuration's controller {num_parameters} "
            "finite float32"
        )
    kind = "best mean by evaluation" if path == best else "latest mean"
    return parameters, f"{kind}, generation {generation}"


def load_without_selection(config: Config, run: RunFolder, num_parameters: int) -> tuple[np.ndarray, str]:
    """As `load_parameters`, but of a controller trained in the dream the latest, lest real scores have chosen it.

    It is also the one to learn more from: where it cheats its dream, the real environment has something to tell.
    Raises `UsageError` as well if it was trained with another V or M than the run has now.
    """
    check_agent(run)
    return load_parameters(run, num_parameters, latest=config.controller_environment == "dream")
