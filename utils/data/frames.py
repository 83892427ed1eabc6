"""Shuffled batches of frames from disk, in bounded memory, read while the model trains on the ones before."""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from utils.run import episodes
from utils.run.episodes import Rollout
from utils.system import seeding


class FrameStream:
    """Frames of rollouts in random order, each at most once an epoch.

    A pool of whole episodes, drawn at random, of about `pool_frames` frames is shuffled and dealt out while
    the next pool is read: memory is three pools at most (12 KB a frame), whatever the data set's size, and the
    disk is read in long runs. The batches depend on (seed, step) alone, so training can go on from any step.
    """

    def __init__(self, paths: list[Path], batch_size: int, pool_frames: int, seed: int):
        self._paths, self._batch_size, self._pool_frames, self._seed = paths, batch_size, pool_frames, seed
        self._lengths = [len(episodes.load(path, Rollout, only=("reward",)).reward) for path in paths]

    @property
    def num_frames(self) -> int:
        return sum(self._lengths)

    def steps_in(self, epoch: int) -> int:
        """Full batches in `epoch`. What does not fill a batch at a pool's end is left to another epoch."""
        return sum(self._batches_in(pool) for pool in self._pools(epoch))

    def steps_of(self, num_epochs: float) -> int:
        """Batches in so many epochs, the last of which may be a part of one; at least 1."""
        whole = int(num_epochs)
        steps = sum(self.steps_in(epoch) for epoch in range(whole))
        if num_epochs > whole:
            steps += round((num_epochs - whole) * self.steps_in(whole))
        return max(1, steps)

    def _batches_in(self, pool: list[int]) -> int:
        return sum(self._lengths[index] for index in pool) // self._batch_size

    def _pools(self, epoch: int) -> list[list[int]]:
        """Episodes in the order of `epoch`, cut into pools of at least pool_frames where there are as many."""
        order = seeding.generator(self._seed, "frame order", epoch).permutation(len(self._paths))
        pools: list[list[int]] = [[]]
        frames = 0
        for index in order:
            if frames >= self._pool_frames:
                pools.append([])
                frames = 0
            pools[-1].append(int(index))
            frames += self._lengths[index]
        if len(pools) > 1 and frames < self._batch_size:
            pools[-2].extend(pools.pop())
        return pools

    def _read(self, epoch: int, number: int, pool: list[int]) -> np.ndarray:
        frames = np.empty((sum(self._lengths[index] for index in pool), 64, 64, 3), np.uint8)
        order = seeding.generator(self._seed, "frames", epoch, number).permutation(len(frames))
        begin = 0
        for index in pool:
            obs = episodes.load(self._paths[index], Rollout, only=("obs",)).obs
            frames[order[begin : begin + len(obs)]] = obs
            begin += len(obs)
        return frames

    def batches(self, first_step: int, num_epochs: int) -> Iterator[np.ndarray]:
        """uint8 (batch_size, 64, 64, 3) each, from `first_step` on to the end of the last epoch."""
        plan = []
        for epoch in range(num_epochs):
            for number, pool in enumerate(self._pools(epoch)):
                steps = self._batches_in(pool)
                if first_step < steps:
                    plan.append((epoch, number, pool, first_step))
                first_step = max(0, first_step - steps)
        with ThreadPoolExecutor(1) as reader:
            coming = [reader.submit(self._read, *entry[:3]) for entry in plan[:1]]
            for position, entry in enumerate(plan):
                frames = coming.pop().result()
                if position + 1 < len(plan):
                    coming = [reader.submit(self._read, *plan[position + 1][:3])]
                for step in range(entry[3], len(frames) // self._batch_size):
                    yield frames[step * self._batch_size : (step + 1) * self._batch_size]


def prefetched(items: Iterator, depth: int) -> Iterator:
    """The same items, made in a thread that runs up to `depth` ahead. An error there is raised here."""
    ready: queue.Queue = queue.Queue(depth)
    stopped = threading.Event()

    def produce() -> None:
        try:
            for item in items:
                while not stopped.is_set():
                    try:
                        ready.put((item, None), timeout=0.5)
                        break
                    except queue.Full:
                        continue
                if stopped.is_set():
                    return
            ready.put((None, StopIteration()))
        except BaseException as error:  # any error, to be raised where the next item is taken
            ready.put((None, error))

    threading.Thread(target=produce, daemon=True).start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()
