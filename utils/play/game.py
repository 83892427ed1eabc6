"""Playing by hand: one episode at a time, real or dreamed, with the agent or a person at the wheel."""

from collections.abc import Callable

import numpy as np

from models.controller import controller_actions
from utils.agent.agent import Agent
from utils.agent.rollouts import Job
from utils.dreams.batch import DreamBatch
from utils.environments.spec import EpisodeLost
from utils.figures.film import Moment
from utils.run.folder import RunFolder
from utils.system import seeding


class RealPlay:
    """The real environment, seen and driven through V, M and C."""

    def __init__(self, agent: Agent, parameters: np.ndarray, stock: bool):
        spec = agent.spec
        self._agent, self._policy = agent, agent.policy(1)
        self._policy.candidates = parameters[None]
        self._env = (spec.make_stock if stock else spec.make)(render_mode="rgb_array")

    def begin(self, seed: int) -> None:
        self._obs, self._reward_or_done = self._env.reset(seed=seed)[0], 0.0
        self._policy.begin(0, Job(seed, seeding.integer(seed, "watching")))

    def step(self, by_hand: np.ndarray | None) -> tuple[Moment, bool]:
        """One step; by_hand: a person's action, None for the agent's. Whether it was the last."""
        road, obs = self._env.render(), self._obs
        hands = None if by_hand is None else by_hand[None]
        action = self._policy.act(obs[None], np.float32([self._reward_or_done]), hands)[0]
        self._obs, reward, terminated, truncated, _ = self._env.step(action)
        self._reward_or_done = reward
        made = self._agent.decode(self._policy.z)[0]
        return Moment(road, obs, made, action, float(reward), 0.0, 0), terminated or truncated

    def close(self) -> None:
        self._env.close()


class DreamPlay:
    """The run's dream: M makes the world, V paints it for whoever watches."""

    def __init__(self, agent: Agent, run: RunFolder, parameters: np.ndarray, temperature: float):
        self._agent, self._parameters = agent, parameters[None]
        self._world = DreamBatch(agent.config, run, batch=1)
        self.temperature = temperature

    def begin(self, seed: int) -> None:
        self._world.begin(0, seed)

    def step(self, by_hand: np.ndarray | None) -> tuple[Moment, bool]:
        config, spec = self._agent.config, self._agent.spec
        action = by_hand
        if action is None:
            features = self._world.features()[None]
            action = controller_actions(self._parameters, features, spec.activations, config.controller_bias)
            action = np.asarray(action)[0, 0]
        dreamed = self._agent.decode(self._world.z)[0]
        rewards, done = self._world.step(action[None], self.temperature)
        return Moment(dreamed, None, dreamed, action, float(rewards[0]), 0.0, 0), bool(done[0])

    def close(self) -> None:
        pass


class Game:
    """Episodes one after the other, on the seeds `seed`, `seed` + 1, ...; what a window's keys change."""

    def __init__(
        self, make_real: Callable[[], RealPlay], make_dream: Callable[[], DreamPlay], dreaming: bool, seed: int,
        max_steps: int,
    ):  # fmt: skip
        self._make, self._max_steps = {False: make_real, True: make_dream}, max_steps
        self._made: dict[bool, RealPlay | DreamPlay] = {}
        self.dreaming, self.by_hand, self.seed = dreaming, False, seed
        self.scores: list[tuple[int, bool, float]] = []  # seed, dreamed, score of each finished episode
        self.restart()

    @property
    def play(self) -> RealPlay | DreamPlay:
        if self.dreaming not in self._made:
            self._made[self.dreaming] = self._make[self.dreaming]()
        return self._made[self.dreaming]

    def restart(self) -> None:
        self._score, self._step = 0.0, 0
        try:
            self.play.begin(self.seed)
        except EpisodeLost:  # its game died while nobody played it; begun again, there is another
            self.play.begin(self.seed)

    @property
    def mode(self) -> str:
        where = f"dream, temperature {self.play.temperature:.2f}" if self.dreaming else "real"
        return f"{where}, {'you drive' if self.by_hand else 'the agent drives'}"

    def switch_controller(self) -> None:
        self.by_hand = not self.by_hand

    def flip(self) -> None:
        """From the dream to reality or back, on the same seed, from the start."""
        self.dreaming = not self.dreaming
        self.restart()

    def heat(self, factor: float) -> None:
        """Makes the dream hotter or colder, between 0.05 and 5."""
        if self.dreaming:
            self.play.temperature = float(np.clip(self.play.temperature * factor, 0.05, 5))

    def step(self, action: np.ndarray) -> tuple[Moment, bool]:
        """One step, with a person's action if the person is at the wheel. Whether the episode is over: the next
        step then begins that of the next seed."""
        try:
            moment, over = self.play.step(action if self.by_hand else None)
        except EpisodeLost:
            self.restart()
            moment, over = self.play.step(action if self.by_hand else None)
        self._score, self._step = self._score + moment.reward, self._step + 1
        moment.score, moment.step, moment.note = self._score, self._step, self.mode.replace(", ", "\n")
        over = over or self._step >= self._max_steps
        if over:
            self.scores.append((self.seed, self.dreaming, self._score))
            self.seed += 1
            self.restart()
        return moment, over

    def close(self) -> None:
        for play in self._made.values():
            play.close()
