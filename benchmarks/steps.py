"""The rows of `benchmarks.speed` for steps 1 to 4, on all cores. Each function returns items per second.

python -m benchmarks.steps NAME RUN      prints one number
"""

import itertools
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measurements import CONFIG, measure_one, per_second, products_per_second
from utils.run import cli, config
from utils.run.folder import RunFolder
from utils.system import compute


def _training(batches, train_step, steps: int, items: int) -> float:
    import tensorflow as tf

    for step, batch in enumerate(batches):
        if step == 3:  # the first ones compile
            began = time.perf_counter()
        float(train_step(batch, tf.constant(step, tf.int64))["loss"])
        if step == steps + 2:
            return steps * items / (time.perf_counter() - began)
    raise ValueError("too few batches")


def _vae(run_folder: Path, in_memory: bool) -> float:
    settings = config.load(CONFIG)
    compute.start_tensorflow(rows=settings.vae_batch_size)
    from models.vae import build_vae
    from utils.data.frames import FrameStream, prefetched
    from utils.training.train_vae import make_steps

    vae, parts = build_vae(32, compute.precision("auto"), 0), compute.parts_at_once(settings.vae_batch_size)
    train_step, *_ = make_steps(vae, settings, parts)
    paths = sorted((run_folder / "rollouts").glob("*.npz"))
    batches = prefetched(FrameStream(paths, settings.vae_batch_size, 5000, 0).batches(0, 100), depth=8)
    if in_memory:
        batches = itertools.repeat(next(batches))
    return _training(batches, train_step, 80, settings.vae_batch_size)


def train_rnn(run_folder: Path, configuration: str, in_memory: bool) -> float:
    settings = config.load(configuration)
    compute.start_tensorflow(rows=settings.rnn_batch_size)
    from utils.agent.checkpoints import build_rnn
    from utils.data.frames import prefetched
    from utils.data.sequences import SequenceSet
    from utils.training.train_rnn import make_steps

    train_step, *_ = make_steps(build_rnn(settings), settings, compute.parts_at_once(settings.rnn_batch_size))
    sequences = SequenceSet(sorted((run_folder / "series").glob("episode_*.npz")), settings)
    batches = prefetched(sequences.batches(0, settings.rnn_batch_size, 0), depth=4)
    first = next(batches)
    return _training(itertools.repeat(first) if in_memory else batches, train_step, 12, first.goes_on.size)


def vae_in_memory(run_folder: Path) -> float:
    return _vae(run_folder, in_memory=True)


def vae_streamed(run_folder: Path) -> float:
    return _vae(run_folder, in_memory=False)


def rnn_in_memory(run_folder: Path) -> float:
    return train_rnn(run_folder, CONFIG, in_memory=True)


def rnn_dealt(run_folder: Path) -> float:
    return train_rnn(run_folder, CONFIG, in_memory=False)


def peak(_) -> float:
    return products_per_second(threads=None)


# Steps 1 and 3, all cores, from the first process to the last file -------------------------------------------------


def rollouts_two_processes(_) -> float:
    from utils.data.collect import collect
    from utils.system.progress import Progress

    settings = config.load(CONFIG, ["parallel_processes=2", "max_trials=60"])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        return collect(settings, RunFolder(Path(folder)), Progress("rollouts", "episodes")) / (
            time.perf_counter() - began
        )


def encoder_all_cores(run_folder: Path) -> float:
    compute.start_tensorflow()
    from models.vae import FrameCodec
    from utils.agent.checkpoints import load_vae

    codec = FrameCodec(load_vae(config.load(CONFIG), RunFolder(run_folder)))
    obs = np.random.default_rng(0).integers(0, 256, (codec.BATCH * 10, 64, 64, 3), np.uint8)
    codec.encode(obs[: codec.BATCH])
    return per_second(len(obs), lambda: codec.encode(obs))


def series_written(run_folder: Path) -> float:
    """Step 3 after TensorFlow's start: 400 episodes, ten links to each of the run's 40."""
    compute.start_tensorflow()
    from utils.data.encode import encode_rollouts
    from utils.system.progress import Progress

    settings = config.load(CONFIG, ["parallel_processes=2", "max_trials=200"])
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        run.vae.symlink_to(run_folder / "vae")
        run.rollouts.mkdir()
        run.series.mkdir()
        rollouts = sorted((run_folder / "rollouts").glob("*.npz"))
        for index in range(settings.num_episodes):
            run.rollout(index).symlink_to(rollouts[index % len(rollouts)])
        began = time.perf_counter()
        frames = encode_rollouts(settings, run, Progress("series", "episodes"))
        return frames / (time.perf_counter() - began)


if __name__ == "__main__":
    cli.call(lambda: measure_one("steps", __doc__, globals()), timed=False)
