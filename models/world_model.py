"""V and M in step with an environment, and C on top: what happens between two frames, as one compiled graph."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from models.controller import clipped, controller_actions
from models.mdn_rnn import MDNRNN
from models.vae import VAE, frozen_encoder, sample_z


class WorldModel:
    """The state of `num_envs` agents that see, remember and act together.

    activations: of the controller's outputs. inputs: what C reads, of "z", "h", "c", in that order.
    sample: whether z is drawn from V's (mu, logvar) or is mu.
    """

    def __init__(
        self, vae: VAE, rnn: MDNRNN, activations: tuple[str, ...], inputs: Sequence[str], bias: bool, sample: bool,
        num_envs: int, num_parameters: int,
    ):  # fmt: skip
        self.sample = sample
        self._parameters = np.zeros((num_envs, num_parameters), np.float32)
        self._parameters_on_device = None
        self._keep = np.ones((num_envs, 1), np.float32)
        self._h = tf.zeros((num_envs, rnn.rnn_size))
        self._c = tf.zeros((num_envs, rnn.rnn_size))
        self.z: tf.Tensor | None = None  # of the last step, (num_envs, z_size)

        encode_mu_logvar = frozen_encoder(vae)

        @tf.function(autograph=False)
        def step(obs, reward_or_done, keep, noise, h, c, parameters, by_hand, push):
            mu, logvar = encode_mu_logvar(obs)
            z = sample_z(mu, logvar, noise) if sample else mu
            h, c = h * keep, c * keep
            known = {"z": z, "h": h, "c": c}
            features = tf.concat([known[name] for name in inputs], axis=1)
            actions = controller_actions(parameters, features[:, None], activations, bias)[
                :, 0
            ]  # a env_index, a candidate
            if by_hand is not None:
                actions = by_hand
            if push is not None:
                actions = clipped(actions + push, activations)
            h, c = rnn.step(tf.concat([z, actions, reward_or_done[:, None]], axis=1), h, c)
            return actions, z, h, c

        self._step = step

    def begin(self, env_index: int, parameters: np.ndarray) -> None:
        """A new episode in `env_index`: forget the last one. parameters: float32 (num_parameters,)."""
        self._keep[env_index] = 0.0
        self._parameters[env_index] = parameters
        self._parameters_on_device = None

    def act(
        self,
        obs: np.ndarray,
        reward_or_done: np.ndarray,
        noise: np.ndarray,
        by_hand: np.ndarray | None = None,
        push: np.ndarray | None = None,
    ) -> np.ndarray:
        """Sees, acts, remembers. Returns actions, float32 (num_envs, action_size).

        obs: uint8 (num_envs, 64, 64, 3). reward_or_done: float32 (num_envs,), the reward (or end) that came with obs. noise:
        standard normal float32 (num_envs, z_size), for drawing z. by_hand: actions that somebody else takes in C's
        place; push: what is added to C's; both float32 (num_envs, action_size).
        """
        if self._parameters_on_device is None:
            self._parameters_on_device = tf.constant(self._parameters)
        actions, self.z, self._h, self._c = self._step(
            tf.constant(obs), tf.constant(reward_or_done), tf.constant(self._keep), tf.constant(noise), self._h, self._c,
            self._parameters_on_device, by_hand, push,
        )  # fmt: skip
        self._keep[:] = 1.0
        return actions.numpy()
