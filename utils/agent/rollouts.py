"""The rollout engine: many episodes in lock step, one call of the policy for all of them.

Collecting data, training the controller, evaluating and filming differ only in the policy and in what they
do with each step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import gymnasium
import numpy as np

from utils.environments.spec import EpisodeLost

MOST_LOST = 3  # times in a row that the episode of a lane may be lost before this is an error


@dataclass(frozen=True)
class Job:
    """One episode to run: the seed of its track, the seed of its own draws, and which candidate drives."""

    env_seed: int
    draw_seed: int
    candidate: int = 0


@dataclass
class Outcome:
    score: float
    steps: int


class Policy(Protocol):
    def begin(self, lane: int, job: Job) -> None:
        """An episode starts in `lane`."""

    def act(self, obs: np.ndarray, signal: np.ndarray) -> np.ndarray:
        """obs: uint8 (lanes, 64, 64, 3); signal: float32 (lanes,), the reward that came with obs, 0 at the
        start. Returns actions, float32 (lanes, action_size). Idle lanes hold whatever they held last."""


@dataclass(frozen=True)
class Patience:
    """An episode that gained nothing for `steps` steps has nothing more to win: it may end there, as if each step
    left until the limit gave `idle_reward`."""

    steps: int
    idle_reward: float


# (job index) when an episode begins, which it does again when it was lost.
BeginHook = Callable[[int], None]
# (lane, job index, obs, action, reward, terminated) after each step of each lane.
StepHook = Callable[[int, int, np.ndarray, np.ndarray, float, bool], None]
# (job index, outcome) when an episode ends.
EndHook = Callable[[int, Outcome], None]


def run(
    envs: Sequence[gymnasium.Env],
    policy: Policy,
    jobs: Sequence[Job],
    max_steps: int,
    on_step: StepHook | None = None,
    on_end: EndHook | None = None,
    patience: Patience | None = None,
    on_begin: BeginHook | None = None,
) -> list[Outcome]:
    """Plays every job in the lanes `envs`, in order; a lane that ends takes the next. Outcomes in job order.

    What a job does depends on the job, the policy and `len(envs)` alone. An episode that is lost is played again.
    Raises `EpisodeLost` when that happens to one MOST_LOST times.
    """
    lanes = len(envs)
    obs = np.zeros((lanes, 64, 64, 3), np.uint8)
    signal = np.zeros(lanes, np.float32)
    playing = [-1] * lanes  # the job of each lane
    score, reward = np.zeros(lanes), np.zeros(lanes)
    steps, last_gain = np.zeros(lanes, int), np.zeros(lanes, int)
    over = np.zeros(lanes, bool)
    lost = np.zeros(lanes, int)
    outcomes: list[Outcome] = [None] * len(jobs)
    waiting = iter(range(len(jobs)))

    def begin(lane: int) -> None:
        score[lane] = signal[lane] = reward[lane] = steps[lane] = last_gain[lane] = over[lane] = 0
        if playing[lane] >= 0:
            job = jobs[playing[lane]]
            try:
                obs[lane] = envs[lane].reset(seed=job.env_seed)[0]
            except EpisodeLost:
                again(lane)
                return
            policy.begin(lane, job)
            if on_begin:
                on_begin(playing[lane])

    def next_job(lane: int) -> None:
        playing[lane], lost[lane] = next(waiting, -1), 0
        begin(lane)

    def again(lane: int) -> None:
        """While an `EpisodeLost` is handled."""
        lost[lane] += 1
        if lost[lane] == MOST_LOST:
            raise
        begin(lane)

    def end(lane: int) -> None:
        outcome = Outcome(float(score[lane]), int(steps[lane]))
        if not over[lane]:
            outcome.score += patience.idle_reward * (max_steps - outcome.steps)
        outcomes[playing[lane]] = outcome
        if on_end:
            on_end(playing[lane], outcome)

    for lane in range(lanes):
        next_job(lane)
    while active := [lane for lane in range(lanes) if playing[lane] >= 0]:
        actions = policy.act(obs, signal)
        for lane in active:
            try:
                seen, reward[lane], terminated, truncated, _ = envs[lane].step(actions[lane])
            except EpisodeLost:
                again(lane)
                steps[lane] = -1  # as the others' step is yet to be counted
                continue
            if on_step:
                on_step(lane, playing[lane], obs[lane], actions[lane], float(reward[lane]), terminated)
            obs[lane] = seen
            over[lane] = terminated or truncated
        score += reward
        steps += 1
        signal[:] = reward
        over |= steps >= max_steps
        np.copyto(last_gain, steps, where=reward > 0)
        finished = over | (steps - last_gain >= patience.steps) if patience else over
        for lane in np.flatnonzero(finished).tolist():
            if playing[lane] >= 0:
                end(lane)
                next_job(lane)
    return outcomes


class ExplorationPolicy:
    """Random policies of an environment's description, a fresh one for each episode."""

    def __init__(self, explore: Callable, lanes: int):
        self._explore = explore
        self._explorers = [None] * lanes

    def begin(self, lane: int, job: Job) -> None:
        self._explorers[lane] = self._explore(np.random.default_rng(job.draw_seed))

    def act(self, obs: np.ndarray, signal: np.ndarray) -> np.ndarray:
        return np.stack([explorer(seen) for explorer, seen in zip(self._explorers, obs)])
