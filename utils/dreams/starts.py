"""Where dreams begin: at first frames of recorded episodes, or anywhere in them with M's memory of what came before.

Chapter and paper begin at the first frame. A dream of limited length then never shows C the end of an episode.
"""

from typing import Protocol

import numpy as np
import tensorflow as tf

from models.dream import DreamState
from models.mdn_rnn import MDNRNN
from models.vae import sample_z
from utils.data.sequences import split_series
from utils.dreams.noise import InitialLatents
from utils.environments import get_spec
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Series
from utils.run.folder import RunFolder
from utils.system import seeding

PLACES_AT_ONCE = 128


class Starts(Protocol):
    def sample(self, rng: np.random.Generator) -> DreamState:
        """The state of one dream, without a batch dimension."""


class FirstFrames:
    """The first frames of a run's episodes, with an empty memory."""

    def __init__(self, config: Config, run: RunFolder):
        self._initial, self._rnn_size = InitialLatents(run, config.z_size), config.rnn_size

    def sample(self, rng: np.random.Generator) -> DreamState:
        empty = np.zeros(self._rnn_size, np.float32)
        return DreamState(self._initial.sample(rng), empty, empty, np.float32(0))


class Places:
    """COUNT steps of a run's training episodes, each step equally likely.

    frames: mu, logvar and the reward (or end) that came with the frame, of each place.
    read: what M has read up to it, float32 (steps, input_size).
    """

    COUNT = 1000

    def __init__(self, config: Config, run: RunFolder):
        rng, predicts = seeding.generator(config.draw_seed, "dream places"), get_spec(config.env_name).predicts
        paths = split_series(config, run)[0]
        lengths = np.array([len(episodes.load(path, Series, only=("done",)).done) for path in paths])
        ends = np.cumsum(lengths)
        steps = np.sort(rng.choice(ends[-1], min(self.COUNT, int(ends[-1])), replace=False))
        numbers = np.searchsorted(ends, steps, side="right")
        self.frames: list[tuple[np.ndarray, np.ndarray, np.float32]] = []
        self.read: list[np.ndarray] = []
        for number, step in zip(numbers, steps - (ends - lengths)[numbers]):
            series = episodes.load(paths[number], Series, config)
            before = np.r_[0.0, getattr(series, predicts)[:step]].astype(np.float32)
            z = sample_z(series.mu[:step], series.logvar[:step], rng.standard_normal((step, config.z_size), np.float32))
            self.read.append(np.concatenate([z, series.action[:step], before[:-1, None]], axis=1))
            self.frames.append((series.mu[step], series.logvar[step], before[-1]))


class Anywhere:
    """Dreams that start at one of the places, with the memory of an M that has read up to it."""

    def __init__(self, rnn: MDNRNN, places: Places):
        self._frames = places.frames
        self._h, self._c = _memory(rnn, places.read)

    def sample(self, rng: np.random.Generator) -> DreamState:
        place = rng.integers(len(self._frames))
        mu, logvar, before = self._frames[place]
        z = np.asarray(sample_z(mu, logvar, rng.standard_normal(len(mu), np.float32)))
        return DreamState(z, self._h[place], self._c[place], before)


def _memory(rnn: MDNRNN, read: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """h and c, float32 (places, rnn_size), after M has read the inputs of each place, float32 (steps, input_size)."""

    @tf.function(autograph=False, reduce_retracing=True)
    def states(inputs: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        def step(t: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple:
            reads = (t < lengths)[:, None]
            after = rnn.step(inputs[:, t], h, c)
            return t + 1, *(tf.where(reads, new, old) for new, old in zip(after, (h, c)))

        empty = tf.zeros((tf.shape(inputs)[0], rnn.rnn_size))
        return tf.while_loop(lambda t, *_: t < tf.shape(inputs)[1], step, (0, empty, empty))[1:]

    order = np.argsort([len(inputs) for inputs in read])  # a batch then holds sequences of similar length
    h, c = (np.zeros((len(read), rnn.rnn_size), np.float32) for _ in range(2))
    for first in range(0, len(read), PLACES_AT_ONCE):
        group = order[first : first + PLACES_AT_ONCE]
        lengths = np.array([len(read[place]) for place in group], np.int32)
        inputs = np.zeros((len(group), lengths.max(), rnn.input_size), np.float32)
        for row, place in zip(inputs, group):
            row[: len(read[place])] = read[place]
        h[group], c[group] = (part.numpy() for part in states(inputs, lengths))
    return h, c
