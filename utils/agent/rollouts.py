"""The rollout engine: many episodes in lock step, one call of the policy for all of them.

Collecting data, training and evaluating C and recording films differ only in the policy and in the observers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import gymnasium
import numpy as np

from utils.environments.spec import EpisodeLost, Explorer
from utils.run.episodes import Rollout

MAX_LOST = 3  # times in a row that an environment may lose its episode


@dataclass(frozen=True)
class Job:
    """One episode to play.

    env_seed: of the environment's reset.
    draw_seed: of the policy's own draws.
    candidate: the index of the candidate that acts.
    """

    env_seed: int
    draw_seed: int
    candidate: int = 0


@dataclass
class Outcome:
    score: float
    steps: int


class Policy(Protocol):
    def begin(self, env_index: int, job: Job) -> None:
        """An episode begins in an environment."""

    def rest(self, env_index: int) -> None:
        """No episode is left for an environment: its actions are not asked for. A policy may ignore it."""
        return

    def act(self, obs: np.ndarray, reward_or_done: np.ndarray) -> np.ndarray:
        """Returns actions, float32 (num_envs, action_size).

        obs: uint8 (num_envs, 64, 64, 3). An environment without an episode keeps its last one.
        reward_or_done: float32 (num_envs,), the reward that came with obs, 0 at the start.
        """


class Transition(NamedTuple):
    """A step of one environment."""

    env_index: int
    job: int  # its number
    obs: np.ndarray  # uint8 (64, 64, 3), what the action was decided on; copy it to keep it
    action: np.ndarray
    reward: float
    terminated: bool


class Observer:
    """Is told what happens in `rollout_episodes`. Does nothing: subclasses override what they need."""

    def begin(self, job: int) -> None:
        """Job number `job` begins, or begins again because its episode was lost."""

    def step(self, transition: Transition) -> None:
        """An environment made a step."""

    def end(self, job: int, outcome: Outcome) -> None:
        """Job number `job` is over."""


@dataclass(frozen=True)
class Patience:
    """Ends an episode early that gained nothing for `steps` steps.

    It then scores as if each step left until the limit gave `idle_reward`.
    """

    steps: int
    idle_reward: float


def rollout_episodes(
    envs: Sequence[gymnasium.Env], policy: Policy, jobs: Sequence[Job], max_steps: int,
    observers: Sequence[Observer] = (), patience: Patience | None = None,
) -> list[Outcome]:  # fmt: skip
    """Plays all jobs and returns their outcomes, in the same order.

    Each environment that ends an episode takes the next job, or rests if none is left. What happens in a job depends on
    the job, the policy and `len(envs)` alone, its last digits also on how many environments rest meanwhile. A lost
    episode is played again.

    max_steps: of an episode.
    Raises `EpisodeLost` when the same episode is lost MAX_LOST times.
    """
    return _Rollouts(envs, policy, jobs, max_steps, observers, patience).play()


class _Rollouts:
    """What each environment is doing. Arrays have a row for each."""

    def __init__(
        self, envs: Sequence[gymnasium.Env], policy: Policy, jobs: Sequence[Job], max_steps: int,
        observers: Sequence[Observer], patience: Patience | None,
    ):  # fmt: skip
        self._envs, self._policy, self._jobs = envs, policy, jobs
        self._max_steps, self._observers, self._patience = max_steps, observers, patience
        num_envs = len(envs)
        self._obs = np.zeros((num_envs, 64, 64, 3), np.uint8)
        self._reward_or_done = np.zeros(num_envs, np.float32)
        self._job = [-1] * num_envs  # the number of its job, -1 for none
        self._score, self._reward = np.zeros(num_envs), np.zeros(num_envs)
        self._steps, self._last_gain = np.zeros(num_envs, int), np.zeros(num_envs, int)
        self._over = np.zeros(num_envs, bool)
        self._lost = np.zeros(num_envs, int)
        self._waiting = iter(range(len(jobs)))
        self._outcomes: list[Outcome] = [Outcome(0.0, 0)] * len(jobs)

    def play(self) -> list[Outcome]:
        for env_index in range(len(self._envs)):
            self._next_job(env_index)
        while active := [env_index for env_index, job in enumerate(self._job) if job >= 0]:
            self._step(active)
        return self._outcomes

    def _next_job(self, env_index: int) -> None:
        self._job[env_index], self._lost[env_index] = next(self._waiting, -1), 0
        self._begin(env_index)

    def _begin(self, env_index: int) -> None:
        for array in (self._score, self._reward_or_done, self._reward, self._steps, self._last_gain, self._over):
            array[env_index] = 0
        number = self._job[env_index]
        if number < 0:
            self._policy.rest(env_index)
            return
        try:
            self._obs[env_index] = self._envs[env_index].reset(seed=self._jobs[number].env_seed)[0]
        except EpisodeLost:
            self._begin_again(env_index)
            return
        self._policy.begin(env_index, self._jobs[number])
        for observer in self._observers:
            observer.begin(number)

    def _begin_again(self, env_index: int) -> None:
        """Call it while an `EpisodeLost` is handled."""
        self._lost[env_index] += 1
        if self._lost[env_index] == MAX_LOST:
            raise
        self._begin(env_index)

    def _step(self, active: list[int]) -> None:
        actions = self._policy.act(self._obs, self._reward_or_done)
        for env_index in active:
            try:
                self._step_env(env_index, actions[env_index])
            except EpisodeLost:
                self._begin_again(env_index)
                self._steps[env_index] = -1  # this step is counted below
        self._score += self._reward
        self._steps += 1
        self._reward_or_done[:] = self._reward
        self._over |= self._steps >= self._max_steps
        np.copyto(self._last_gain, self._steps, where=self._reward > 0)
        finished = self._over
        if self._patience:
            finished = finished | (self._steps - self._last_gain >= self._patience.steps)
        for env_index in np.flatnonzero(finished).tolist():
            if self._job[env_index] >= 0:
                self._end(env_index)
                self._next_job(env_index)

    def _step_env(self, env_index: int, action: np.ndarray) -> None:
        obs, self._reward[env_index], terminated, truncated, _ = self._envs[env_index].step(action)
        if self._observers:
            seen, reward = self._obs[env_index], float(self._reward[env_index])
            transition = Transition(env_index, self._job[env_index], seen, action, reward, terminated)
            for observer in self._observers:
                observer.step(transition)
        self._obs[env_index] = obs
        self._over[env_index] = terminated or truncated

    def _end(self, env_index: int) -> None:
        outcome = Outcome(float(self._score[env_index]), int(self._steps[env_index]))
        if self._patience and not self._over[env_index]:
            outcome.score += self._patience.idle_reward * (self._max_steps - outcome.steps)
        self._outcomes[self._job[env_index]] = outcome
        for observer in self._observers:
            observer.end(self._job[env_index], outcome)


class Recorder(Observer):
    """Hands each episode to `on_end` as a `Rollout`, with the number of its job."""

    def __init__(self, on_end: Callable[[int, Rollout], None]):
        self._on_end = on_end
        self._rows: dict[int, list[tuple]] = {}

    def begin(self, job: int) -> None:
        self._rows[job] = []

    def step(self, transition: Transition) -> None:
        _, job, obs, *rest = transition
        self._rows[job].append((obs.copy(), *rest))

    def end(self, job: int, outcome: Outcome) -> None:
        obs, action, reward, done = zip(*self._rows.pop(job))
        self._on_end(
            job,
            Rollout(
                np.stack(obs), np.stack(action).astype(np.float32), np.array(reward, np.float32), np.array(done, bool)
            ),
        )


class ExplorationPolicy(Policy):
    """A random policy of an environment, a new one for each episode."""

    def __init__(self, explore: Callable[[np.random.Generator], Explorer], num_envs: int):
        self._explore = explore
        self._explorers: list[Explorer] = [explore(np.random.default_rng(0))] * num_envs

    def begin(self, env_index: int, job: Job) -> None:
        self._explorers[env_index] = self._explore(np.random.default_rng(job.draw_seed))

    def act(self, obs: np.ndarray, reward_or_done: np.ndarray) -> np.ndarray:
        return np.stack([explorer(seen) for explorer, seen in zip(self._explorers, obs)])
