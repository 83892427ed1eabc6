"""Doom's rows of `benchmarks.speed`. Each function measures one row and returns steps per second.

python -m benchmarks.doom NAME RUN      prints one number
"""

import time
from pathlib import Path

import numpy as np

from benchmarks.measurements import dream, measure_one, per_second
from benchmarks.steps import train_rnn
from utils.agent.rollouts import ExplorationPolicy, Job, rollout_episodes
from utils.environments import get_spec
from utils.environments.take_cover import MAX_STEPS
from utils.run import cli, config
from utils.run.folder import RunFolder
from utils.system import compute

CONFIG = "config/doom_take_cover.yaml"
NUM_ENVS = 16  # games at once in a process


def _rate(envs, policy) -> float:
    jobs = [Job(seed, seed) for seed in range(max(32, 4 * len(envs)))]
    rollout_episodes(envs, policy, jobs[: len(envs)], 20)  # starts the games
    began = time.perf_counter()
    outcomes = rollout_episodes(envs, policy, jobs, MAX_STEPS)
    return sum(outcome.steps for outcome in outcomes) / (time.perf_counter() - began)


def environment_stock(_) -> float:
    """ViZDoom's own Gymnasium environment, a tic a step, with random actions."""
    import gymnasium
    import vizdoom.gymnasium_wrapper  # noqa: F401  registers it

    env = gymnasium.make("VizdoomTakeCover-v1", frame_skip=1)
    rng = np.random.default_rng(0)
    env.reset(seed=0)

    def play():
        for _ in range(2000):
            _, _, terminated, truncated, _ = env.step(rng.integers(env.action_space.n))
            if terminated or truncated:
                env.reset()

    play()
    return per_second(2000, play)


def environment_ours(_) -> float:
    return _environments(1)


def environments_ours(_) -> float:
    return _environments(NUM_ENVS)


def _environments(num_envs: int) -> float:
    spec = get_spec("WorldModels/TakeCover-v0")
    envs = [spec.make() for _ in range(num_envs)]
    return _rate(envs, ExplorationPolicy(spec.explorations["held"], num_envs))


def _agent(run_folder: Path):
    compute.start_tensorflow(threads=1)
    from utils.agent.agent import Agent

    return Agent(config.load(CONFIG), RunFolder(run_folder))


def agent_ours(run_folder: Path) -> float:
    agent = _agent(run_folder)
    candidates = np.random.default_rng(0).normal(0, 0.1, (1, agent.controller.num_parameters)).astype(np.float32)
    policy = agent.policy(NUM_ENVS, candidates)
    return _rate([agent.spec.make() for _ in range(NUM_ENVS)], policy)


def dream_float32(run_folder: Path) -> float:
    return dream(run_folder, CONFIG, "float32")


def dream_ours(run_folder: Path) -> float:
    return dream(run_folder, CONFIG, "auto")


def rnn_in_memory(run_folder: Path) -> float:
    return train_rnn(run_folder, CONFIG, in_memory=True)


if __name__ == "__main__":
    cli.call(lambda: measure_one("doom", __doc__, globals()), timed=False)
