"""M: the MDN-RNN, which predicts the next z and the reward (or the end) from the past.

Chapter, "The MDN-RNN Architecture": an LSTM reads z, the action and `reward_or_done`, the reward (or end) that came
with z. A dense layer predicts a mixture of normal distributions for each dimension of the next z, and one more number:
the reward, or the logit of the end.
"""

import math
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers

from models.lstm import lstm

# Raw logvars are clipped to this. A standard deviation of 5e-5 to 2e4 is enough in a latent space of standard normals,
# and exp(-logvar) times a squared error stays far inside float32.
LOGVAR_LIMIT = 20.0
END_WEIGHT = 10.0  # of the rare ends in the loss (original code)
DREAM_ENDS_ABOVE = 1 / (1 + END_WEIGHT)  # P(done) at which the logit is 0, where a dream ends
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Mixture(NamedTuple):
    """A mixture of normal distributions for each dimension of the next z. All float32 (..., z_size, num_mixture)."""

    logpi: tf.Tensor  # log weights, normalised over the last axis
    mu: tf.Tensor
    logvar: tf.Tensor

    def at(self, temperature: tf.Tensor | float) -> "Mixture":
        """The mixture that `sample_mixture` draws from at a temperature."""
        logpi = tf.nn.log_softmax(self.logpi / temperature, axis=-1)
        return Mixture(logpi, self.mu, self.logvar + tf.math.log(temperature))


