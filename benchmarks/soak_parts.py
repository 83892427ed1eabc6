"""The parts that `benchmarks.soak` measures. Each repeats a unit of work for ever; its docstring names the unit."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from utils.environments import get_spec
from utils.run import config as configuration
from utils.run.folder import RunFolder
from utils.system import compute

POPULATION = 64

Tick = Callable[[], None]  # called after each unit of work


def descendants(pid: int) -> list[int]:
    """The process ids of all descendants of `pid`."""
    found = [int(word) for task in Path(f"/proc/{pid}/task").glob("*/children") for word in task.read_text().split()]
    return found + [grandchild for child in found for grandchild in descendants(child)]


def car_racing(folder: RunFolder, tick: Tick) -> None:
    """a reset and 5 steps"""
    _resets("WorldModels/CarRacing-v3", tick)


def take_cover(folder: RunFolder, tick: Tick) -> None:
    """a reset and 5 steps"""
    _resets("WorldModels/TakeCover-v0", tick)


def _resets(env_name: str, tick: Tick) -> None:
    env = get_spec(env_name).make()
    seed = 0
    while True:
        env.reset(seed=seed)
        for _ in range(5):
            env.step(env.action_space.sample())
        seed += 1
        tick()


def take_cover_deaths(folder: RunFolder, tick: Tick) -> None:
    """a killed game, and the next one"""
    from utils.environments.spec import EpisodeLost

    env = get_spec("WorldModels/TakeCover-v0").make()
    while True:
        env.reset(seed=0)
        for game in descendants(os.getpid()):
            os.kill(game, 9)
        try:
            while True:
                env.step(env.action_space.sample())
        except EpisodeLost:
            tick()


def dream(folder: RunFolder, tick: Tick) -> None:
    """a generation of 64 candidates x 4 dreams of 100 steps"""
    _generations(folder, tick, dreamed=True, max_steps=100)


def driving(folder: RunFolder, tick: Tick) -> None:
    """a generation of 64 candidates x 1 episode of 20 steps"""
    _generations(folder, tick, dreamed=False, max_steps=20)


def _generations(folder: RunFolder, tick: Tick, dreamed: bool, max_steps: int) -> None:
    compute.start_tensorflow(threads=1)
    from utils.agent.rollouts import Job
    from utils.evolution.tasks import Task
    from utils.evolution.worker import RolloutWorker

    config = folder.read_config()
    worker = RolloutWorker(config, folder)
    rng = np.random.default_rng(0)
    generation = 0
    while True:
        candidates = rng.normal(0, 0.1, (POPULATION, config.controller.num_parameters)).astype(np.float32)
        episodes = range(4 if dreamed else 1)
        jobs = [Job(generation * 4 + e, 0, k) for k in range(POPULATION) for e in episodes]
        worker.play(Task("soak", candidates, jobs, max_steps, dreamed=dreamed))
        generation += 1
        tick()


def vae_checkpoints(folder: RunFolder, tick: Tick) -> None:
    """a checkpoint of V with its pictures, every few steps"""
    _checkpoints("utils.training.train_vae", "train_vae", folder, tick, ("vae_num_epoch=100000",))


def rnn_checkpoints(folder: RunFolder, tick: Tick) -> None:
    """a checkpoint of M with its pictures, every few steps"""
    _checkpoints("utils.training.train_rnn", "train_rnn", folder, tick, ("rnn_num_steps=10000000",))


def _checkpoints(module: str, function: str, folder: RunFolder, tick: Tick, settings: tuple[str, ...]) -> None:
    compute.start_tensorflow()
    import importlib

    from utils.system.progress import Progress
    from utils.training import trainer

    trainer.PICTURE_SECONDS = 0.0
    save = trainer.Training.save

    def save_and_tick(self, drawing):
        save(self, drawing)
        tick()

    trainer.Training.save = save_and_tick
    config = configuration.load(folder.path / "config.yaml", [*settings, "checkpoint_seconds=0.0001"])
    getattr(importlib.import_module(module), function)(config, folder, Progress(module, "steps"))


def collection(folder: RunFolder, tick: Tick) -> None:
    """an episode of 10 steps, collected by one process"""
    from utils.data.collect import collect

    class Ticking:
        def start(self, total):
            pass

        def advance(self, count):
            for _ in range(count):
                tick()

        def close(self):
            pass

    settings = ["parallel_processes=1", "max_trials=100000", "max_frames=10", f"exp_name={folder.path.name}_soak"]
    config = configuration.load(folder.path / "config.yaml", settings)
    collect(config, RunFolder(folder.path.with_name(config.exp_name)), Ticking())


def evolution_log(folder: RunFolder, tick: Tick) -> None:
    """the log of a generation of 64 candidates: log.csv, fitness.csv, TensorBoard, resume.pkl"""
    from utils.evolution.log import EvolutionLog
    from utils.evolution.state import EvolutionState

    settings = [f"controller_num_worker_trial={POPULATION}", "controller_num_worker=1"]
    config = configuration.load(folder.path / "config.yaml", settings)
    run = RunFolder(folder.path.with_name("log"))
    run.controller.mkdir(parents=True)
    state, log = EvolutionState(config, np.zeros(867)), EvolutionLog(config, run)
    rng = np.random.default_rng(0)
    names = ("reward_mean", "reward_std", "reward_min", "reward_max", "sigma", "rms_stdev", "mean_steps")
    while True:
        state.generation += 1
        row = {"generation": state.generation} | {name: float(rng.normal()) for name in names}
        row |= {"episodes": 16, "max_steps": 1000, "steps": 10**6, "worker_seconds": 100.0}
        row |= dict.fromkeys(f"evaluation_{name}" for name in ("mean", "std", "min", "max"))
        row |= {"generation_seconds": 50.0, "seconds": 50.0 * state.generation, "worker_ranks": 2}
        state.rows.append(row | {"worker_memory_mb": 500.0, "cma_stop": ""})
        state.fitness.append(rng.normal(size=POPULATION).tolist())
        state.save(state.frozen(), run.controller)
        log.write(state)
        tick()


PARTS = {
    part.__name__: part
    for part in (
        car_racing, take_cover, take_cover_deaths, dream, driving, vae_checkpoints, rnn_checkpoints, collection,
        evolution_log,
    )
}  # fmt: skip
