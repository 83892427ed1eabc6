"""M's data loader: the series of all episodes in memory, dealt out as padded batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.environments import get_spec
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Series
from utils.system import seeding


class Batch(NamedTuple):
    """float32. Rows beyond the end of an episode are 0."""

    mu: np.ndarray  # (batch, time, z_size)
    logvar: np.ndarray  # (batch, time, z_size)
    action: np.ndarray  # (batch, time, action_size)
    reward_or_done: np.ndarray  # (batch, time), the reward (or end) that the action brought
    mask: np.ndarray  # (batch, time), 1 where the episode has a step


class SequenceSet:
    """Series in memory, 0.3 KB a step at z_size 32, as batches of whole episodes or random pieces of long ones."""

    def __init__(self, paths: list[Path], config: Config):
        series = [episodes.load(path, Series, config) for path in paths]
        predicts = get_spec(config.env_name).predicts
        self._lengths = np.array([len(s.mu) for s in series])
        self._begins = np.concatenate([[0], np.cumsum(self._lengths)[:-1]])
        self._arrays = [np.concatenate([getattr(s, name) for s in series]) for name in ("mu", "logvar", "action")]
        self._arrays.append(np.concatenate([getattr(s, predicts) for s in series]).astype(np.float32))
        self.time = int(min(config.rnn_max_seq_len, self._lengths.max()))

    def __len__(self) -> int:
        return len(self._lengths)

    def batch(self, chosen: np.ndarray, rng: np.random.Generator) -> Batch:
        """The episodes with the numbers `chosen`: all of each, or a random piece if it is longer than `time`.

        Crop starts may overhang the episode and are clamped, so that first and last steps are sampled as often as the
        rest: dreams start at first steps, and M has to predict ends.
        """
        lengths = self._lengths[chosen]
        spare = np.maximum(lengths - self.time, 0)
        begins = self._begins[chosen] + np.clip(rng.integers(1 - self.time, lengths), 0, spare)
        mask = np.arange(self.time) < np.minimum(lengths, self.time)[:, None]
        rows = np.where(mask, begins[:, None] + np.arange(self.time), 0)
        arrays = [array[rows] * mask.reshape(mask.shape + (1,) * (array.ndim - 1)) for array in self._arrays]
        mu, logvar, action, reward_or_done = arrays
        return Batch(mu, logvar, action, reward_or_done, mask.astype(np.float32))

    def batches(self, first_step: int, size: int, seed: int) -> Iterator[Batch]:
        """Endless. Each batch depends on (seed, step) alone."""
        step = first_step
        while True:
            rng = seeding.generator(seed, "sequences", step)
            chosen = rng.choice(len(self), size, replace=len(self) < size)
            yield self.batch(chosen, rng)
            step += 1
