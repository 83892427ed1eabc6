"""Is the dream any good? M's open-loop predictions beside what really happened.

A window of an episode that M was not trained on, held out or driven now by the run's controller: M watches the real
z up to its start, and from there on sees only what it dreams itself, while it is given the real actions. The real z
is drawn from V's (mu, logvar), as in M's training: it is what M has to predict, and no prediction can come closer
to it than the spread of that draw. What M is worth shows beside predictions without it, `baselines`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models.controller import controller_actions
from models.dream import Dream, DreamState
from models.mdn_rnn import end_probability, mixture_nll
from models.vae import sample_z
from utils.agent.agent import Agent
from utils.dreams import baselines
from utils.dreams.baselines import LinearGaussian
from utils.dreams.recorded import Recorded
from utils.system import seeding
from utils.system.errors import UsageError

HORIZONS = (1, 5, 15, 50)
SAMPLES = 32  # dreams of each window
WATCHED = 20  # steps of an episode that M sees at least before it dreams
SPACING = 25  # steps between the windows of an episode


@dataclass
class Windows:
    """Of n windows of `length` steps, float32. real and dreamed: z, (n, length + 1, z_size), which begin with the last
    one seen, the dreamed ones (n, SAMPLES, ...); spread: of the draw of each real z, of the same shape; last_mu: V's mu
    of the last frame seen, (n, z_size). reward_or_done: the true reward, or whether the end came; predicted: what the dreams
    expect of it; acted: the same while the controller acts in them; nll: of the real z a dimension, in nats;
    (n, length) each. After an end z, spread and nll are NaN. episode, start: where each window is from."""

    real: np.ndarray
    dreamed: np.ndarray
    spread: np.ndarray
    last_mu: np.ndarray
    reward_or_done: np.ndarray
    predicted: np.ndarray
    acted: np.ndarray | None
    nll: np.ndarray
    episode: np.ndarray
    start: np.ndarray


def dream_windows(
    agent: Agent, recorded: list[Recorded], temperature: float = 1.0, parameters: np.ndarray | None = None,
    watched: int = WATCHED, length: int = max(HORIZONS),
) -> Windows:  # fmt: skip
    """Dreams every window of the episodes; with the parameters of a controller a second time, in which it acts.

    Raises `UsageError` if all of them are too short.
    """
    config, predicts = agent.config, agent.spec.predicts
    rng = seeding.generator(config.seed, "dream quality")
    dream = Dream(agent.rnn, predicts)
    watch = tf.function(dream.predict, autograph=False)
    beginnings, windows = [], []
    for number, (series, _) in enumerate(recorded):
        action = series.action
        z = np.asarray(sample_z(series.mu, series.logvar, rng.standard_normal(series.mu.shape, np.float32)))
        spread = np.exp(0.5 * series.logvar)
        reward_or_done = getattr(series, predicts).astype(np.float32)
        ended = predicts == "done" and bool(series.done[-1])
        if ended:  # windows may reach beyond it: nothing more comes
            z, spread, reward_or_done, action = (
                _padded(array, length, fill)
                for array, fill in ((z, np.nan), (spread, np.nan), (reward_or_done, 0), (series.action, 0))
            )
        starts = range(watched, len(series.action) - (1 if ended else length), SPACING)
        state = dream.begin(z[:1])
        for t in range(starts[-1] + 1 if starts else 0):
            state = DreamState(
                *map(tf.constant, (z[t : t + 1], state.h, state.c, reward_or_done[t - 1 : t] if t else [0.0]))
            )
            if t in starts:
                beginnings.append(state)
                seen, ahead = slice(t, t + length + 1), slice(t, t + length)
                windows.append((z[seen], spread[seen], series.mu[t], action[ahead], reward_or_done[ahead], number, t))
            h, c, *_ = watch(state, tf.constant(series.action[t : t + 1]))
            state = state._replace(h=h, c=c)
    if not windows:
        raise UsageError(f"none of these {len(recorded)} episodes has the {watched + length + 1} steps that this needs")
    beginning = DreamState(*(np.concatenate(of_all) for of_all in zip(*beginnings)))
    real, spread, last_mu, action, reward_or_done, episode, start = (np.stack(of_all) for of_all in zip(*windows))

    def recorded_actions(t, state):
        return np.repeat(action[:, t], SAMPLES, axis=0)

    def own_actions(t, state):
        features = state.features(config.controller_inputs)[None]
        return controller_actions(parameters[None], features, agent.spec.activations, config.controller_bias)[0]

    def of_a_window(predictions):
        if predicts == "reward":
            return predictions.mean(axis=1)
        ends = end_probability(predictions).numpy()
        survived = np.cumprod(1 - ends, axis=2)
        return (ends * np.pad(survived, ((0, 0), (0, 0), (1, 0)), constant_values=1)[:, :, :-1]).mean(axis=1)

    dreamed, predicted, nll = dream_on(dream, beginning, recorded_actions, real[:, 1:], temperature, rng)
    predicted, acted = of_a_window(predicted), None
    if parameters is not None:
        acted = of_a_window(dream_on(dream, beginning, own_actions, real[:, 1:], temperature, rng)[1])
    last_seen = np.broadcast_to(real[:, None, :1], dreamed[:, :, :1].shape)
    dreamed = np.concatenate([last_seen, dreamed], axis=2)
    return Windows(real, dreamed, spread, last_mu, reward_or_done, predicted, acted, nll, episode, start)


def _padded(array: np.ndarray, count: int, fill: float) -> np.ndarray:
    """`array` with `count` more rows."""
    return np.concatenate([array, np.full((count, *array.shape[1:]), fill, np.float32)])


def dream_on(dream: Dream, beginning: DreamState, act: Callable, real, temperature: float, rng):
    """SAMPLES dreams of each of n windows from `beginning`, of batch n.

    act: from a step's number and the `DreamState` of all dreams to their actions, (n * SAMPLES, action_size), those
    of a window together. real: float32 (n, length, z_size), what came.
    Returns float32 z (n, SAMPLES, length, z_size), the predicted rewards or logits of the end (n, SAMPLES, length),
    and the NLL of the real z under the mixtures of all of a window's dreams together: a dimension, in nats,
    (n, length).
    """
    n, length, z_size = real.shape

    def each(array):
        return np.repeat(array, SAMPLES, axis=0)

    @tf.function(autograph=False)
    def step(state, action, real, uniform, normal):
        h, c, mixture, prediction = dream.predict(state, action)
        following, _, done = dream.follow(h, c, mixture, prediction, temperature, uniform, normal)
        # What comes after an end is asked for as well, and M has never been told of an end and gone on.
        following = following._replace(reward_or_done=tf.where(done, 0.0, following.reward_or_done))
        nll = tf.reshape(mixture_nll(mixture.at(temperature), real), (n, SAMPLES, z_size))
        together = math.log(SAMPLES) - tf.reduce_logsumexp(-nll, axis=1)
        return following, tf.reduce_mean(together, axis=-1), tf.reshape(prediction, (n, SAMPLES))

    state = DreamState(*(tf.constant(each(array)) for array in beginning))
    dreamed, predicted, nll = [], [], []
    for t in range(length):
        shape = (n * SAMPLES, z_size)
        noise = rng.random(shape, np.float32), rng.standard_normal(shape, np.float32)
        state, likelihood, prediction = step(state, act(t, state), each(real[:, t]), *noise)
        dreamed.append(np.reshape(state.z, (n, SAMPLES, z_size)))
        predicted.append(prediction)
        nll.append(likelihood)
    return np.stack(dreamed, axis=2), np.stack(predicted, axis=2), np.stack(nll, axis=1)


def table(windows: Windows, fitted: dict[int, dict[str, LinearGaussian]] | None = None) -> list[dict[str, float]]:
    """A row a horizon, over all windows that reach it and all dimensions of z; NaN where no window does.

    nll: negative log-likelihood of the real z under the dreams together, nats a dimension. With SAMPLES dreams instead
    of all possible ones it is a little too high.
    rmse: root mean squared error of the mean that the dreams estimate. SAMPLES of them miss it by a SAMPLES'th of their
    variance, which is taken off.
    rmse_perfect: the error of the best possible prediction, V's mu of the very frame that is asked for.
    nll_NAME, rmse_NAME: of each baseline of `fitted`, which `baselines.fit` made; left out if that is None.
    signal_true, signal_predicted, signal_acted: mean sum of the reward_or_done up to there; signal_correlation: over the
    windows, of the first two.
    """
    rows = []
    for horizon in (steps for steps in HORIZONS if steps < windows.real.shape[1]):
        real, last_seen, dreamed = windows.real[:, horizon], windows.real[:, 0], windows.dreamed[:, :, horizon]
        true, predicted = windows.reward_or_done[:, :horizon].sum(axis=1), windows.predicted[:, :horizon].sum(axis=1)
        sampling_error = dreamed.var(axis=1, ddof=1) / SAMPLES
        squared_error = _mean(np.square(real - dreamed.mean(axis=1)) - sampling_error)
        nll = {"nll": _mean(windows.nll[:, horizon - 1])}
        rmse = {"rmse": math.sqrt(max(squared_error, 0.0))}
        for name in baselines.NAMES if fitted is not None else ():
            known = windows.last_mu if name == "last_mu" else last_seen
            baseline = fitted[horizon][name] if horizon in fitted else None
            nll[f"nll_{name}"] = _mean(baseline.nll(known, real)) if baseline else math.nan
            rmse[f"rmse_{name}"] = math.sqrt(_mean(np.square(real - baseline.mean(known)))) if baseline else math.nan
        rmse["rmse_perfect"] = math.sqrt(_mean(np.square(windows.spread[:, horizon])))
        reward_or_done = {
            "signal_true": true.mean(),
            "signal_predicted": predicted.mean(),
            "signal_correlation": np.corrcoef(true, predicted)[0, 1] if true.std() > 0 else np.nan,
        }
        if windows.acted is not None:
            reward_or_done["signal_acted"] = windows.acted[:, :horizon].sum(axis=1).mean()
        rows.append({"steps": horizon} | {name: float(value) for name, value in (nll | rmse | reward_or_done).items()})
    return rows


# Column of `table`, its heading, and the width and digits of its numbers.
_COLUMNS = (
    ("steps", "steps", "5.0f"),
    ("nll", "NLL M", "8.2f"),
    ("nll_persistence", "persistence", "12.2f"),
    ("nll_regression", "regression", "11.2f"),
    ("nll_last_mu", "last mu", "8.2f"),
    ("rmse", "RMSE M", "9.3f"),
    ("rmse_persistence", "persistence", "12.3f"),
    ("rmse_regression", "regression", "11.3f"),
    ("rmse_last_mu", "last mu", "8.3f"),
    ("rmse_perfect", "perfect", "8.3f"),
    ("signal_true", "{reward_or_done} true", "13.2f"),
    ("signal_predicted", "dreamed", "9.2f"),
    ("signal_correlation", "correlation", "12.2f"),
    ("signal_acted", "acting in the dream", "20.2f"),
)
_LEGEND = """\
M: {samples} dreams of each window; NLL in nats, and both a dimension of z
persistence: of each dimension of the last z, shrunk towards its mean; regression: linear, of the whole last z; both
  fitted on {training} training episodes. They know the last z alone: nothing earlier, and no actions
last mu: V's mu of the last frame, unchanged, with the spread of training episodes; M never sees mu
perfect: V's mu of the frame itself; no prediction of a drawn z can be better"""


def text(rows: list[dict[str, float]], predicts: str, training: int) -> str:
    """`table` for people. training: episodes that the baselines were fitted on."""
    columns = [column for column in _COLUMNS if column[0] in rows[0]]
    reward_or_done = "reward" if predicts == "reward" else "end"
    heads = [f"{head.format(reward_or_done=reward_or_done):>{form.split('.')[0]}}" for _, head, form in columns]
    lines = ["".join(heads), *("".join(f"{row[name]:{form}}" for name, _, form in columns) for row in rows)]
    legend = _LEGEND.format(samples=SAMPLES, training=training).splitlines()
    if "nll_regression" not in rows[0]:
        legend = [line for line in legend if line.startswith(("M:", "perfect:"))]
    return "\n".join([*lines, *legend])


def _mean(values: np.ndarray) -> float:
    """Of those that are no NaN; NaN if there are none."""
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan
