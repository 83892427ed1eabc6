"""Is the dream any good? M's open-loop predictions beside what really happened.

A window of a held-out episode: M watches the real z up to its start, and from there on sees only what it dreams
itself, while it is given the real actions.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models.dream import Dream, DreamState
from models.mdn_rnn import mixture_nll
from utils import episodes, seeding
from utils.agent import Agent
from utils.episodes import Series
from utils.errors import UsageError
from utils.run_folder import RunFolder

HORIZONS = (1, 5, 15, 50)
SAMPLES = 32  # dreams of each window
WATCHED = 20  # steps of an episode that M sees at least before it dreams
SPACING = 25  # steps between the windows of an episode


@dataclass
class Windows:
    """Of n windows of `length` steps: mu and dreamed z, float32 (n, length + 1, z_size), which begin with the last
    real one, the dreamed ones (n, SAMPLES, ...); true signal (reward or end) and predicted one, (n, length);
    nll of the real z a dimension, in nats, (n, length). episode, start: where each is from."""

    mu: np.ndarray
    dreamed: np.ndarray
    signal: np.ndarray
    predicted: np.ndarray
    nll: np.ndarray
    episode: np.ndarray
    start: np.ndarray


def dream_windows(agent: Agent, run: RunFolder, temperature: float = 1.0) -> Windows:
    """Dreams every window of the held-out episodes. Raises `UsageError` if all of them are too short."""
    config, predicts, length = agent.config, agent.description.predicts, max(HORIZONS)
    _, held_out = episodes.split(run.series_paths(config), config.held_out_fraction)
    dream = Dream(agent.rnn, predicts)
    watch = tf.function(dream.predict, autograph=False, reduce_retracing=True)
    beginnings, real = [], []
    for number, path in enumerate(held_out):
        series = episodes.load(path, Series)
        signal = getattr(series, predicts).astype(np.float32)
        starts = range(WATCHED, len(signal) - length, SPACING)
        state = dream.begin(series.mu[:1])
        for t in range(starts[-1] + 1 if starts else 0):
            state = DreamState(series.mu[t : t + 1], state.h, state.c, signal[t - 1 : t] if t else np.float32([0]))
            if t in starts:
                beginnings.append(state)
                window = slice(t, t + length)
                real.append((series.mu[t : t + length + 1], series.action[window], signal[window], number, t))
            h, c, *_ = watch(DreamState(*map(tf.convert_to_tensor, state)), tf.constant(series.action[t : t + 1]))
            state = DreamState(state.z, h, c, state.signal)
    if not real:
        raise UsageError(f"{run.series}: no held-out episode has the {WATCHED + length + 1} steps that this needs")
    beginning = DreamState(*(np.concatenate(of_all) for of_all in zip(*beginnings)))
    mu, action, signal, episode, start = (np.stack(of_all) for of_all in zip(*real))
    rng = seeding.generator(config.seed, "dream quality")
    dreamed, predicted, nll = _dream(dream, beginning, action, mu[:, 1:], temperature, rng)
    last_seen = np.broadcast_to(mu[:, None, :1], dreamed[:, :, :1].shape)
    return Windows(mu, np.concatenate([last_seen, dreamed], axis=2), signal, predicted, nll, episode, start)


def _dream(dream: Dream, beginning: DreamState, actions, mu, temperature: float, rng):
    """SAMPLES dreams of each of n windows. Returns z (n, SAMPLES, length, z_size), the predicted reward or chance of
    the end and the NLL of the real mu, (n, length) each, both over all dreams of a window."""
    n, length, z_size = mu.shape

    def each(array):
        return np.repeat(array, SAMPLES, axis=0)

    @tf.function(autograph=False)
    def step(state, action, real, uniform, normal):
        h, c, mixture, prediction = dream.predict(state, action)
        following, _, _ = dream.follow(h, c, mixture, prediction, temperature, uniform, normal)
        return following, mixture_nll(mixture, real), prediction

    state = DreamState(*(tf.constant(each(array)) for array in beginning))
    dreamed, predicted, nll = [], [], []
    for t in range(length):
        shape = (n * SAMPLES, z_size)
        noise = rng.random(shape, np.float32), rng.standard_normal(shape, np.float32)
        state, of_each, prediction = step(state, each(actions[:, t]), each(mu[:, t]), *noise)
        dreamed.append(np.reshape(state.z, (n, SAMPLES, z_size)))
        predicted.append(np.reshape(prediction, (n, SAMPLES)).mean(axis=1))
        likelihood = np.exp(-np.reshape(of_each, (n, SAMPLES, z_size)).astype(float)).mean(axis=1)
        nll.append(-np.log(np.maximum(likelihood, 1e-300)).mean(axis=-1))
    return np.stack(dreamed, axis=2), np.stack(predicted, axis=1), np.stack(nll, axis=1)


def table(windows: Windows) -> list[dict[str, float]]:
    """A row a horizon: NLL a dimension and root mean squared error of z, against a predictor that says "nothing
    changes" (with the spread, a dimension, that changes of that many steps have); and the signal's prediction."""
    rows = []
    for horizon in HORIZONS:
        real, first = windows.mu[:, horizon], windows.mu[:, 0]
        dreamed = windows.dreamed[:, :, horizon].mean(axis=1)
        variance = np.square(real - first).mean(axis=0)
        true, predicted = windows.signal[:, :horizon].sum(axis=1), windows.predicted[:, :horizon].sum(axis=1)
        error, unchanged = (float(np.sqrt(np.square(real - z).mean())) for z in (dreamed, first))
        rows.append(
            {
                "steps": horizon,
                "nll": float(windows.nll[:, horizon - 1].mean()),
                "nll_unchanged": float(0.5 * np.mean(np.log(2 * np.pi * np.e * variance))),
                "rmse": error,
                "rmse_unchanged": unchanged,
                "rmse_ratio": error / unchanged,
                "signal_true": float(true.mean()),
                "signal_predicted": float(predicted.mean()),
                "signal_correlation": float(np.corrcoef(true, predicted)[0, 1]) if true.std() > 0 else float("nan"),
            }
        )
    return rows
