"""M: the MDN-RNN that predicts the next latent vector and reward (or end) from the past.

Chapter, "The MDN-RNN Architecture": an LSTM over [z, action, reward_or_done] and a dense layer that makes, for each
dimension of the next z, a mixture of normal distributions, and beside them one number: the predicted reward,
or the logit of the episode's end. The reward_or_done is the reward (or end) that came with z.
"""

import math
from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers

from models.lstm import lstm

# Raw logvars are clipped to this: a standard deviation of 5e-5 to 2e4 is no loss in a latent space of
# standard normals, and exp(-logvar) times the square of any sane error stays far inside float32.
LOGVAR_LIMIT = 20.0
END_WEIGHT = 10.0  # of the rare ends in the loss (original code)
_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class Mixture(NamedTuple):
    """Of each dimension of the next z. All float32 (..., z_size, num_mixture)."""

    logpi: tf.Tensor  # log weights, normalised over the last axis
    mu: tf.Tensor
    logvar: tf.Tensor

    def at(self, temperature) -> "Mixture":
        """What `sample_mixture` draws from at a temperature."""
        logpi = tf.nn.log_softmax(self.logpi / temperature, axis=-1)
        return Mixture(logpi, self.mu, self.logvar + tf.math.log(temperature))


class MDNRNN(keras.Model):
    """z_size, action_size, rnn_size, num_mixture: the sizes. precision: "float32" or "bfloat16" (mixed).

    At the chapter's sizes 36 inputs, 256 LSTM units, 5 * 3 * 32 + 1 = 481 outputs.
    """

    def __init__(
        self, z_size: int, action_size: int, rnn_size: int, num_mixture: int, precision="float32", seed=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.z_size, self.action_size, self.rnn_size, self.num_mixture = z_size, action_size, rnn_size, num_mixture
        self._product_dtype = tf.as_dtype(precision)
        seeds = keras.random.SeedGenerator(seed)

        def initializer(kind):
            return kind(seed=seeds)

        self.lstm = layers.LSTM(
            rnn_size,
            return_sequences=True,
            kernel_initializer=initializer(keras.initializers.GlorotUniform),
            recurrent_initializer=initializer(keras.initializers.Orthogonal),
            name="lstm",
        )  # holds the weights; `models.lstm` trains them faster
        self.mdn = layers.Dense(
            self.output_size,
            kernel_initializer=initializer(keras.initializers.GlorotUniform),
            dtype="float32",
            name="mdn",
        )
        self.build((None, None, self.input_size))

    @property
    def input_size(self) -> int:
        return self.z_size + self.action_size + 1

    @property
    def output_size(self) -> int:
        return 3 * self.z_size * self.num_mixture + 1

    def build(self, input_shape):
        self.lstm.build(input_shape)
        self.mdn.build((*input_shape[:-1], self.rnn_size))
        self.built = True

    def call(self, inputs):
        """float32 (batch, time, input_size) to raw outputs, float32 (batch, time, output_size)."""
        return self.outputs_of(self.hidden(inputs))

    def hidden(self, inputs):
        """float32 (batch, time, input_size) to h of the LSTM, float32 (batch, time, rnn_size)."""
        cell = self.lstm.cell
        return lstm(inputs, cell.kernel, cell.recurrent_kernel, cell.bias, self._product_dtype)

    def outputs_of(self, hidden):
        """h of the LSTM, (..., rnn_size), to raw outputs, float32 (..., output_size)."""
        return self.mdn(hidden)

    def step(self, inputs, h, c):
        """One step of the LSTM. inputs: (batch, input_size); h, c and the two results: (batch, rnn_size)."""
        cell = self.lstm.cell
        gates = tf.matmul(inputs, cell.kernel) + tf.matmul(h, cell.recurrent_kernel) + cell.bias
        i, f, g, o = tf.split(gates, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    def split(self, outputs) -> tuple[Mixture, tf.Tensor]:
        """Raw outputs (..., output_size) to the mixture and the predicted reward or end logit, (...)."""
        raw, prediction = outputs[..., :-1], outputs[..., -1]
        shape = tf.concat([tf.shape(raw)[:-1], [3, self.z_size, self.num_mixture]], axis=0)
        logpi, mu, logvar = tf.unstack(tf.reshape(raw, shape), axis=-3)
        logvar = tf.clip_by_value(logvar, -LOGVAR_LIMIT, LOGVAR_LIMIT)
        return Mixture(tf.nn.log_softmax(logpi, axis=-1), mu, logvar), prediction


def mixture_nll(mixture: Mixture, z) -> tf.Tensor:
    """Negative log-likelihood of z, float32 (..., z_size), under the mixture; the same shape, in nats.

    Summed over components in log space, so that a z far from every component costs much, not infinity. The gradient is
    written out, in the components' responsibilities: half the passes over memory that differentiating it would take.
    """

    @tf.custom_gradient
    def nll(logpi, mu, logvar, z):
        inverse = tf.exp(-0.5 * logvar)
        deviation = (z[..., None] - mu) * inverse
        joint = logpi - 0.5 * (tf.square(deviation) + logvar) - _HALF_LOG_TWO_PI
        most = tf.reduce_max(joint, axis=-1, keepdims=True)
        responsibility = tf.exp(joint - most)
        together = tf.reduce_sum(responsibility, axis=-1, keepdims=True)

        def gradient(upstream):
            share = responsibility * (upstream[..., None] / together)
            of_mu = -share * deviation * inverse
            return -share, of_mu, 0.5 * share * (1 - tf.square(deviation)), -tf.reduce_sum(of_mu, axis=-1)

        return -(most + tf.math.log(together))[..., 0], gradient

    return nll(*mixture, z)


def sample_mixture(mixture: Mixture, temperature, uniform, normal) -> tf.Tensor:
    """GenerationRng the next z, float32 (..., z_size): chapter, "Sampling from the MDN-RNN".

    temperature (tau): log weights are divided by it and standard deviations multiplied by its root, so that
    it makes the dream livelier above 1 and near 0 picks the mean of the likeliest component (original code).
    uniform, in [0, 1), picks the component and standard normal places z within it: both (..., z_size).
    """
    weights = tf.nn.softmax(mixture.logpi / temperature, axis=-1)
    below = tf.cumsum(weights, axis=-1)[..., :-1] <= uniform[..., None]
    chosen = tf.reduce_sum(tf.cast(below, tf.int32), axis=-1)
    one_hot = tf.one_hot(chosen, weights.shape[-1])
    mu, logvar = (tf.reduce_sum(one_hot * of, axis=-1) for of in (mixture.mu, mixture.logvar))
    return mu + tf.exp(0.5 * logvar) * tf.sqrt(temperature) * normal


def end_probability(logit) -> tf.Tensor:
    """What M holds the chance of an end to be: its logit is trained with ends weighted END_WEIGHT times."""
    return tf.sigmoid(logit - math.log(END_WEIGHT))


def mdn_rnn_losses(model: MDNRNN, outputs, next_z, next_reward_or_done, z_mask, reward_or_done_mask, predicts: str):
    """NLL of the next z per dimension (nats) and loss of the prediction, scalars. Their sum is what is minimised.

    outputs: float32 (..., output_size). next_z: (..., z_size). next_reward_or_done, and the masks, 1 where there is something
    to predict and 0 elsewhere: float32 (...).
    predicts: "reward" for squared error, "done" for cross-entropy with the rare ends weighted tenfold.
    """
    mixture, prediction = model.split(outputs)
    z_loss = _masked_mean(tf.reduce_mean(mixture_nll(mixture, next_z), axis=-1), z_mask)
    if predicts == "reward":
        losses = tf.square(prediction - next_reward_or_done)
    else:
        losses = tf.nn.sigmoid_cross_entropy_with_logits(next_reward_or_done, prediction) * (
            1 + (END_WEIGHT - 1) * next_reward_or_done
        )
    return z_loss, _masked_mean(losses, reward_or_done_mask)


def _masked_mean(values, mask):
    return tf.reduce_sum(values * mask) / tf.maximum(tf.reduce_sum(mask), 1.0)
