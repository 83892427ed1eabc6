"""The dream: M in place of the environment. Chapter, "Learning Inside a Dream"; paper, section 4.

An agent acts on z and on M's h and c. M predicts the next z, the reward and the end. No frame is decoded.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.controller import Controller
from models.mdn_rnn import LOGVAR_LIMIT, MDNRNN, Mixture, sample_mixture

STRETCH = 50  # steps after which ended dreams are dropped from the batch
BLOCK = 64  # batch sizes are multiples of it, filled up with ended dreams: XLA compiles each size anew


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
        self.rnn, self.predicts = rnn, predicts

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
        return self.arrive(sample_mixture(mixture, temperature, uniform, normal), h, c, reward_or_logit)

    def arrive(
        self, z: tf.Tensor, h: tf.Tensor, c: tf.Tensor, reward_or_logit: tf.Tensor
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor]:
        """The state with a sampled z, its rewards and ends."""
        if self.predicts == "reward":
            return DreamState(z, h, c, reward_or_logit), reward_or_logit, tf.zeros_like(reward_or_logit, tf.bool)
        done = reward_or_logit > 0
        return DreamState(z, h, c, tf.cast(done, tf.float32)), tf.ones_like(reward_or_logit), done

    def step(
        self, state: DreamState, actions: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor]:
        """`predict`, then `sample`."""
        return self.sample(self.predict(state, actions), temperature, uniform, normal)


class FastStep:
    """`DreamModel.step` at the speed of the hardware, with a copy of the model's present weights.

    Three things make it fast: one product for the inputs and h, the mixture as planes (mixture, z) of which running
    sums choose a component without normalised weights, and XLA for everything that is no product. XLA compiles once
    for each batch size.
    """

    def __init__(self, model: DreamModel):
        self._model, rnn = model, model.rnn
        cell = rnn.lstm.cell
        self._kernel = tf.concat([cell.kernel, cell.recurrent_kernel], axis=0)
        self._bias = tf.convert_to_tensor(cell.bias)
        # In the file the head's outputs are (part, z, mixture), here (part, mixture, z).
        self._planes = (3, rnn.num_mixture, rnn.z_size)
        columns = tf.reshape(tf.range(rnn.output_size - 1), (3, rnn.z_size, rnn.num_mixture))
        order = tf.concat([tf.reshape(tf.transpose(columns, (0, 2, 1)), [-1]), [rnn.output_size - 1]], axis=0)
        self._head = tf.gather(rnn.mdn.kernel, order, axis=1)
        self._head_bias = tf.gather(rnn.mdn.bias, order)
        self._gates = tf.function(self._lstm_gates, jit_compile=True, autograph=False)
        self._draw = tf.function(self._draw_z, jit_compile=True, autograph=False)

    def __call__(
        self, state: DreamState, actions: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tuple[DreamState, tf.Tensor, tf.Tensor]:
        """The next state, rewards, float32 (batch,), and ends, bool (batch,). Arguments as of `DreamModel.step`."""
        inputs = tf.concat([state.z, actions, state.reward_or_done[:, None], state.h], axis=1)
        h, c = self._gates(tf.matmul(inputs, self._kernel), state.c)
        z, prediction = self._draw(tf.matmul(h, self._head), temperature, uniform, normal)
        return self._model.arrive(z, h, c, prediction)

    def _lstm_gates(self, product: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        i, f, g, o = tf.split(product + self._bias, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return tf.sigmoid(o) * tf.tanh(c), c

    def _draw_z(
        self, product: tf.Tensor, temperature: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """z, (batch, z_size), and the predicted reward or logit of the end, (batch,)."""
        outputs = product + self._head_bias
        logpi, mu, logvar = tf.unstack(tf.reshape(outputs[:, :-1], (-1, *self._planes)), axis=1)
        weights = tf.exp((logpi - tf.reduce_max(logpi, axis=1, keepdims=True)) / temperature)
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
        return chosen_mu + std * tf.sqrt(temperature) * normal, outputs[:, -1]


class Imagination:
    """Whole dreams of many candidates as one compiled graph, with the present weights of `model`."""

    def __init__(self, model: DreamModel, controller: Controller):
        self._model, self._controller, self._step = model, controller, FastStep(model)

        def floats(*shape: int | None) -> tf.TensorSpec:
            return tf.TensorSpec(shape, tf.float32)

        z_size, rnn_size = model.rnn.z_size, model.rnn.rnn_size
        state = DreamState(floats(None, z_size), floats(None, rnn_size), floats(None, rnn_size), floats(None))
        noise = floats(None, None, z_size)
        # One signature for all sizes: the last digits of a dream must not depend on what was traced before.
        dreams = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None,), tf.bool)
        signature = floats(None, None), *dreams, state, noise, noise, floats()
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
        running, alive = np.arange(len(scores)), np.ones(len(scores), bool)
        parameters, start = parameters.astype(np.float32), start.astype(np.float32)
        rows, state = parameters, self._model.begin(start[episode])
        for first in range(0, len(uniform), STRETCH):
            noise = (tf.constant(kind[first : first + STRETCH], tf.float32) for kind in (uniform, normal))
            state, gained, lived, going_on = self._stretch(
                rows, episode[running], alive, state, *noise, tf.constant(temperature, tf.float32)
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
        normal: tf.Tensor, temperature: tf.Tensor,
    ) -> tuple:  # fmt: skip
        """Dreams on from `state` for as many steps as there is noise.

        parameters: a row for each dream, or for each group of dreams that follow one another.
        episode: int32 (dreams,), whose noise each dream is given.
        alive: bool (dreams,), false for dreams that have ended and gain nothing more.
        Returns the last state, then scores, lengths and whether it lives, (dreams,) each.
        """

        def step(
            time: tf.Tensor, state: DreamState, scores: tf.Tensor, steps: tf.Tensor, alive: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            noise = tf.gather(uniform[time], episode), tf.gather(normal[time], episode)
            state, rewards, done = self._step(state, self._act(parameters, state), temperature, *noise)
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
