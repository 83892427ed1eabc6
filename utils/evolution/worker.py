"""A worker: takes a part, plays its episodes, sends back the scores, until it is told to stop."""

import time

import gymnasium

from utils.agent.rollouts import Outcome, run
from utils.environments import get_spec
from utils.evolution.ranks import Ranks
from utils.evolution.single_thread_blas import STARTED
from utils.evolution.tasks import Task, TaskResult
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.processes import memory_mb


class RolloutWorker:
    """Plays parts with V and M of a run. One policy for each number of num_envs that parts need."""

    def __init__(self, config: Config, folder: RunFolder):
        from utils.agent.agent import Agent  # imports TensorFlow

        self._config, self._make = config, get_spec(config.env_name).make
        self._agent = Agent(config, folder)
        self._folder = folder
        self._dreams = None  # made when a part asks for them
        self._policies: dict = {}
        self._envs: list[gymnasium.Env] = []

    @property
    def num_parameters(self) -> int:
        return self._agent.num_parameters

    def play(self, part: Task) -> TaskResult:
        began = time.monotonic()
        outcomes = self._dream(part) if part.dreamed else self._drive(part)
        seconds = time.monotonic() - began
        return TaskResult([o.score for o in outcomes], [o.steps for o in outcomes], seconds, memory_mb())

    def _dream(self, part: Task) -> list[Outcome]:
        from utils.dreams.evaluator import Dreams

        if self._dreams is None:
            self._dreams = Dreams(self._agent, self._folder)
        return self._dreams.play(part.candidates, part.jobs, part.max_steps)

    def _drive(self, part: Task) -> list[Outcome]:
        num_envs = min(self._config.controller_num_lane, len(part.jobs))
        while len(self._envs) < num_envs:
            self._envs.append(self._make())
        if num_envs not in self._policies:
            self._policies[num_envs] = self._agent.policy(num_envs)
        policy = self._policies[num_envs]
        policy.candidates = part.candidates
        return run(self._envs[:num_envs], policy, part.jobs, part.max_steps, patience=part.patience)

    def close(self) -> None:
        for env in self._envs:
            env.close()


def serve(ranks: Ranks, config: Config, folder: RunFolder) -> None:
    compute.start_tensorflow(threads=1)
    player = RolloutWorker(config, folder)
    ranks.send(("ready", {"seconds": time.monotonic() - STARTED, "num_parameters": player.num_parameters}), 0)
    while True:
        _, part = ranks.receive()
        if part is None:
            player.close()
            return
        ranks.send((part.name, player.play(part)), 0)
