"""Does reading frames from disk slow V's training down? Is its memory bounded? Is bfloat16 faster?

    python -m benchmarks.vae_input [--episodes 120] [--rounds 3]

Collects rollouts into a temporary folder and trains V on them for some steps: with frames in memory, with frames
streamed from disk, and with four times as many frames streamed, to compare the peak memory. Each measurement runs in
its own process.
"""

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import announce, at_least_1, command, store, with_store
from utils.data.collect import collect
from utils.data.frames import FrameStream, prefetched
from utils.run import cli, episodes
from utils.run.config import load
from utils.run.episodes import Rollout
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.progress import Progress

STEPS, WARM_UP = 60, 5


def train(folder: Path, source: str, precision: str, copies: int) -> dict[str, float]:
    """Trains V for STEPS steps. Returns images per second, peak memory in MB, and the frames of the data set."""
    config = load("config/carracing.yaml", [f"vae_precision={precision}", "vae_shuffle_frames=1000"])
    compute.start_tensorflow(rows=config.vae_batch_size)
    import tensorflow as tf

    from models.vae import build_vae
    from utils.training.train_vae import make_steps

    vae, parts = build_vae(config.z_size, precision, 0), compute.parts_at_once(config.vae_batch_size)
    train_step, *_ = make_steps(vae, config, parts)
    paths = sorted(folder.glob("episode_*.npz")) * copies
    stream = FrameStream(paths, config.vae_batch_size, config.vae_shuffle_frames, 0)
    if source == "memory":
        obs = episodes.load(paths[0], Rollout).obs[: config.vae_batch_size]
        batches = itertools.repeat(obs)
    else:
        batches = prefetched(stream.batches(0, 100), depth=8)
    for step, batch in enumerate(batches):
        if step == WARM_UP:
            began = time.perf_counter()
        losses = train_step(batch, tf.constant(step, tf.int64))
        float(losses["loss"])
        if step == WARM_UP + STEPS:
            break
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"images_per_second": STEPS * config.vae_batch_size / seconds, "peak_mb": peak, "frames": stream.num_frames}


def measure(folder: Path, source: str, precision: str, copies: int, rounds: int) -> dict[str, float]:
    part = [sys.executable, "-m", "benchmarks.vae_input", "--one", str(folder), source, precision, str(copies)]
    results = [
        json.loads(subprocess.run(part, stdout=subprocess.PIPE, text=True, check=True).stdout) for _ in range(rounds)
    ]
    return {name: round(statistics.median(result[name] for result in results), 1) for name in results[0]}


def main() -> None:
    parser = with_store(command("vae_input", __doc__))
    parser.add_argument("--episodes", type=at_least_1, default=120)
    parser.add_argument("--rounds", type=at_least_1, default=3)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        folder, source, precision, copies = arguments.one
        print(json.dumps(train(Path(folder), source, precision, int(copies))))
        return
    announce(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        run = RunFolder(Path(temporary))
        config = load("config/carracing.yaml", ["parallel_processes=2", f"max_trials={arguments.episodes // 2}"])
        collect(config, run, Progress("rollouts", "episodes"))
        os.sync()
        rows = {}
        for precision in ("float32", "bfloat16"):
            rows[f"{precision}, frames in memory"] = measure(run.rollouts, "memory", precision, 1, arguments.rounds)
            rows[f"{precision}, streamed"] = measure(run.rollouts, "disk", precision, 1, arguments.rounds)
        rows["bfloat16, streamed, four times the data"] = measure(run.rollouts, "disk", "bfloat16", 4, arguments.rounds)
    for name, row in rows.items():
        print(
            f"{name:42} {row['images_per_second']:8.0f} images/s {row['peak_mb']:8.0f} MB {row['frames']:9.0f} frames"
        )
    speed = {name: row["images_per_second"] for name, row in rows.items()}
    ratios = {
        "streamed to in memory, float32": speed["float32, streamed"] / speed["float32, frames in memory"],
        "streamed to in memory, bfloat16": speed["bfloat16, streamed"] / speed["bfloat16, frames in memory"],
        "bfloat16 to float32, streamed": speed["bfloat16, streamed"] / speed["float32, streamed"],
        "peak memory, four times the data to once": rows["bfloat16, streamed, four times the data"]["peak_mb"]
        / rows["bfloat16, streamed"]["peak_mb"],
    }
    ratios = {name: float(np.round(value, 3)) for name, value in ratios.items()}
    for name, value in ratios.items():
        print(f"{name:42} {value:8.2f}")
    store(arguments, "vae_input", {"rounds": arguments.rounds, "rows": rows, "ratios": ratios})


if __name__ == "__main__":
    cli.call(main)
