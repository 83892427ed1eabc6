"""Real episodes to compare dreams with: episodes that M was not trained on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.agent.agent import Agent
from utils.agent.evaluate import FIRST_EVALUATION_SEED, drive, evaluation_jobs
from utils.agent.rollouts import Recorder
from utils.data.encode import to_series
from utils.data.sequences import split_series
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Rollout, Series
from utils.run.folder import RunFolder
from utils.run.provenance import check_encoded


class Recorded(NamedTuple):
    series: Series
    frames: Callable[[], np.ndarray]  # loads the frames, uint8 (T, 64, 64, 3)


def held_out(config: Config, run: RunFolder) -> list[Recorded]:
    """The episodes that V and M never learned from and of which there are frames."""
    _, rollouts = episodes.split(run.rollout_paths(config), config.held_out_fraction)
    return [
        Recorded(episodes.load(run.series / path.name, Series, config), partial(_load_frames, path))
        for path in rollouts
    ]


def _load_frames(path: Path) -> np.ndarray:
    return episodes.load(path, Rollout, only=("obs",)).obs


def training_paths(config: Config, run: RunFolder) -> list[Path]:
    """The series that M learned from. Empty if the run has no series, as a shipped agent.

    Raises `UsageError` if the series are unfinished, or of another V.
    """
    paths = run.series_paths(config)
    if not any(path.exists() for path in paths):
        return []
    check_encoded(run, config)
    return split_series(config, run)[0]


def driven(agent: Agent, parameters: np.ndarray, count: int) -> list[Recorded]:
    """New episodes in the real environment, as long as rollouts. C plays them with these parameters."""
    rollouts: dict[int, Rollout] = {}
    jobs = evaluation_jobs(FIRST_EVALUATION_SEED, count)
    drive(agent, parameters, jobs, agent.config.max_frames, Recorder(rollouts.__setitem__))
    in_order = [rollouts[job] for job in sorted(rollouts)]
    return [Recorded(to_series(rollout, agent.codec), partial(np.asarray, rollout.obs)) for rollout in in_order]
