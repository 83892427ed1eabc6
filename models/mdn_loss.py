"""What M's training minimises, with its gradient.

M gives three numbers for each component of each dimension of each time step: most of the memory that training passes
over. One compiled function reads them once, and writes the losses and their gradient.
"""

import math

import tensorflow as tf

from models.mdn_rnn import END_WEIGHT, LOGVAR_LIMIT, MDNRNN

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


class MDNLoss:
    """The losses of M's raw outputs.

    predicts: "reward" for the squared error, "done" for the cross-entropy with ends weighted END_WEIGHT times.
    """

    def __init__(self, rnn: MDNRNN, predicts: str):
        self._planes, self._predicts = (3, rnn.num_mixture, rnn.z_size), predicts
        self._compiled = tf.function(self._losses, jit_compile=True, autograph=False)

    def __call__(
        self, outputs: tf.Tensor, next_z: tf.Tensor, next_weight: tf.Tensor, reward_or_done: tf.Tensor,
        weight: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:  # fmt: skip
        """NLL of the next z per dimension (nats), loss of the prediction, and the gradient of their sum.

        XLA compiles anew for each number of rows.

        outputs: float32 or bfloat16 (n, output_size), as `MDNRNN.planes` returns them. The gradient is like them.
        next_z: float32 (n, z_size).
        next_weight: float32 (n,), of a row in the mean of the NLL; 0 at the last step of an episode.
        reward_or_done: float32 (n,), what the prediction should be.
        weight: float32 (n,), of a row in the mean of the prediction's loss.
        """
        return self._compiled(outputs, next_z, next_weight, reward_or_done, weight)

    def _losses(
        self, outputs: tf.Tensor, next_z: tf.Tensor, next_weight: tf.Tensor, reward_or_done: tf.Tensor,
        weight: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:  # fmt: skip
        raw = tf.cast(outputs, tf.float32)
        nll, d_mixture = self._nll(raw[:, :-1], next_z)
        next_weight /= self._planes[2]
        loss, d_prediction = self._loss_of_prediction(raw[:, -1], reward_or_done)
        gradient = tf.concat([d_mixture * next_weight[:, None], (d_prediction * weight)[:, None]], axis=1)
        nll, loss = tf.reduce_sum(nll * next_weight[:, None]), tf.reduce_sum(loss * weight)
        return nll, loss, tf.cast(gradient, outputs.dtype)

    def _nll(self, raw: tf.Tensor, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """float32 (n, z_size), and the gradient of its sum, like raw. Components are summed in log space."""
        logpi, mu, raw_logvar = tf.unstack(tf.reshape(raw, (-1, *self._planes)), axis=1)
        logvar = tf.clip_by_value(raw_logvar, -LOGVAR_LIMIT, LOGVAR_LIMIT)
        inverse = tf.exp(-0.5 * logvar)
        deviation = (z[:, None] - mu) * inverse
        log_prior, prior = _log_sum_and_shares(logpi)
        log_joint, responsibility = _log_sum_and_shares(logpi - 0.5 * (tf.square(deviation) + logvar))
        d_mu = -responsibility * deviation * inverse
        d_logvar = tf.where(raw_logvar == logvar, 0.5 * responsibility * (1 - tf.square(deviation)), 0.0)
        gradient = tf.reshape(tf.stack([prior - responsibility, d_mu, d_logvar], axis=1), tf.shape(raw))
        return log_prior - log_joint + _HALF_LOG_TWO_PI, gradient

    def _loss_of_prediction(self, prediction: tf.Tensor, truth: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """float32 (n,), and its gradient."""
        if self._predicts == "reward":
            return tf.square(prediction - truth), 2 * (prediction - truth)
        weight = 1 + (END_WEIGHT - 1) * truth
        cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(truth, prediction)
        return cross_entropy * weight, (tf.sigmoid(prediction) - truth) * weight


def _log_sum_and_shares(logs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The log of the sum of exp(logs) over the components, (n, z_size), and the share of each, like logs."""
    largest = tf.reduce_max(logs, axis=1, keepdims=True)
    scaled = tf.exp(logs - largest)
    total = tf.reduce_sum(scaled, axis=1, keepdims=True)
    return (largest + tf.math.log(total))[:, 0], scaled / total
