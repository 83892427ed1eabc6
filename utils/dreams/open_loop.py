"""Is the dream any good? M's open-loop predictions beside what really happened.

A window is a piece of an episode that M was not trained on: a held-out episode, or one that the run's controller plays
now. M reads the real z up to the start of the window. From there on it reads only its own samples, and the real
actions. The real z is drawn from V's (mu, logvar), as in M's training, so no prediction can come closer to it than the
spread of that draw. `baselines` has predictions without M, to compare with.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.dream import DreamModel, DreamState
from models.mdn_rnn import end_probability, mixture_nll
from models.vae import sample_z
from utils.agent.agent import Agent
from utils.agent.checkpoints import dream_model
from utils.dreams.recorded import Recorded
from utils.run.episodes import Series
from utils.system import seeding
from utils.system.errors import UsageError

HORIZONS = (1, 5, 15, 50)
SAMPLES = 32  # dreams of each window
BURN_IN = 20  # steps of an episode that M reads at least before a window
SPACING = 25  # steps between the windows of an episode


@dataclass
class Windows:
    """n windows of `length` steps. float32, NaN after an end in z, spread and nll."""

    real: np.ndarray  # z, (n, length + 1, z_size), from the last step that M read on
    dreamed: np.ndarray  # z, (n, SAMPLES, length + 1, z_size)
    spread: np.ndarray  # standard deviation of the draw of each real z, (n, length + 1, z_size)
    last_mu: np.ndarray  # V's mu of the last frame that M read, (n, z_size)
    reward_or_done: np.ndarray  # the true reward, or 1 at the end, (n, length)
    predicted: np.ndarray  # the same as the dreams predict it, (n, length)
    on_policy: np.ndarray | None  # the same while the controller acts in the dreams, (n, length)
    nll: np.ndarray  # of the real z under the dreams, nats a dimension, (n, length)
    episode: np.ndarray  # number of the episode, (n,)
    start: np.ndarray  # its step at which the window starts, (n,)


class _Cut(NamedTuple):
    """One window of an episode, and M's state at its start. Shapes as in `Windows`, without n."""

    state: DreamState
    real: np.ndarray
    spread: np.ndarray
    last_mu: np.ndarray
    action: np.ndarray
    reward_or_done: np.ndarray
    episode: int
    start: int


def dream_windows(
    agent: Agent, recorded: list[Recorded], temperature: float = 1.0, parameters: np.ndarray | None = None,
    burn_in: int = BURN_IN, length: int = max(HORIZONS),
) -> Windows:  # fmt: skip
    """Dreams every window of the episodes.

    parameters: C's, to dream the windows once more while it acts in them.
    Raises `UsageError` if all episodes are too short.
    """
    predicts, rng = agent.spec.predicts, seeding.generator(agent.config.seed, "dream quality")
    model = dream_model(agent.rnn, agent.config)
    predict = tf.function(model.predict, autograph=False)
    cuts = []
    for number, (series, _) in enumerate(recorded):
        noise = rng.standard_normal(series.mu.shape, np.float32)
        cuts += _cut(model, predict, series, noise, predicts, number, burn_in, length)
    if not cuts:
        raise UsageError(f"none of these {len(recorded)} episodes has the {burn_in + length + 1} steps that this needs")
    states, *arrays = zip(*cuts)
    begin = DreamState(*(np.concatenate(parts) for parts in zip(*states)))
    real, spread, last_mu, action, reward_or_done, episode, start = map(np.stack, arrays)

    def recorded_actions(t: int, state: DreamState) -> np.ndarray:
        return np.repeat(action[:, t], SAMPLES, axis=0)

    dreamed, predicted, nll = imagine_windows(model, begin, recorded_actions, real[:, 1:], temperature, rng)
    on_policy = None
    if parameters is not None:
        rows = parameters[None]

        def own_actions(t: int, state: DreamState) -> tf.Tensor:
            features = agent.controller.features(z=state.z, h=state.h, c=state.c)
            return agent.controller.act(rows, features[None])[0]

        _, logits, _ = imagine_windows(model, begin, own_actions, real[:, 1:], temperature, rng)
        on_policy = _mean_over_samples(logits, predicts)
    last = np.broadcast_to(real[:, None, :1], dreamed[:, :, :1].shape)
    dreamed = np.concatenate([last, dreamed], axis=2)
    predicted = _mean_over_samples(predicted, predicts)
    return Windows(real, dreamed, spread, last_mu, reward_or_done, predicted, on_policy, nll, episode, start)


