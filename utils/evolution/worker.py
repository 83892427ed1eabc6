"""A worker: takes tasks, plays their episodes and answers with the scores, until it is told to stop."""

import time
from typing import TYPE_CHECKING

import gymnasium

from utils.agent.rollouts import Outcome, rollout_episodes
from utils.environments import get_spec
from utils.evolution.ranks import Ranks
from utils.evolution.single_thread_blas import STARTED
from utils.evolution.tasks import Ready, Task, TaskResult
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.provenance import judging_run
from utils.system import compute
from utils.system.processes import memory_mb

if TYPE_CHECKING:
    from utils.agent.agent import AgentPolicy
    from utils.dreams.evaluator import DreamEvaluator


class RolloutWorker:
    """Plays tasks with V and M of a run. Starts TensorFlow, with one thread, and with the GPU if `gpu` says so."""

    def __init__(self, config: Config, run: RunFolder, gpu: bool = False):
        compute.start_tensorflow(threads=1, gpu=gpu)
        from utils.agent.agent import Agent

        self._config, self._run, self._make = config, run, get_spec(config.env_name).make
        self._agent = Agent(config, run)
        self._evaluators: dict[bool, DreamEvaluator] = {}  # by whether it judges, made for the first such task
        self._policies: dict[int, AgentPolicy] = {}  # by the number of environments
        self._envs: list[gymnasium.Env] = []

    def ready(self) -> tuple[str, Ready]:
        """Its first message to the orchestrator."""
        precision = compute.precision(self._config.rnn_precision)
        return "ready", Ready(time.monotonic() - STARTED, f"{precision}{compute.unusable_gpu()}")

    def answer(self, task: Task | None) -> tuple[str, TaskResult | None]:
        """Its message to the orchestrator for a task, or for None: to stop."""
        if task is None:
            self.close()
            return "stopped", None
        return task.name, self.play(task)

    def play(self, task: Task) -> TaskResult:
        began = time.monotonic()
        outcomes = self._dream(task) if task.dreamed else self._drive(task)
        seconds = time.monotonic() - began
        return TaskResult([o.score for o in outcomes], [o.steps for o in outcomes], seconds, memory_mb())

    def _dream(self, task: Task) -> list[Outcome]:
        from utils.agent.checkpoints import load_rnn
        from utils.dreams.evaluator import DreamEvaluator

        if task.judged not in self._evaluators:
            judge = judging_run(self._config, self._run) if task.judged else None
            self._evaluators[task.judged] = (
                DreamEvaluator(self._agent, self._run, [load_rnn(self._config, judge)])
                if judge
                else DreamEvaluator.of_run(self._agent, self._run)
            )
        return self._evaluators[task.judged].score(task.candidates, task.jobs, task.max_steps, task.anywhere)

    def _drive(self, task: Task) -> list[Outcome]:
        num_envs = min(self._config.controller_num_lane, len(task.jobs))
        while len(self._envs) < num_envs:
            self._envs.append(self._make())
        if num_envs not in self._policies:
            self._policies[num_envs] = self._agent.policy(num_envs, task.candidates)
        policy = self._policies[num_envs]
        policy.candidates = task.candidates
        return rollout_episodes(self._envs[:num_envs], policy, task.jobs, task.max_steps, patience=task.patience)

    def close(self) -> None:
        for env in self._envs:
            env.close()


def worker_loop(ranks: Ranks, config: Config, run: RunFolder) -> None:
    worker = RolloutWorker(config, run, gpu=config.controller_gpu and ranks.first_worker_of_host)
    ranks.send(worker.ready(), 0)
    while (task := ranks.receive()[1]) is not None:
        ranks.send(worker.answer(task), 0)
    stopped = worker.answer(None)
    ranks.stop_beating()
    ranks.send(stopped, 0)