class MDNRNN(keras.Model):
    """At the chapter's sizes: 36 inputs, 256 LSTM units, 5 * 3 * 32 + 1 = 481 outputs.

    precision: "float32" or "bfloat16" (mixed), of the matrix products in training and in dreams.
    seed: of the initial weights.
    """

    def __init__(
        self, z_size: int, action_size: int, rnn_size: int, num_mixture: int, precision: str = "float32",
        seed: int | None = None, name: str | None = None,
    ):  # fmt: skip
        super().__init__(name=name)
        self.z_size, self.action_size, self.rnn_size, self.num_mixture = z_size, action_size, rnn_size, num_mixture
        self.product_dtype = tf.as_dtype(precision)
        seeds = keras.random.SeedGenerator(seed)
        self.lstm = layers.LSTM(
            rnn_size,
            return_sequences=True,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seeds),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seeds),
            name="lstm",
        )  # holds the weights; `models.lstm` trains them faster
        self.mdn = layers.Dense(
            self.output_size, kernel_initializer=keras.initializers.GlorotUniform(seed=seeds), dtype="float32",
            name="mdn",
        )  # fmt: skip
        self.build((None, None, self.input_size))

    @property
    def input_size(self) -> int:
        return self.z_size + self.action_size + 1

    @property
    def output_size(self) -> int:
        return 3 * self.z_size * self.num_mixture + 1

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.lstm.build(input_shape)
        self.mdn.build((*input_shape[:-1], self.rnn_size))
        self.built = True

    @staticmethod
    def inputs(z: tf.Tensor, action: tf.Tensor, reward_or_done: tf.Tensor) -> tf.Tensor:
        """What the LSTM reads, float32 (..., input_size).

        z: float32 (..., z_size).
        action: float32 (..., action_size), taken at z.
        reward_or_done: float32 (...), the reward (or end) that came with z.
        """
        return tf.concat([z, action, reward_or_done[..., None]], axis=-1)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """float32 (batch, time, input_size) to raw outputs, float32 (batch, time, output_size)."""
        return self.mdn(self.hidden(inputs))

    def hidden(self, inputs: tf.Tensor, goes_on: tf.Tensor | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """h of the LSTM, float32 (batch, time, rnn_size).

        inputs: float32 (batch, time, input_size).
        goes_on: float32 (batch, time), 0 for an episode's first step. None: a row is one episode.
        mask: float32 (batch, rnn_size), as `dropout_mask` makes it.
        """
        if goes_on is None:
            goes_on = tf.ones(tf.shape(inputs)[:2])
        cell = self.lstm.cell
        return lstm(inputs, goes_on, cell.kernel, cell.recurrent_kernel, cell.bias, self.product_dtype, mask)

    def head_in_planes(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernel and bias of the dense layer with its outputs in the order (part, mixture, z), then the prediction.

        In files the order is (part, z, mixture). In this one, sums over the mixture are sums of whole vectors.
        """

        def planes(weights: tf.Tensor) -> tf.Tensor:
            parts = tf.reshape(weights[:, :-1], (-1, 3, self.z_size, self.num_mixture))
            mixture = tf.reshape(tf.transpose(parts, (0, 1, 3, 2)), (-1, self.output_size - 1))
            return tf.concat([mixture, weights[:, -1:]], axis=1)

        return planes(tf.convert_to_tensor(self.mdn.kernel)), planes(tf.convert_to_tensor(self.mdn.bias)[None])[0]

    def planes(self, hidden: tf.Tensor) -> tf.Tensor:
        """h of the LSTM, float32 (n, rnn_size), to raw outputs (n, output_size) in `product_dtype`, in planes."""
        kernel, bias = (tf.cast(weights, self.product_dtype) for weights in self.head_in_planes())
        return tf.matmul(tf.cast(hidden, self.product_dtype), kernel) + bias

    def step(self, inputs: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step of the LSTM. inputs: (batch, input_size). h, c and the two results: (batch, rnn_size)."""
        cell = self.lstm.cell
        gates = tf.matmul(inputs, cell.kernel) + tf.matmul(h, cell.recurrent_kernel) + cell.bias
        i, f, g, o = tf.split(gates, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    def split(self, outputs: tf.Tensor) -> tuple[Mixture, tf.Tensor]:
        """Raw outputs (..., output_size) to the mixture and the predicted reward or logit of the end, (...)."""
        raw, prediction = outputs[..., :-1], outputs[..., -1]
        shape = tf.concat([tf.shape(raw)[:-1], [3, self.z_size, self.num_mixture]], axis=0)
        logpi, mu, logvar = tf.unstack(tf.reshape(raw, shape), axis=-3)
        logvar = tf.clip_by_value(logvar, -LOGVAR_LIMIT, LOGVAR_LIMIT)
        return Mixture(tf.nn.log_softmax(logpi, axis=-1), mu, logvar), prediction


def dropout_mask(uniform: tf.Tensor, rate: tf.Tensor | float) -> tf.Tensor:
    """What multiplies h for a whole sequence: 0 for a share of its numbers, more than 1 for the others.

    One mask for all steps: Gal and Ghahramani, "A theoretically grounded application of dropout in recurrent neural
    networks", 2016. One mask for each dream: Wellmer and Kwok, "Dropout's Dream Land", 2021.

    uniform: float32 (..., rnn_size), in [0, 1).
    """
    return tf.where(uniform < rate, 0.0, 1 / (1 - rate))


def mixture_nll(mixture: Mixture, z: tf.Tensor) -> tf.Tensor:
    """Negative log-likelihood of z, float32 (..., z_size), under the mixture. The same shape, in nats.

    Components are summed in log space, so that a z far from every component costs much, but not infinity.
    """
    squared = tf.square(z[..., None] - mixture.mu) * tf.exp(-mixture.logvar)
    log_normal = -0.5 * (squared + mixture.logvar) - _HALF_LOG_TWO_PI
    return -tf.reduce_logsumexp(mixture.logpi + log_normal, axis=-1)


def sample_mixture(
    mixture: Mixture, temperature: tf.Tensor | float, uniform: tf.Tensor, normal: tf.Tensor
) -> tf.Tensor:
    """Draws the next z, float32 (..., z_size): chapter, "Sampling from the MDN-RNN".

    temperature (tau): log weights are divided by it, standard deviations multiplied by its root (original code).
        Above 1 the dream is livelier; near 0 it takes the mean of the likeliest component.
    uniform: in [0, 1), (..., z_size), picks the component.
    normal: standard normal, (..., z_size), places z within the component.
    """
    weights = tf.nn.softmax(mixture.logpi / temperature, axis=-1)
    below = tf.cumsum(weights, axis=-1)[..., :-1] <= uniform[..., None]
    chosen = tf.reduce_sum(tf.cast(below, tf.int32), axis=-1)
    one_hot = tf.one_hot(chosen, weights.shape[-1])
    mu, logvar = (tf.reduce_sum(one_hot * part, axis=-1) for part in (mixture.mu, mixture.logvar))
    return mu + tf.exp(0.5 * logvar) * tf.sqrt(temperature) * normal


def end_probability(logit: tf.Tensor) -> tf.Tensor:
    """P(done), corrected for END_WEIGHT."""
    return tf.sigmoid(logit - math.log(END_WEIGHT))
