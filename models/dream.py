"""The dream: M in place of the environment. Chapter, "Learning Inside a Dream"; paper, section 4.

An agent acts on z and on M's h and c. M predicts the next z, the reward and the end. No frame is decoded.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.controller import Controller
from models.mdn_rnn import MDNRNN, Mixture, sample_mixture

STRETCH = 50  # steps after which ended dreams are dropped from the batch


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
        "done": each step survived is a reward of 1, and a dream ends where the logit of the end is above 0 (original
        code). M is trained with ends weighted tenfold, so that this is where P(done) is above 1 in 11.
    """

    def __init__(self, rnn: MDNRNN, predicts: str):
        self.rnn, self._predicts = rnn, predicts

    def begin(self, z: tf.Tensor) -> DreamState:
        """Dreams that start at z, float32 (batch, z_size), with an empty memory."""
        z = tf.convert_to_tensor(z)
        zeros = tf.zeros((tf.shape(z)[0], self.rnn.rnn_size))
        return DreamState(z, zeros, zeros, tf.zeros(tf.shape(z)[:1]))

    def predict(self, state: DreamState, actions: tf.Tensor) -> Prediction:
        """actions: float32 (batch, action_size)."""
        h, c = self.rnn.step(self.rnn.inputs(state.z, actions, state.reward_or_done), state.h, state.c)
        return Prediction(h, c, *self.rnn.split(self.rnn.mdn(h)))

    def sample(
        self, prediction: Prediction, temperature: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor]:
        """The next state, rewards, float32 (batch,), and ends, bool (batch,), drawn from a prediction.

        temperature, uniform, normal: as in `sample_mixture`, the noise (batch, z_size).
        """
        h, c, mixture, reward_or_logit = prediction
        z = sample_mixture(mixture, temperature, uniform, normal)
        if self._predicts == "reward":
            return DreamState(z, h, c, reward_or_logit), reward_or_logit, tf.zeros_like(reward_or_logit, tf.bool)
        done = reward_or_logit > 0
        return DreamState(z, h, c, tf.cast(done, tf.float32)), tf.ones_like(reward_or_logit), done

    def step(
        self, state: DreamState, actions: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor]:
        """`predict`, then `sample`."""
        return self.sample(self.predict(state, actions), temperature, uniform, normal)


class Imagination:
    """Whole dreams of many candidates as one compiled graph."""

    def __init__(self, model: DreamModel, controller: Controller):
        self._model, self._controller = model, controller

        def floats(*shape: int | None) -> tf.TensorSpec:
            return tf.TensorSpec(shape, tf.float32)

        z_size, rnn_size = model.rnn.z_size, model.rnn.rnn_size
        state = DreamState(floats(None, z_size), floats(None, rnn_size), floats(None, rnn_size), floats(None))
        noise = floats(None, None, z_size)
        # One signature for all sizes: the last digits of a dream must not depend on what was traced before.
        signature = floats(None, None), tf.TensorSpec((None,), tf.int32), state, noise, noise, floats()
        self._stretch = tf.function(self._imagine_stretch, autograph=False, input_signature=signature)

    def imagine(
        self, parameters: np.ndarray, start: np.ndarray, uniform: np.ndarray, normal: np.ndarray, temperature: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores, float32, and lengths, int32, (candidates, episodes) each.

        All candidates dream the same episodes: the same start, and the same noise at each step.

        parameters: float32 (candidates, num_parameters).
        start: float32 (episodes, z_size).
        uniform, normal: in [0, 1) and standard normal, float32 (steps, episodes, z_size). No episode is longer.
        """
        shape = len(parameters), len(start)
        scores, steps = np.zeros(shape[0] * shape[1], np.float32), np.zeros(shape[0] * shape[1], np.int32)
        candidate, episode = (index.ravel().astype(np.int32) for index in np.indices(shape))
        running = np.arange(len(scores))
        parameters, start = parameters.astype(np.float32), start.astype(np.float32)
        rows, state = parameters, self._model.begin(start[episode])
        for first in range(0, len(uniform), STRETCH):
            noise = (tf.constant(kind[first : first + STRETCH], tf.float32) for kind in (uniform, normal))
            state, gained, lived, alive = self._stretch(
                rows, episode[running], state, *noise, tf.constant(temperature, tf.float32)
            )
            scores[running] += gained.numpy()
            steps[running] += lived.numpy()
            going_on = np.flatnonzero(alive)
            if len(going_on) == 0:
                break
            if len(going_on) < len(running):
                running = running[going_on]
                rows = parameters[candidate[running]]
                state = DreamState(*(tf.gather(part, going_on) for part in state))
        return scores.reshape(shape), steps.reshape(shape)

    def _imagine_stretch(
        self, parameters: tf.Tensor, episode: tf.Tensor, state: DreamState, uniform: tf.Tensor, normal: tf.Tensor,
        temperature: tf.Tensor,
    ) -> tuple:  # fmt: skip
        """Dreams on from `state` for as many steps as there is noise.

        parameters: a row for each dream, or for each group of dreams that follow one another.
        episode: int32 (dreams,), whose noise each dream is given.
        Returns the last state, then scores, lengths and whether it lives, (dreams,) each.
        """

        def step(
            time: tf.Tensor, state: DreamState, scores: tf.Tensor, steps: tf.Tensor, alive: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            noise = tf.gather(uniform[time], episode), tf.gather(normal[time], episode)
            state, rewards, done = self._model.step(state, self._act(parameters, state), temperature, *noise)
            scores += tf.where(alive, rewards, 0.0)
            steps += tf.cast(alive, tf.int32)
            return time + 1, state, scores, steps, alive & ~done

        zeros = tf.zeros_like(state.reward_or_done)
        begin = 0, state, zeros, tf.cast(zeros, tf.int32), tf.ones_like(zeros, tf.bool)
        limit = tf.shape(uniform)[0]
        return tf.while_loop(lambda *loop: tf.reduce_any(loop[-1]), step, begin, maximum_iterations=limit)[1:]

    def _act(self, parameters: tf.Tensor, state: DreamState) -> tf.Tensor:
        """Actions, float32 (dreams, num_actions)."""
        features = self._controller.features(z=state.z, h=state.h, c=state.c)
        by_row = tf.reshape(features, (tf.shape(parameters)[0], -1, self._controller.num_features))
        return tf.reshape(self._controller.act(parameters, by_row), (-1, self._controller.num_actions))
