"""A dreamed step at the speed of the hardware.

Dreams multiply in the precision in which M trains (`rnn_precision`). If each weight were rounded to the nearest
bfloat16 number, M would change a little, and so would scores in its dream. Weights are therefore rounded one after
another. Each is first moved to make up for the errors of those before it, so that the errors cancel over the vectors
that M meets in dreams. Source: Frantar et al., "GPTQ", 2022, with bfloat16 in place of integers.
"""

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.controller import Controller
from models.dream import DreamModel, DreamState
from models.mdn_rnn import END_WEIGHT, LOGVAR_LIMIT

# Dreams over which the rounding errors cancel, and the spread of the controllers that act in them.
_DREAMS, _STEPS, _SPREAD = 64, 100, 0.1


class Details(NamedTuple):
    """What M was unsure of in a step of a batch of dreams, float32 (batch,) each."""

    entropy: tf.Tensor | np.ndarray  # of the mixture's weights at the temperature, in nats, mean of the numbers of z
    reward_or_logit: tf.Tensor | np.ndarray  # as in `models.dream.Prediction`


class FastStep:
    """`DreamModel.step` with a copy of the model's present weights.

    What makes it fast: one product for the inputs and h, bfloat16, the mixture as planes (mixture, z) of which running
    sums choose a component without normalised weights, and XLA for everything that is no product. XLA compiles once
    for each batch size. State, sums and draws are float32.

    controller: of the agents that will act in the dreams.
    """

    def __init__(self, model: DreamModel, controller: Controller):
        self._model, rnn = model, model.rnn
        cell = rnn.lstm.cell
        kernel, bias = np.concatenate([cell.kernel, cell.recurrent_kernel]), cell.bias.numpy()
        self._planes = (3, rnn.num_mixture, rnn.z_size)
        head, head_bias = (weights.numpy() for weights in rnn.head_in_planes())
        if rnn.product_dtype != tf.float32:
            inputs, hidden = _dreamed(model, controller)
            kernel, bias = rounded(kernel, bias, inputs, rnn.product_dtype)
            head, head_bias = rounded(head, head_bias, hidden, rnn.product_dtype)
        self._kernel, self._head = tf.cast(kernel, rnn.product_dtype), tf.cast(head, rnn.product_dtype)
        self._bias, self._head_bias = tf.constant(bias), tf.constant(head_bias)
        self._gates = tf.function(self._lstm_gates, jit_compile=True, autograph=False)
        self._draw = tf.function(lambda *given: self._draw_z(*given)[:2], jit_compile=True, autograph=False)
        self._draw_with_entropy = tf.function(self._draw_z, jit_compile=True, autograph=False)

    def __call__(
        self, state: DreamState, actions: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor,
        mask: tf.Tensor | None = None,
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor]:  # fmt: skip
        """The next state, rewards, float32 (batch,), and ends, bool (batch,). Arguments as of `DreamModel.step`."""
        h, c = self._remember(state, actions, mask)
        z, prediction = self._draw(self._product(h, self._head), temperature, uniform, normal)
        return self._model.arrive(z, h, c, prediction, uniform)

    def detailed(
        self, state: DreamState, actions: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor,
        mask: tf.Tensor | None = None,
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor, Details]:  # fmt: skip
        """The same step, and its details."""
        h, c = self._remember(state, actions, mask)
        z, prediction, entropy = self._draw_with_entropy(self._product(h, self._head), temperature, uniform, normal)
        return *self._model.arrive(z, h, c, prediction, uniform), Details(entropy, prediction)

    def _remember(self, state: DreamState, actions: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        """The next h and c, float32 (batch, rnn_size) each."""
        return self._gates(self._product(_inputs(state, actions), self._kernel), state.c, mask)

    @staticmethod
    def _product(vectors: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        return tf.matmul(tf.cast(vectors, weights.dtype), weights)

    def _lstm_gates(self, product: tf.Tensor, c: tf.Tensor, mask: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
        i, f, g, o = tf.split(tf.cast(product, tf.float32) + self._bias, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        return h if mask is None else h * mask, c

    def _draw_z(
        self, product: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """z, (batch, z_size), the predicted reward or logit of the end, (batch,), and the entropy of `Details`."""
        outputs = tf.cast(product, tf.float32) + self._head_bias
        logpi, mu, logvar = tf.unstack(tf.reshape(outputs[:, :-1], (-1, *self._planes)), axis=1)
        logits = (logpi - tf.reduce_max(logpi, axis=1, keepdims=True)) / temperature
        weights = tf.exp(logits)
        sums = [weights[:, 0]]
        for k in range(1, self._planes[1]):
            sums.append(sums[-1] + weights[:, k])
        place = uniform * sums[-1]
        chosen_mu, chosen_logvar = mu[:, 0], logvar[:, 0]
        for k in range(1, self._planes[1]):
            beyond = place >= sums[k - 1]
            chosen_mu = tf.where(beyond, mu[:, k], chosen_mu)
            chosen_logvar = tf.where(beyond, logvar[:, k], chosen_logvar)
        std = tf.exp(0.5 * tf.clip_by_value(chosen_logvar, -LOGVAR_LIMIT, LOGVAR_LIMIT))
        entropy = tf.math.log(sums[-1]) - tf.reduce_sum(weights * logits, axis=1) / sums[-1]
        z = chosen_mu + std * tf.sqrt(temperature) * normal
        return z, outputs[:, -1], tf.reduce_mean(entropy, axis=1)


class SingleStep:
    """`FastStep` for one dream, in NumPy: for so little arithmetic, TensorFlow takes most of its time to begin.

    It has the weights of a `FastStep`, rounded as they are. Vectors are not rounded.
    """

    def __init__(self, step: FastStep):
        self._model = step._model
        self._kernel, self._head = (tf.cast(weights, tf.float32).numpy() for weights in (step._kernel, step._head))
        self._bias, self._head_bias = step._bias.numpy(), step._head_bias.numpy()
        self._planes = step._planes

    def detailed(
        self, state: DreamState, actions: np.ndarray, temperature: float, uniform: np.ndarray, normal: np.ndarray,
        mask: np.ndarray | None = None,
    ) -> tuple[DreamState, np.ndarray, np.ndarray, Details]:  # fmt: skip
        """As `FastStep.detailed`, with arrays of a batch of one."""
        read = np.concatenate([state.z[0], actions[0], state.reward_or_done, state.h[0]])
        i, f, g, o = np.split(read @ self._kernel + self._bias, 4)
        c = _sigmoid(f) * state.c + _sigmoid(i) * np.tanh(g)
        h = _sigmoid(o) * np.tanh(c) * (1 if mask is None else mask)
        outputs = h[0] @ self._head + self._head_bias
        logpi, mu, logvar = outputs[:-1].reshape(self._planes)
        logits = (logpi - logpi.max(axis=0)) / temperature
        weights = np.exp(logits)
        sums = np.cumsum(weights, axis=0)
        entropy = np.log(sums[-1]) - (weights * logits).sum(axis=0) / sums[-1]
        chosen = np.sum(uniform * sums[-1] >= sums[:-1], axis=0)[None]
        mu, logvar = (np.take_along_axis(part, chosen, axis=0) for part in (mu, logvar))
        std = np.exp(0.5 * np.clip(logvar, -LOGVAR_LIMIT, LOGVAR_LIMIT))
        z = mu + std * np.float32(np.sqrt(temperature)) * normal
        prediction, details = outputs[-1:], Details(entropy.mean(keepdims=True), outputs[-1:])
        if self._model.predicts == "reward":
            read = prediction
            if self._model.rewards:
                idle, gain = map(np.float32, self._model.rewards)
                read = idle + gain * np.maximum(np.floor((prediction - idle) / gain + uniform.sum(axis=1) % 1), 0)
            return DreamState(z, h, c, read), prediction, np.zeros(1, bool), details
        done = prediction > 0
        if self._model.end == "drawn":
            done = uniform.sum(axis=1) % 1 < end_probabilities(prediction)
        return DreamState(z, h, c, done.astype(np.float32)), np.ones(1, np.float32), done, details


def end_probabilities(logits: np.ndarray) -> np.ndarray:
    """`models.mdn_rnn.end_probability` in NumPy, for single dreams. float32 (batch,)."""
    return _sigmoid(logits - np.float32(math.log(END_WEIGHT)))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * np.tanh(0.5 * x) + 0.5  # never overflows


def _inputs(state: DreamState, actions: tf.Tensor) -> tf.Tensor:
    """What the product for the LSTM's gates reads, float32 (batch, input_size + rnn_size)."""
    return tf.concat([state.z, actions, state.reward_or_done[:, None], state.h], axis=1)


def rounded(
    weights: np.ndarray, bias: np.ndarray, vectors: np.ndarray, dtype: tf.DType
) -> tuple[np.ndarray, np.ndarray]:
    """Weights that `dtype` holds, and a bias, so that vectors @ weights + bias stays as near as it can.

    weights: float32 (n, outputs).
    bias: float32 (outputs,). Stays in float32, and takes what the last weights left.
    vectors: float32 (samples, n), as the weights will be multiplied with.
    """
    vectors = np.column_stack([vectors, np.ones(len(vectors))]).astype(np.float64)
    moments = vectors.T @ vectors / len(vectors)
    moments[np.diag_indices_from(moments)] += 1e-4 * moments.trace() / len(moments)  # rarely used ones count as well
    spread = np.linalg.cholesky(np.linalg.inv(moments)).T
    rows = np.concatenate([weights, bias[None]]).astype(np.float64)
    for k in range(len(weights)):
        nearest = rows[k].astype(np.float32).astype(dtype.as_numpy_dtype).astype(np.float64)
        error, rows[k] = rows[k] - nearest, nearest
        rows[k + 1 :] -= np.outer(spread[k, k + 1 :] / spread[k, k], error)
    return rows[:-1].astype(np.float32), rows[-1].astype(np.float32)


def _dreamed(model: DreamModel, controller: Controller) -> tuple[np.ndarray, np.ndarray]:
    """What M's two products read in dreams: float32 (dreams * steps, input_size + rnn_size) and (..., rnn_size).

    The dreams are in float32, start from V's prior, have a random controller each and go on beyond an end.
    """
    rng, z_size = np.random.default_rng(0), model.rnn.z_size
    parameters = rng.normal(0, _SPREAD, (_DREAMS, controller.num_parameters)).astype(np.float32)
    step = tf.function(model.step, autograph=False)
    state = model.begin(rng.standard_normal((_DREAMS, z_size), np.float32))
    inputs, hidden = [], []
    for _ in range(_STEPS):
        features = controller.features(z=state.z, h=state.h, c=state.c)
        actions = controller.act(parameters, features[:, None])[:, 0]
        inputs.append(_inputs(state, actions))
        noise = rng.random((_DREAMS, z_size), np.float32), rng.standard_normal((_DREAMS, z_size), np.float32)
        state, _, done = step(state, actions, tf.constant(1.0), *noise)
        state = state._replace(reward_or_done=tf.where(done, 0.0, state.reward_or_done))
        hidden.append(state.h)
    return np.concatenate(inputs), np.concatenate(hidden)
