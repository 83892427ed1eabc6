"""The dream: M in place of the environment. Chapter, "Learning Inside a Dream"; paper, section 4.

An agent acts on z and on M's h and c. M predicts the next z, the reward and the end. No frame is decoded.
"""

from typing import NamedTuple

import tensorflow as tf

from models.mdn_rnn import MDNRNN, Mixture, end_probability, sample_mixture


class DreamState(NamedTuple):
    """The state of a batch of dreams, float32."""

    z: tf.Tensor  # (batch, z_size)
    h: tf.Tensor  # (batch, rnn_size)
    c: tf.Tensor  # (batch, rnn_size)
    reward_or_done: tf.Tensor  # (batch,), the reward (or end) that came with z


class Prediction(NamedTuple):
    """What M predicts of a batch of dreams: its next state, the next z, and the reward or the logit of the end."""

    h: tf.Tensor  # (batch, rnn_size)
    c: tf.Tensor  # (batch, rnn_size)
    mixture: Mixture  # of the next z
    reward_or_logit: tf.Tensor  # (batch,)


class DreamModel:
    """M as an environment: a step of a batch of dreams, in TensorFlow.

    predicts: what M predicts beside z.
        "reward": dreams never end by themselves.
        "done": each step survived is a reward of 1.
    end: when a dream ends, if M predicts that.
        "threshold": where the logit of the end is above 0 (original code). M is trained with ends weighted tenfold, so
        that this is where P(done) is above 1 in 11.
        "drawn": with probability P(done).
    rewards: what M reads as the reward of a step, if M predicts that.
        None: the reward that it predicted, which is a mean.
        (idle, gain): that of a step without a gain, plus gains, whose number is drawn so that the mean is the same. So
        M reads rewards like those that it learned from, and knows from them how fast it goes.
    """

    def __init__(
        self, rnn: MDNRNN, predicts: str, end: str = "threshold", rewards: tuple[float, float] | None = None
    ):  # fmt: skip
        self.rnn, self.predicts, self.end, self.rewards = rnn, predicts, end, rewards

    def begin(self, z: tf.Tensor) -> DreamState:
        """Dreams that start at z, float32 (batch, z_size), with an empty memory."""
        z = tf.convert_to_tensor(z)
        zeros = tf.zeros((tf.shape(z)[0], self.rnn.rnn_size))
        return DreamState(z, zeros, zeros, tf.zeros(tf.shape(z)[:1]))

    def predict(self, state: DreamState, actions: tf.Tensor, mask: tf.Tensor | None = None) -> Prediction:
        """actions: float32 (batch, action_size). mask: float32 (batch, rnn_size), each dream's, of `dropout_mask`."""
        h, c = self.rnn.step(self.rnn.inputs(state.z, actions, state.reward_or_done), state.h, state.c)
        if mask is not None:
            h *= mask
        return Prediction(h, c, *self.rnn.split(self.rnn.mdn(h)))

    def sample(
        self, prediction: Prediction, temperature: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor]:
        """The next state, rewards, float32 (batch,), and ends, bool (batch,), drawn from a prediction.

        temperature, uniform, normal: as in `sample_mixture`, the noise (batch, z_size).
        """
        h, c, mixture, reward_or_logit = prediction
        z = sample_mixture(mixture, temperature, uniform, normal)
        return self.arrive(z, h, c, reward_or_logit, uniform)

    def arrive(
        self, z: tf.Tensor, h: tf.Tensor, c: tf.Tensor, reward_or_logit: tf.Tensor, uniform: tf.Tensor
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor]:
        """The state with a sampled z, its rewards and ends.

        uniform: the noise that chose z. The fraction of its sum is uniform as well, and independent of all but one of
            its numbers: it draws the end, or the reward that M reads. The reward returned is the predicted mean.
        """
        if self.predicts == "reward":
            read = reward_or_logit
            if self.rewards:
                idle, gain = self.rewards
                read = idle + gain * tf.maximum(tf.floor((reward_or_logit - idle) / gain + _chance(uniform)), 0.0)
            return DreamState(z, h, c, read), reward_or_logit, tf.zeros_like(reward_or_logit, tf.bool)
        done = reward_or_logit > 0
        if self.end == "drawn":
            done = _chance(uniform) < end_probability(reward_or_logit)
        return DreamState(z, h, c, tf.cast(done, tf.float32)), tf.ones_like(reward_or_logit), done

    def step(
        self, state: DreamState, actions: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor,
        mask: tf.Tensor | None = None,
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor]:  # fmt: skip
        """`predict`, then `sample`."""
        return self.sample(self.predict(state, actions, mask), temperature, uniform, normal)


def _chance(uniform: tf.Tensor) -> tf.Tensor:
    """One uniform number for each dream, (batch,)."""
    return tf.math.floormod(tf.reduce_sum(uniform, axis=1), 1.0)
