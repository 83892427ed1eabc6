"""What the orchestrator hands out and what comes back.

The parts of a generation are fixed by the configuration, never by how many workers there are: the same
episodes meet in the same batch wherever it runs, and the results are the same to the last digit.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from utils.agent.rollouts import Job, Patience
from utils.environments import get_spec
from utils.run.config import Config
from utils.system import seeding


@dataclass(frozen=True)
class Task:
    """Episodes that one worker plays in one go. candidates: float32 (n, num_parameters).

    dreamed: M stands for the environment. All candidates then have the same number of jobs, one after the other.
    """

    name: str
    candidates: np.ndarray
    jobs: list[Job]
    max_steps: int
    patience: Patience | None = None
    dreamed: bool = False


# Evaluation seeds lie from here to 2**32; seeds of training and of `render_agent.py` lie below.
FIRST_SELECTION_SEED = 2**31


@dataclass(frozen=True)
class TaskResult:
    """scores and steps of the jobs, in their order; seconds the worker took; MB of memory it holds."""

    scores: list[float]
    steps: list[int]
    seconds: float
    memory_mb: float = 0.0  # parts that an older version has written do not say


def generation_tasks(config: Config, generation: int, candidates: np.ndarray) -> list[Task]:
    """`controller_num_worker` parts of `controller_num_worker_trial` candidates, each on every track.

    All candidates of a generation meet the same tracks, so that luck with them does not decide the ranking.
    """
    parts, trials, steps = [], config.controller_num_worker_trial, config.controller_max_frames
    dreamed, patience = config.controller_environment == "dream", None
    if config.controller_patience:
        patience = Patience(config.controller_patience, get_spec(config.env_name).idle_reward)
    count = [number for begin, number in config.episode_stages.items() if begin <= generation + 1][-1]
    episodes = range(count)
    tracks = [seeding.integer(config.draw_seed, "training track", generation, episode) for episode in episodes]
    for part in range(config.controller_num_worker):
        jobs = [
            Job(
                tracks[e],
                seeding.integer(config.draw_seed, "training draws", generation, part * trials + trial, e),
                trial,
            )
            for trial in range(trials)
            for e in episodes
        ]
        chosen = candidates[part * trials : (part + 1) * trials]
        parts.append(Task(f"training_{count}_{part:04d}", chosen, jobs, steps, patience, dreamed))
    return parts


def evaluation_tasks(config: Config, mean: np.ndarray, dreamed: bool = False) -> list[Task]:
    """The mean, float32 (num_parameters,), on `controller_eval_episode` tracks, or dreams, that training never meets.

    They are the same at every evaluation of a run: two generations are compared on the same tracks.
    Episodes are whole: neither `controller_max_frames` nor `controller_patience` ends them.
    """
    count, steps = config.controller_eval_episode, get_spec(config.env_name).max_steps
    jobs = [
        Job(
            FIRST_SELECTION_SEED + seeding.integer(config.draw_seed, "evaluation track", episode),
            seeding.integer(config.draw_seed, "evaluation draws", episode),
        )
        for episode in range(count)
    ]
    if dreamed:
        return [Task(f"dreamed_{count}", mean[None], jobs, steps, dreamed=True)]
    num_parts = max(2, -(-count // config.controller_num_lane))
    ends = [round(i * count / num_parts) for i in range(num_parts + 1)]
    return [
        Task(f"evaluation_{count}_{i:04d}", mean[None], jobs[begin:end], steps)
        for i, (begin, end) in enumerate(itertools.pairwise(ends))
        if end > begin
    ]