def _cut(
    model: DreamModel, predict: Callable, series: Series, noise: np.ndarray, predicts: str, number: int, burn_in: int,
    length: int,
) -> list[_Cut]:  # fmt: skip
    """The windows of one episode, with the state of M, which reads it from its first step on."""
    action = series.action
    z = np.asarray(sample_z(series.mu, series.logvar, noise))
    spread = np.exp(0.5 * series.logvar)
    reward_or_done = getattr(series, predicts).astype(np.float32)
    ended = predicts == "done" and bool(series.done[-1])
    if ended:  # windows may reach beyond the end
        z, spread = _padded(z, length, np.nan), _padded(spread, length, np.nan)
        reward_or_done, action = _padded(reward_or_done, length, 0), _padded(action, length, 0)
    starts = range(burn_in, len(series.action) - (1 if ended else length), SPACING)
    cuts, state = [], model.begin(z[:1])
    for t in range(starts[-1] + 1 if starts else 0):
        before = reward_or_done[t - 1 : t] if t else [0.0]
        state = DreamState(*map(tf.constant, (z[t : t + 1], state.h, state.c, before)))
        if t in starts:
            read, ahead = slice(t, t + length + 1), slice(t, t + length)
            cuts.append(
                _Cut(state, z[read], spread[read], series.mu[t], action[ahead], reward_or_done[ahead], number, t)
            )
        h, c, *_ = predict(state, tf.constant(series.action[t : t + 1]))
        state = state._replace(h=h, c=c)
    return cuts


def _padded(array: np.ndarray, count: int, fill: float) -> np.ndarray:
    """`array` with `count` more rows."""
    return np.concatenate([array, np.full((count, *array.shape[1:]), fill, np.float32)])


def _mean_over_samples(predicted: np.ndarray, predicts: str) -> np.ndarray:
    """Mean reward of each step, or probability that a dream ends there, (n, length), of (n, SAMPLES, length)."""
    if predicts == "reward":
        return predicted.mean(axis=1)
    ends = end_probability(predicted).numpy()
    survived = np.pad(np.cumprod(1 - ends, axis=2), ((0, 0), (0, 0), (1, 0)), constant_values=1)[:, :, :-1]
    return (ends * survived).mean(axis=1)


def imagine_windows(
    model: DreamModel, begin: DreamState, act: Callable[[int, DreamState], tf.Tensor], real: np.ndarray,
    temperature: float, rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """SAMPLES dreams of each of n windows.

    begin: of batch n.
    act: from the number of a step and the state of all dreams to their actions, (n * SAMPLES, action_size), window by
        window.
    real: z, float32 (n, length, z_size).
    Returns z, float32 (n, SAMPLES, length, z_size), the predicted rewards or logits of the end, (n, SAMPLES, length),
    and the NLL of the real z under the mean of the SAMPLES mixtures, nats a dimension, (n, length).
    """
    n, length, z_size = real.shape

    @tf.function(autograph=False)
    def step(
        state: DreamState, action: tf.Tensor, real: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor]:
        prediction = model.predict(state, action)
        state, _, done = model.sample(prediction, temperature, uniform, normal)
        # Dreams go on after an end here, but M has never read an end, so it is not shown one.
        state = state._replace(reward_or_done=tf.where(done, 0.0, state.reward_or_done))
        nll = tf.reshape(mixture_nll(prediction.mixture.at(temperature), real), (n, SAMPLES, z_size))
        nll = math.log(SAMPLES) - tf.reduce_logsumexp(-nll, axis=1)
        return state, tf.reduce_mean(nll, axis=-1), tf.reshape(prediction.reward_or_logit, (n, SAMPLES))

    state = DreamState(*(tf.constant(np.repeat(part, SAMPLES, axis=0)) for part in begin))
    dreamed, predicted, nll = [], [], []
    for t in range(length):
        shape = (n * SAMPLES, z_size)
        noise = rng.random(shape, np.float32), rng.standard_normal(shape, np.float32)
        state, nll_t, predicted_t = step(state, act(t, state), np.repeat(real[:, t], SAMPLES, axis=0), *noise)
        dreamed.append(np.reshape(state.z, (n, SAMPLES, z_size)))
        predicted.append(predicted_t)
        nll.append(nll_t)
    return np.stack(dreamed, axis=2), np.stack(predicted, axis=2), np.stack(nll, axis=1)
