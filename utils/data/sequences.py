"""M's data loader: the series of all episodes in memory, laid end to end and cut into rows of one length."""

import itertools
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

    stages: steps in a row, by the iteration, counted from 1, from which on rows have so many (`rnn_max_seq_len`). No
        row has more than there are.
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
        self.stages = {first: min(time, len(goes_on)) for first, time in config.row_stages.items()}
        self._laid_out_for: tuple[int, int] | None = None  # stage and epoch of `_layout`
        self._layout = np.empty((0, 0), int)

    def first(self, count: int) -> Batch:
        """The first `count` rows of the episodes in their order, or all, as long as the longest of all stages."""
        time = max(self.stages.values())
        steps = np.arange(min(count, self._rows(time)) * time).reshape(-1, time)
        return Batch(*(array[steps] for array in self._steps))

    def steps_in(self, iterations: int, size: int) -> int:
        """The number of time steps in the first `iterations` batches of `size` rows."""
        begins = [*self.stages, iterations + 1]
        return sum(
            max(0, min(end - 1, iterations) - (begin - 1)) * size * time
            for (begin, end), time in zip(itertools.pairwise(begins), self.stages.values())
        )

    def batches(self, first_step: int, size: int, seed: int) -> Iterator[Batch]:
        """Endless. Each batch depends on (seed, step) alone."""
        step = first_step
        while True:
            stage = max(first for first in self.stages if first <= step + 1)
            places = (step + 1 - stage) * size + np.arange(size)
            rows = [self._row(stage, int(place), seed) for place in places]
            yield Batch(*(array[np.stack(rows)] for array in self._steps))
            step += 1

    def _rows(self, time: int) -> int:
        return len(self._steps.goes_on) // time

    def _row(self, stage: int, place: int, seed: int) -> np.ndarray:
        """The steps of the row at a place in the order of all epochs of a stage."""
        time = self.stages[stage]
        epoch, row = divmod(place, self._rows(time))
        if self._laid_out_for != (stage, epoch):
            purpose = "sequences" if stage == 1 else f"sequences from iteration {stage} on"
            self._layout = self._laid_out(time, seeding.generator(seed, purpose, epoch))
            self._laid_out_for = stage, epoch
        return self._layout[row]

    def _laid_out(self, time: int, rng: np.random.Generator) -> np.ndarray:
        """The steps of all rows of an epoch, (rows, time): episodes in a random order, then rows in a random order."""
        rows, order = self._rows(time), rng.permutation(len(self._lengths))
        lengths, total = self._lengths[order], int(self._lengths.sum())
        shift = self._begins[order] - (np.cumsum(lengths) - lengths)
        steps = np.arange(total) + np.repeat(shift, lengths)
        spare = int(rng.integers(total - rows * time + 1))  # what is left over is at both ends
        return rng.permutation(steps[spare : spare + rows * time].reshape(rows, time))
