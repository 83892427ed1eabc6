"""What really happened, to hold a dream against: episodes that M was not trained on."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.agent.agent import Agent
from utils.agent.evaluate import FIRST_EVALUATION_SEED, evaluation_jobs
from utils.data.collect import record
from utils.data.encode import batched, make_encoder
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Rollout, Series
from utils.run.folder import RunFolder
from utils.run.provenance import check_encoded


class Recorded(NamedTuple):
    """An episode, and what loads its pictures, uint8 (T, 64, 64, 3)."""

    series: Series
    frames: Callable[[], np.ndarray]


def held_out(config: Config, run: RunFolder) -> list[Recorded]:
    """The episodes that V and M have never learned from."""
    paths = zip(run.series_paths(config), run.rollout_paths(config))
    _, unseen = episodes.split(list(paths), config.held_out_fraction)
    return [
        Recorded(
            episodes.load(series, Series, config), lambda path=path: episodes.load(path, Rollout, only=("obs",)).obs
        )
        for series, path in unseen
    ]


def training_paths(config: Config, run: RunFolder) -> list[Path]:
    """The series that M learned from; none if the run has no series, as an agent that was shipped.

    Raises `UsageError` if the series is unfinished or of another V.
    """
    paths = run.series_paths(config)
    if not any(path.exists() for path in paths):
        return []
    check_encoded(run, config)
    return episodes.split(paths, config.held_out_fraction)[0]


def driven(agent: Agent, parameters: np.ndarray, count: int) -> list[Recorded]:
    """Episodes that a controller drives now in the real environment, as long as rollouts are."""
    num_envs = min(count, agent.config.controller_num_lane)
    policy = agent.policy(num_envs)
    policy.candidates = parameters[None]
    rollouts = {}
    envs = [agent.spec.make() for _ in range(num_envs)]
    try:
        record(
            envs, policy, evaluation_jobs(FIRST_EVALUATION_SEED, count), agent.config.max_frames, rollouts.__setitem__
        )
    finally:
        for env in envs:
            env.close()
    encode = make_encoder(agent.vae)
    recorded = []
    for _, rollout in sorted(rollouts.items()):
        mu, logvar = encode(batched(rollout.obs))
        series = Series(mu, logvar, rollout.action, rollout.reward, rollout.done)
        recorded.append(Recorded(series, lambda obs=rollout.obs: obs))
    return recorded
