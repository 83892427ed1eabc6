"""Whole dreams of many candidates at once. Chapter, "Learning Inside a Dream"."""

import numpy as np
import tensorflow as tf

from models.controller import Controller
from models.dream import DreamModel, DreamState
from models.fast_step import FastStep

STRETCH = 50  # steps after which ended dreams are dropped from the batch
BLOCK = 64  # batch sizes are multiples of it, filled up with ended dreams: XLA compiles each size anew


class Imagination:
    """Whole dreams of many candidates as one compiled graph, with the present weights of `model`."""

    def __init__(self, model: DreamModel, controller: Controller):
        self._model, self._controller, self._step = model, controller, FastStep(model, controller)

        def floats(*shape: int | None) -> tf.TensorSpec:
            return tf.TensorSpec(shape, tf.float32)

        z_size, rnn_size = model.rnn.z_size, model.rnn.rnn_size
        state = DreamState(floats(None, z_size), floats(None, rnn_size), floats(None, rnn_size), floats(None))
        noise = floats(None, None, z_size)
        # One signature for all sizes: the last digits of a dream must not depend on what was traced before.
        dreams = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None,), tf.bool)
        signature = [floats(None, None), *dreams, state, noise, noise, floats()]
        self._stretch, self._masked_stretch = (
            tf.function(self._imagine_stretch, autograph=False, input_signature=signature + more)
            for more in ([], [floats(None, rnn_size)])
        )

    def imagine(
        self, parameters: np.ndarray, start: DreamState, uniform: np.ndarray, normal: np.ndarray, temperature: float,
        mask: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """Scores, float32, and lengths, int32, (candidates, episodes) each.

        All candidates dream the same episodes: the same start, and the same noise at each step.

        parameters: float32 (candidates, num_parameters).
        start: float32 (episodes, ...) each.
        uniform, normal: in [0, 1) and standard normal, float32 (steps, episodes, z_size). No episode is longer.
        mask: float32 (episodes, rnn_size), of `dropout_mask`.
        """
        stretch, masks = (self._stretch, ()) if mask is None else (self._masked_stretch, (mask,))
        shape = len(parameters), len(start.z)
        scores, steps = np.zeros(shape[0] * shape[1], np.float32), np.zeros(shape[0] * shape[1], np.int32)
        candidate, episode = (index.ravel().astype(np.int32) for index in np.indices(shape))
        running, alive = np.arange(len(scores)), np.ones(len(scores), bool)
        parameters = parameters.astype(np.float32)
        rows, state = parameters, DreamState(*(tf.constant(part[episode], tf.float32) for part in start))
        for first in range(0, len(uniform), STRETCH):
            noise = (tf.constant(kind[first : first + STRETCH], tf.float32) for kind in (uniform, normal))
            state, gained, lived, going_on = stretch(
                rows, episode[running], alive, state, *noise, tf.constant(temperature, tf.float32), *masks
            )
            scores[running] += gained.numpy()
            steps[running] += lived.numpy()
            alive = going_on.numpy()
            if not alive.any():
                break
            size = -(-np.count_nonzero(alive) // BLOCK) * BLOCK
            if size < len(running):
                kept = np.sort(np.argsort(~alive, kind="stable")[:size])
                running, alive = running[kept], alive[kept]
                rows = parameters[candidate[running]]
                state = DreamState(*(tf.gather(part, kept) for part in state))
        return scores.reshape(shape), steps.reshape(shape)

    def _imagine_stretch(
        self, parameters: tf.Tensor, episode: tf.Tensor, alive: tf.Tensor, state: DreamState, uniform: tf.Tensor,
        normal: tf.Tensor, temperature: tf.Tensor, masks: tf.Tensor | None = None,
    ) -> tuple:  # fmt: skip
        """Dreams on from `state` for as many steps as there is noise.

        parameters: a row for each dream, or for each group of dreams that follow one another.
        episode: int32 (dreams,), whose noise and mask each dream is given.
        alive: bool (dreams,), false for dreams that have ended and gain nothing more.
        Returns the last state, then scores, lengths and whether it lives, (dreams,) each.
        """

        mask = None if masks is None else tf.gather(masks, episode)

        def step(
            time: tf.Tensor, state: DreamState, scores: tf.Tensor, steps: tf.Tensor, alive: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            noise = tf.gather(uniform[time], episode), tf.gather(normal[time], episode)
            state, rewards, done = self._step(state, self._act(parameters, state), temperature, *noise, mask)
            scores += tf.where(alive, rewards, 0.0)
            steps += tf.cast(alive, tf.int32)
            return time + 1, state, scores, steps, alive & ~done

        zeros = tf.zeros_like(state.reward_or_done)
        begin = 0, state, zeros, tf.cast(zeros, tf.int32), alive
        limit = tf.shape(uniform)[0]
        return tf.while_loop(lambda *loop: tf.reduce_any(loop[-1]), step, begin, maximum_iterations=limit)[1:]

    def _act(self, parameters: tf.Tensor, state: DreamState) -> tf.Tensor:
        """Actions, float32 (dreams, num_actions)."""
        features = self._controller.features(z=state.z, h=state.h, c=state.c)
        by_row = tf.reshape(features, (tf.shape(parameters)[0], -1, self._controller.num_features))
        return tf.reshape(self._controller.act(parameters, by_row), (-1, self._controller.num_actions))
