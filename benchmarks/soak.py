"""Does anything that runs for long keep what it no longer needs? Memory per unit of work, part by part.

    python -m benchmarks.soak                      every part for two minutes, about 20 in all
    python -m benchmarks.soak --seconds 30 --parts car_racing dream

Each part runs in a process of its own on a tiny run (memory that is kept does not depend on what the networks have
learned). Its memory, with that of its child processes, is read after each unit of work; the first third is left to
caches that fill. Growth is the slope of a line through the rest. With --store writes benchmarks/results/soak.json.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.report import announce, command, store, with_store
from utils.environments import get_spec
from utils.run import cli
from utils.run import config as configuration
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.errors import UsageError

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests/tiny.yaml"
POPULATION = 64
GENERATIONS = 2000  # that C's log is written for, whatever the time

Tick = Callable[[], None]  # called after each unit of work


class TimeIsUp(Exception):
    pass


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
    """a game that is killed, and the next one"""
    from utils.environments.spec import EpisodeLost

    env = get_spec("WorldModels/TakeCover-v0").make()
    while True:
        env.reset(seed=0)
        for game in _children(os.getpid()):
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
    """a generation of 64 candidates written down: log.csv, fitness.csv, TensorBoard, resume.pkl"""
    from utils.evolution.log import EvolutionLog
    from utils.evolution.state import EvolutionState

    settings = [f"controller_num_worker_trial={POPULATION}", "controller_num_worker=1"]
    config = configuration.load(folder.path / "config.yaml", settings)
    run = RunFolder(folder.path.with_name("log"))
    run.controller.mkdir(parents=True)
    state, log = EvolutionState(config, np.zeros(867)), EvolutionLog(config, run)
    log.open_tensorboard()
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
        state.save(run.controller)
        log.write(state)
        tick()


PARTS = {
    part.__name__: part
    for part in (
        car_racing, take_cover, take_cover_deaths, dream, driving, vae_checkpoints, rnn_checkpoints, collection,
        evolution_log,
    )
}  # fmt: skip


def _children(pid: int) -> list[int]:
    """Of all its threads, and theirs."""
    found = [int(word) for task in Path(f"/proc/{pid}/task").glob("*/children") for word in task.read_text().split()]
    return found + [grandchild for child in found for grandchild in _children(child)]


def _memory(pid: int) -> float:
    """MB that a process and those it started hold."""
    total = 0
    for one in (pid, *_children(pid)):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except FileNotFoundError:
            continue
    return total / 1e6


def measure(name: str, folder: Path, seconds: float) -> dict[str, float]:
    """Runs a part for `seconds`. Returns units done, MB at the third and at the end, KB a unit, seconds a unit last."""
    times, memory, began = [], [], time.monotonic()

    def tick() -> None:
        now = time.monotonic() - began
        if not times or now - times[-1][1] > seconds / 1000 or name == "evolution_log":
            memory.append(_memory(os.getpid()))
            times.append((ticks[0], now))
        ticks[0] += 1
        if now > seconds and (name != "evolution_log" or ticks[0] >= GENERATIONS):
            raise TimeIsUp

    ticks = [0]
    with contextlib.suppress(TimeIsUp):
        PARTS[name](RunFolder(folder), tick)
    units, when = np.array(times).T
    rest = slice(len(units) // 3, None)
    slope = np.polyfit(units[rest], np.array(memory)[rest], 1)[0] if len(units[rest]) > 2 else float("nan")
    last = slice(-max(2, len(units) // 20), None)
    return {
        "units": ticks[0],
        "mb_at_a_third": round(memory[rest][0], 1),
        "mb_at_the_end": round(memory[-1], 1),
        "kb_per_unit": round(1000 * float(slope), 2),
        "seconds_per_unit_at_the_end": round(float(np.ptp(when[last]) / np.ptp(units[last])), 4),
    }


def _make_run(runs: Path, *settings: str) -> Path:
    """A tiny run, steps 1 to 4. Returns its folder."""
    for script in ("01_generate_data.py", "02_train_vae.py", "03_generate_rnn_data.py", "04_train_rnn.py"):
        script_command = [sys.executable, str(ROOT / script), "--config", str(TINY), "--quiet", f"runs_folder={runs}"]
        if subprocess.run([*script_command, *settings], cwd=ROOT).returncode:
            raise UsageError(f"{script} failed on {TINY}; the lines above say why")
    return runs / "tiny"


def main() -> None:
    parser = with_store(command("soak", __doc__))
    parser.add_argument("--seconds", type=float, default=120, help="for each part (%(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, folder = arguments.one
        print(json.dumps(measure(name, Path(folder), arguments.seconds)))
        return
    if arguments.store and set(arguments.parts) != set(PARTS):
        raise UsageError("--store keeps a run of all parts: leave --parts out")
    announce(arguments)
    rows = {}
    with tempfile.TemporaryDirectory(prefix="soak_") as runs:
        folder = _make_run(Path(runs))
        print(f"{'part':18} {'units':>8} {'MB then':>8} {'MB last':>8} {'KB a unit':>10} {'s a unit':>9}   a unit is")
        for name in arguments.parts:
            part = [sys.executable, "-m", "benchmarks.soak", "--seconds", str(arguments.seconds)]
            done = subprocess.run([*part, "--one", name, str(folder)], cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                raise UsageError(f"{name} failed:\n{done.stderr.strip()}")
            row = json.loads(done.stdout.splitlines()[-1])
            rows[name] = {"unit": PARTS[name].__doc__, **row}
            print(
                f"{name:18} {row['units']:8} {row['mb_at_a_third']:8.0f} {row['mb_at_the_end']:8.0f} "
                f"{row['kb_per_unit']:10.2f} {row['seconds_per_unit_at_the_end']:9.4f}   {PARTS[name].__doc__}",
                flush=True,
            )
    store(arguments, "soak", {"seconds": arguments.seconds, "parts": rows})


if __name__ == "__main__":
    cli.call(main, timed=False)
