"""What the orchestrator hands to a worker, and what comes back.

The configuration alone decides the tasks of a generation, not the number of workers. The same episodes are in the same
batch on any worker, so that results are equal to the last digit.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from utils.agent.rollouts import Job, Patience
from utils.environments import get_spec
from utils.run.config import Config
from utils.run.summaries import EVALUATIONS
from utils.system import seeding

# Seeds of evaluations during training are from here to 2**32. They select the best mean. Training and `render_agent.py`
# use smaller seeds.
FIRST_SELECTION_SEED = 2**31


class Ready(NamedTuple):
    """What a worker says first."""

    seconds: float  # that it took to start
    dreams_in: str  # the precision of its dreams, and a warning if there is a GPU that they cannot use


@dataclass(frozen=True)
class Task:
    """Episodes that one worker plays at once."""

    name: str
    candidates: np.ndarray  # float32 (n, num_parameters)
    jobs: list[Job]  # in the dream: as many for each candidate, one candidate after another
    max_steps: int
    patience: Patience | None = None
    dreamed: bool = False  # in the dream
    judged: bool = False  # in that of the M that judges
    anywhere: bool = False  # dreams start anywhere in recorded episodes


@dataclass(frozen=True)
class TaskResult:
    scores: list[float]  # in the order of the jobs
    steps: list[int]
    seconds: float
    memory_mb: float = 0.0  # of the worker; 0 in files of an older version


class Messenger(Protocol):
    """What the orchestrator needs of its workers: `Ranks`, or something in their place."""

    @property
    def workers(self) -> range: ...

    def send(self, message: Any, rank: int) -> None: ...

    def receive(self) -> tuple[int, Any]: ...


class ScheduledTask(NamedTuple):
    """Who did a task when. Seconds since the first task of its kind was sent."""

    task: str
    rank: int
    begin: float
    end: float


def generation_tasks(
    config: Config, generation: int, candidates: np.ndarray, hard_tracks: Sequence[int] = ()
) -> list[Task]:
    """`controller_num_worker` tasks of `controller_num_worker_trial` candidates, each on every track.

    All candidates of a generation play the same tracks, so that easy tracks do not decide the ranking.

    hard_tracks: seeds of those that `controller_hard_fraction` of the episodes take place on; () if they do not.
    """
    trials, patience = config.controller_num_worker_trial, None
    if config.controller_patience:
        idle_reward = get_spec(config.env_name).idle_reward
        assert idle_reward is not None  # the configuration was checked
        patience = Patience(config.controller_patience, idle_reward)
    count = [number for begin, number in config.episode_stages.items() if begin <= generation + 1][-1]
    tracks = [seeding.integer(config.evolution_seed, "training track", generation, episode) for episode in range(count)]
    if hard_tracks:
        order = seeding.generator(config.evolution_seed, "hard track", generation).permutation(hard_tracks)
        hard = config.hard_episodes(count)
        tracks[:hard] = np.resize(order, hard).tolist()

    def job(candidate: int, trial: int, episode: int) -> Job:
        draws = seeding.integer(config.evolution_seed, "training draws", generation, candidate, episode)
        return Job(tracks[episode], draws, trial)

    return [
        Task(
            f"training_{count}_{number:04d}",
            candidates[first : first + trials],
            [job(first + trial, trial, episode) for trial in range(trials) for episode in range(count)],
            config.controller_max_frames,
            patience,
            config.controller_environment == "dream",
            anywhere=config.controller_dream_start == "anywhere",
        )
        for number, first in enumerate(range(0, config.population, trials))
    ]


def screening_tasks(config: Config, start: np.ndarray) -> list[Task]:
    """The C that learns on, on `controller_screened_episode` tracks of their own, with whole episodes.

    start: float32 (num_parameters,).
    """
    jobs = [
        Job(
            seeding.integer(config.evolution_seed, "screened track", episode),
            seeding.integer(config.evolution_seed, "screened draws", episode),
        )
        for episode in range(config.controller_screened_episode)
    ]
    return _of_one_candidate("screening", start, jobs, config)


def hard_tracks(tasks: Sequence[Task], scores: np.ndarray) -> list[int]:
    """The seeds of the sixteenth of the tracks that gave the lowest scores, lowest first.

    scores: (jobs,), of the tasks' jobs in order.
    """
    seeds = [job.env_seed for task in tasks for job in task.jobs]
    return [seeds[i] for i in np.argsort(scores, kind="stable")[: len(seeds) // 16]]


def evaluations(config: Config) -> list[str]:
    """The evaluations that this run makes of the mean, by their names in the log.

    Always in the real environment. Also in M's dream if C learns in it, and in the judge's dream if there is a judge.
    """
    used = {"real": True, "dream": config.controller_environment == "dream", "judge": config.controller_judge_run}
    return [name for where, name in EVALUATIONS.items() if used[where]]


def evaluation_tasks(config: Config, mean: np.ndarray, where: str) -> list[Task]:
    """The mean, or an average of means, on `controller_eval_episode` tracks, or dreams, that training never uses.

    They are the same at every evaluation, so that generations can be compared. Episodes are whole: neither
    `controller_max_frames` nor `controller_patience` ends them.

    mean: float32 (num_parameters,).
    where: one of `evaluations`.
    """
    judged, steps = where == EVALUATIONS["judge"], get_spec(config.env_name).max_steps
    count = config.controller_judge_episode if judged else config.controller_eval_episode
    jobs = [
        Job(
            FIRST_SELECTION_SEED + seeding.integer(config.draw_seed, "evaluation track", episode),
            seeding.integer(config.draw_seed, "evaluation draws", episode),
        )
        for episode in range(count)
    ]
    if where != EVALUATIONS["real"]:
        return [Task(f"{where}_{count}", mean[None], jobs, steps, dreamed=True, judged=judged)]
    # Tasks with results of another average, from before a kill and a new setting, have another name.
    averaged = f"_of_{config.controller_num_mean}" if config.controller_num_mean > 1 else ""
    return _of_one_candidate(f"{where}{averaged}", mean, jobs, config)


def _of_one_candidate(name: str, parameters: np.ndarray, jobs: list[Job], config: Config) -> list[Task]:
    """Whole real episodes of one controller, in tasks of at most `controller_num_lane`, and at least two."""
    count = len(jobs)
    num_tasks = max(2, -(-count // config.controller_num_lane))
    ends = [round(i * count / num_tasks) for i in range(num_tasks + 1)]
    return [
        Task(f"{name}_{count}_{i:04d}", parameters[None], jobs[begin:end], get_spec(config.env_name).max_steps)
        for i, (begin, end) in enumerate(itertools.pairwise(ends))
        if end > begin
    ]
