"""M's data loader: the series of all episodes in memory, laid end to end and cut into rows of one length."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.environments import get_spec
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Series
from utils.run.folder import RunFolder
from utils.system import seeding


def split_series(config: Config, run: RunFolder) -> tuple[list[Path], list[Path]]:
    """Training and held-out series. Of the rollouts, V has held out the same ones."""
    paths = run.series_paths(config)
    encoded, played = paths[: config.num_episodes], paths[config.num_episodes :]
    training, held_out = episodes.split(encoded, config.held_out_fraction)
    if len(played) > 1:
        more_training, more_held_out = episodes.split(played, config.held_out_fraction)
        return training + more_training, held_out + more_held_out
    return training + played, held_out


class Batch(NamedTuple):
    """float32. A row may hold the end of one episode and the beginning of another one."""

    mu: np.ndarray  # (batch, time, z_size)
    logvar: np.ndarray  # (batch, time, z_size)
    action: np.ndarray  # (batch, time, action_size)
    before: np.ndarray  # (batch, time), the reward (or end) that came with the frame, 0 for an episode's first
    reward_or_done: np.ndarray  # (batch, time), the reward (or end) that the action brought
    goes_on: np.ndarray  # (batch, time), 0 for an episode's first step, otherwise 1


class SequenceSet:
    """Series in memory, 0.3 KB a step at z_size 32, as batches of rows without padding.

    In each epoch the episodes follow one another in another order, and each step counts once, as in the original code.
    There a row also begins with M's state at the end of the row before it, here with an empty one.

    time: steps in a row, `rnn_max_seq_len`, or all that there are.
    """

    def __init__(self, paths: list[Path], config: Config):
        series = [episodes.load(path, Series, config) for path in paths]
        predicts = get_spec(config.env_name).predicts
        self._lengths = np.array([len(s.mu) for s in series])
        self._begins = np.cumsum(self._lengths) - self._lengths
        mu, logvar, action = (np.concatenate([getattr(s, name) for s in series]) for name in ("mu", "logvar", "action"))
        reward_or_done = np.concatenate([getattr(s, predicts) for s in series]).astype(np.float32)
        goes_on = np.ones(len(reward_or_done), np.float32)
        goes_on[self._begins] = 0
        self._steps = Batch(mu, logvar, action, np.roll(reward_or_done, 1) * goes_on, reward_or_done, goes_on)
        self.time = min(config.rnn_max_seq_len, len(goes_on))
        self._rows = len(goes_on) // self.time
        self._epoch, self._layout = -1, np.empty(0, int)

    def __len__(self) -> int:
        """The number of rows."""
        return self._rows

    def first(self, count: int) -> Batch:
        """The first `count` rows of the episodes in their order, or all."""
        steps = np.arange(min(count, self._rows) * self.time).reshape(-1, self.time)
        return Batch(*(array[steps] for array in self._steps))

    def batches(self, first_step: int, size: int, seed: int) -> Iterator[Batch]:
        """Endless. Each batch depends on (seed, step) alone."""
        step = first_step
        while True:
            places = np.arange(step * size, (step + 1) * size)
            rows = [self._row(int(place), seed) for place in places]
            yield Batch(*(array[np.stack(rows)] for array in self._steps))
            step += 1

    def _row(self, place: int, seed: int) -> np.ndarray:
        """The steps of the row at a place in the order of all epochs."""
        epoch, row = divmod(place, self._rows)
        if epoch != self._epoch:
            self._epoch, self._layout = epoch, self._laid_out(seeding.generator(seed, "sequences", epoch))
        return self._layout[row]

    def _laid_out(self, rng: np.random.Generator) -> np.ndarray:
        """The steps of all rows of an epoch, (rows, time): episodes in a random order, then rows in a random order."""
        order = rng.permutation(len(self._lengths))
        lengths, total = self._lengths[order], int(self._lengths.sum())
        shift = self._begins[order] - (np.cumsum(lengths) - lengths)
        steps = np.arange(total) + np.repeat(shift, lengths)
        spare = int(rng.integers(total - self._rows * self.time + 1))  # what is left over is at both ends
        return rng.permutation(steps[spare : spare + self._rows * self.time].reshape(self._rows, self.time))
