"""The game behind the window: one episode at a time, real or dreamed, played by the agent or by a person."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from utils.agent.agent import Agent
from utils.agent.evaluate import Frame
from utils.agent.rollouts import Job
from utils.dreams.batch import DreamBatch
from utils.environments.spec import EpisodeLost
from utils.run.folder import RunFolder
from utils.system import seeding


class Play(Protocol):
    """Episodes in one environment."""

    temperature: float  # of a dream

    def begin(self, seed: int) -> None:
        """A new episode."""

    def step(self, human_action: np.ndarray | None) -> tuple[Frame, bool]:
        """One step, and whether it was the last. human_action: None for the agent's."""

    def close(self) -> None: ...


class RealPlay:
    """The real environment, played with V, M and C."""

    temperature = 1.0

    def __init__(self, agent: Agent, parameters: np.ndarray, stock: bool):
        self._agent, self._policy = agent, agent.policy(1, parameters[None])
        self._env = (agent.spec.make_stock if stock else agent.spec.make)(render_mode="rgb_array")

    def begin(self, seed: int) -> None:
        self._obs, self._reward = self._env.reset(seed=seed)[0], 0.0
        self._policy.begin(0, Job(seed, seeding.integer(seed, "watching")))

    def step(self, human_action: np.ndarray | None) -> tuple[Frame, bool]:
        view, obs = np.asarray(self._env.render()), self._obs
        human_actions = None if human_action is None else human_action[None]
        action = self._policy.act(obs[None], np.array([self._reward], np.float32), human_actions)[0]
        self._obs, reward, terminated, truncated, _ = self._env.step(action)
        self._reward = float(reward)
        reconstruction = self._agent.codec.decode(self._policy.z)[0]
        return Frame(view, obs, reconstruction, action, self._reward, 0.0, 0), terminated or truncated

    def close(self) -> None:
        self._env.close()


class DreamPlay:
    """The dream of the run: M predicts each step, V decodes it for people."""

    def __init__(self, agent: Agent, run: RunFolder, parameters: np.ndarray, temperature: float):
        self._agent, self._parameters = agent, parameters[None]
        self._dreams = DreamBatch(run, 1, temperature)
        self.temperature = temperature

    def begin(self, seed: int) -> None:
        self._dreams.begin(0, seed)

    def step(self, human_action: np.ndarray | None) -> tuple[Frame, bool]:
        action = human_action
        if action is None:
            action = self._agent.controller.act(self._parameters, self._dreams.features()[None]).numpy()[0, 0]
        reconstruction = self._agent.codec.decode(self._dreams.z)[0]
        self._dreams.temperature = self.temperature
        rewards, done = self._dreams.step(action[None])
        return Frame(reconstruction, None, reconstruction, action, float(rewards[0]), 0.0, 0), bool(done[0])

    def close(self) -> None:
        pass


class Game:
    """Episodes one after the other, on the seeds `seed`, `seed` + 1, ..., and what the keys of a window change."""

    def __init__(
        self, make_real: Callable[[], Play], make_dream: Callable[[], Play], dreaming: bool, seed: int, max_steps: int
    ):
        self._make, self._max_steps = {False: make_real, True: make_dream}, max_steps
        self._plays: dict[bool, Play] = {}
        self.dreaming, self.human_plays, self.seed = dreaming, False, seed
        self.scores: list[tuple[int, bool, float]] = []  # seed, dreamed, score of each finished episode
        self.restart()

    @property
    def play(self) -> Play:
        if self.dreaming not in self._plays:
            self._plays[self.dreaming] = self._make[self.dreaming]()
        return self._plays[self.dreaming]

    def restart(self) -> None:
        self._score, self._step = 0.0, 0
        try:
            self.play.begin(self.seed)
        except EpisodeLost:  # the environment's process died between two episodes: the next call starts another
            self.play.begin(self.seed)

    @property
    def mode(self) -> str:
        where = f"dream, temperature {self.play.temperature:.2f}" if self.dreaming else "real"
        return f"{where}, {'you act' if self.human_plays else 'the agent acts'}"

    def switch_controller(self) -> None:
        """From the agent to the person or back."""
        self.human_plays = not self.human_plays

    def switch_environment(self) -> None:
        """From the dream to the real environment or back: the same seed, from the start."""
        self.dreaming = not self.dreaming
        self.restart()

    def scale_temperature(self, factor: float) -> None:
        """Makes the dream hotter or colder, between 0.05 and 5."""
        if self.dreaming:
            self.play.temperature = float(np.clip(self.play.temperature * factor, 0.05, 5))

    def step(self, action: np.ndarray) -> tuple[Frame, bool]:
        """One step, and whether the episode is over. The next step then begins the episode of the next seed.

        action: the person's, used while the person plays.
        """
        human_action = action if self.human_plays else None
        try:
            frame, over = self.play.step(human_action)
        except EpisodeLost:
            self.restart()
            frame, over = self.play.step(human_action)
        self._score, self._step = self._score + frame.reward, self._step + 1
        frame.score, frame.step, frame.note = self._score, self._step, self.mode.replace(", ", "\n")
        over = over or self._step >= self._max_steps
        if over:
            self.scores.append((self.seed, self.dreaming, self._score))
            self.seed += 1
            self.restart()
        return frame, over

    def close(self) -> None:
        for play in self._plays.values():
            play.close()
