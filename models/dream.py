"""The dream: M in the environment's place. Chapter, "Learning Inside a Dream"; paper, section 4.

Nothing here looks at a picture: an agent acts on z and on M's h and c, and M makes the next z, the reward and the end
of it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.controller import controller_actions
from models.mdn_rnn import MDNRNN, sample_mixture

STRETCH = 50  # steps of a rollout after which dreams that have ended are dropped from the batch


class DreamState(NamedTuple):
    """Of a batch of dreams, float32: z (batch, z_size), h and c (batch, rnn_size); reward_or_done (batch,), the reward (or
    end) that came with z: of ends it is always 0, as nothing comes after one."""

    z: tf.Tensor
    h: tf.Tensor
    c: tf.Tensor
    reward_or_done: tf.Tensor

    def features(self, inputs: Sequence[str]) -> tf.Tensor:
        """What a controller with these inputs reads: float32 (batch, num_features)."""
        return tf.concat([getattr(self, name) for name in inputs], axis=1)


class Dream:
    """predicts: what M predicts beside z: "reward", in dreams that never end by themselves, or "done", in dreams
    where each step survived is a reward of 1 and which end where the logit of the end is above 0, as in the original:
    where M, trained with ends weighted tenfold, holds one likelier than 1 in 11."""

    def __init__(self, rnn: MDNRNN, predicts: str):
        self._rnn, self._predicts = rnn, predicts

    @property
    def sizes(self) -> tuple[int, int]:
        """z_size and rnn_size."""
        return self._rnn.z_size, self._rnn.rnn_size

    def begin(self, z) -> DreamState:
        """Dreams that start at z, float32 (batch, z_size), with nothing to remember."""
        z = tf.convert_to_tensor(z)
        nothing = tf.zeros((tf.shape(z)[0], self._rnn.rnn_size))
        return DreamState(z, nothing, nothing, tf.zeros(tf.shape(z)[:1]))

    def predict(self, state: DreamState, actions):
        """What M expects of actions, float32 (batch, action_size): its next h and c, the mixture of the next z, and
        the reward or the logit of the end, (batch,)."""
        inputs = tf.concat([state.z, actions, state.reward_or_done[:, None]], axis=1)
        h, c = self._rnn.step(inputs, state.h, state.c)
        return h, c, *self._rnn.split(self._rnn.mdn(h))

    def step(self, state: DreamState, actions, temperature, uniform, normal):
        """The next state, rewards and ends, float32 and bool (batch,), of actions, float32 (batch, action_size).

        temperature, uniform and normal: as in `sample_mixture`, the noise (batch, z_size).
        """
        return self.follow(*self.predict(state, actions), temperature, uniform, normal)

    def follow(self, h, c, mixture, prediction, temperature, uniform, normal):
        """What becomes of a prediction of `predict`; the rest, and the result, as in `step`."""
        z = sample_mixture(mixture, temperature, uniform, normal)
        if self._predicts == "reward":
            return DreamState(z, h, c, prediction), prediction, tf.zeros_like(prediction, tf.bool)
        done = prediction > 0
        return DreamState(z, h, c, tf.cast(done, tf.float32)), tf.ones_like(prediction), done


class DreamRollout:
    """Whole rollouts of many candidates as one compiled graph.

    activations, inputs, bias: the controller's, as for `WorldModel`.
    """

    def __init__(self, dream: Dream, activations: tuple[str, ...], inputs: Sequence[str], bias: bool):
        self._dream = dream

        def stretch(parameters, episode, state, uniform, normal, temperature):
            """Dreams `state` on for as many steps as there is noise. parameters: a row for each dream, or for as many
            dreams as each has that follow one another; episode: whose noise each dream lives by, int32 (dreams,)."""

            def step(time, state, scores, steps, alive):
                features = state.features(inputs)
                size = features.shape[1]
                features = tf.reshape(features, (tf.shape(parameters)[0], -1, size))
                actions = tf.reshape(
                    controller_actions(parameters, features, activations, bias), (-1, len(activations))
                )
                noise = tf.gather(uniform[time], episode), tf.gather(normal[time], episode)
                state, rewards, done = dream.step(state, actions, temperature, *noise)
                scores += tf.where(alive, rewards, 0.0)
                steps += tf.cast(alive, tf.int32)
                return time + 1, state, scores, steps, alive & ~done

            def going(time, state, scores, steps, alive):
                return tf.reduce_any(alive)

            none = tf.zeros_like(state.reward_or_done)
            beginning = 0, state, none, tf.cast(none, tf.int32), tf.ones_like(none, tf.bool)
            return tf.while_loop(going, step, beginning, maximum_iterations=tf.shape(uniform)[0])[1:]

        def floats(*shape):
            return tf.TensorSpec(shape, tf.float32)

        z_size, rnn_size = dream.sizes
        state = DreamState(floats(None, z_size), floats(None, rnn_size), floats(None, rnn_size), floats(None))
        noise = floats(None, None, z_size)
        # One signature for all sizes: a dream's last digits must not depend on what was traced before.
        signature = floats(None, None), tf.TensorSpec((None,), tf.int32), state, noise, noise, floats()
        self._stretch = tf.function(stretch, autograph=False, input_signature=signature)

    def __call__(self, parameters, start, uniform, normal, temperature: float) -> tuple[np.ndarray, np.ndarray]:
        """Scores, float32, and lengths, int32, (candidates, episodes) each.

        parameters: float32 (candidates, num_parameters). start: float32 (episodes, z_size). uniform in [0, 1) and
        standard normal: float32 (steps, episodes, z_size), whose length limits the episodes'. All candidates live the
        same episodes: the same start and the same luck at each step.
        """
        shape = len(parameters), len(start)
        scores, steps = np.zeros(shape[0] * shape[1], np.float32), np.zeros(shape[0] * shape[1], np.int32)
        candidate, episode = (index.ravel().astype(np.int32) for index in np.indices(shape))
        dreaming = np.arange(len(scores))
        rows = np.float32(parameters)
        state = self._dream.begin(np.float32(start)[episode])
        for first in range(0, len(uniform), STRETCH):
            noise = (tf.constant(kind[first : first + STRETCH], tf.float32) for kind in (uniform, normal))
            state, gained, lived, going = self._stretch(
                rows, episode[dreaming], state, *noise, tf.constant(temperature, tf.float32)
            )
            scores[dreaming] += gained.numpy()
            steps[dreaming] += lived.numpy()
            alive = np.flatnonzero(going)
            if len(alive) == 0:
                break
            if len(alive) < len(dreaming):
                dreaming = dreaming[alive]
                rows = np.float32(parameters)[candidate[dreaming]]
                state = DreamState(*(tf.gather(of_all, alive) for of_all in state))
        return scores.reshape(shape), steps.reshape(shape)
