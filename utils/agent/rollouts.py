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

MOST_LOST = 3  # times in a row that the episode of a env_index may be lost before this is an error


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
    def begin(self, env_index: int, job: Job) -> None:
        """An episode starts in `env_index`."""

    def act(self, obs: np.ndarray, reward_or_done: np.ndarray) -> np.ndarray:
        """obs: uint8 (num_envs, 64, 64, 3); reward_or_done: float32 (num_envs,), the reward that came with obs, 0 at the
        start. Returns actions, float32 (num_envs, action_size). Idle num_envs hold whatever they held last."""


@dataclass(frozen=True)
class Patience:
    """An episode that gained nothing for `steps` steps has nothing more to win: it may end there, as if each step
    left until the limit gave `idle_reward`."""

    steps: int
    idle_reward: float


# (job index) when an episode begins, which it does again when it was lost.
BeginHook = Callable[[int], None]
# (env_index, job index, obs, action, reward, terminated) after each step of each env_index.
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
    """Plays every job in the num_envs `envs`, in order; a env_index that ends takes the next. Outcomes in job order.

    What a job does depends on the job, the policy and `len(envs)` alone. An episode that is lost is played again.
    Raises `EpisodeLost` when that happens to one MOST_LOST times.
    """
    num_envs = len(envs)
    obs = np.zeros((num_envs, 64, 64, 3), np.uint8)
    reward_or_done = np.zeros(num_envs, np.float32)
    playing = [-1] * num_envs  # the job of each env_index
    score, reward = np.zeros(num_envs), np.zeros(num_envs)
    steps, last_gain = np.zeros(num_envs, int), np.zeros(num_envs, int)
    over = np.zeros(num_envs, bool)
    lost = np.zeros(num_envs, int)
    outcomes: list[Outcome] = [None] * len(jobs)
    waiting = iter(range(len(jobs)))

    def begin(env_index: int) -> None:
        score[env_index] = reward_or_done[env_index] = reward[env_index] = steps[env_index] = last_gain[
            env_index
        ] = over[env_index] = 0
        if playing[env_index] >= 0:
            job = jobs[playing[env_index]]
            try:
                obs[env_index] = envs[env_index].reset(seed=job.env_seed)[0]
            except EpisodeLost:
                again(env_index)
                return
            policy.begin(env_index, job)
            if on_begin:
                on_begin(playing[env_index])

    def next_job(env_index: int) -> None:
        playing[env_index], lost[env_index] = next(waiting, -1), 0
        begin(env_index)

    def again(env_index: int) -> None:
        """While an `EpisodeLost` is handled."""
        lost[env_index] += 1
        if lost[env_index] == MOST_LOST:
            raise
        begin(env_index)

    def end(env_index: int) -> None:
        outcome = Outcome(float(score[env_index]), int(steps[env_index]))
        if not over[env_index]:
            outcome.score += patience.idle_reward * (max_steps - outcome.steps)
        outcomes[playing[env_index]] = outcome
        if on_end:
            on_end(playing[env_index], outcome)

    for env_index in range(num_envs):
        next_job(env_index)
    while active := [env_index for env_index in range(num_envs) if playing[env_index] >= 0]:
        actions = policy.act(obs, reward_or_done)
        for env_index in active:
            try:
                seen, reward[env_index], terminated, truncated, _ = envs[env_index].step(actions[env_index])
            except EpisodeLost:
                again(env_index)
                steps[env_index] = -1  # as the others' step is yet to be counted
                continue
            if on_step:
                on_step(
                    env_index,
                    playing[env_index],
                    obs[env_index],
                    actions[env_index],
                    float(reward[env_index]),
                    terminated,
                )
            obs[env_index] = seen
            over[env_index] = terminated or truncated
        score += reward
        steps += 1
        reward_or_done[:] = reward
        over |= steps >= max_steps
        np.copyto(last_gain, steps, where=reward > 0)
        finished = over | (steps - last_gain >= patience.steps) if patience else over
        for env_index in np.flatnonzero(finished).tolist():
            if playing[env_index] >= 0:
                end(env_index)
                next_job(env_index)
    return outcomes


class ExplorationPolicy:
    """Random policies of an environment's spec, a fresh one for each episode."""

    def __init__(self, explore: Callable, num_envs: int):
        self._explore = explore
        self._explorers = [None] * num_envs

    def begin(self, env_index: int, job: Job) -> None:
        self._explorers[env_index] = self._explore(np.random.default_rng(job.draw_seed))

    def act(self, obs: np.ndarray, reward_or_done: np.ndarray) -> np.ndarray:
        return np.stack([explorer(seen) for explorer, seen in zip(self._explorers, obs)])
