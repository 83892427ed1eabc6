"""V, M and C in step with an environment: one compiled graph from a frame to the action."""

import numpy as np
import tensorflow as tf

from models.controller import Controller
from models.mdn_rnn import MDNRNN
from models.vae import VAE, frozen_encoder, sample_z


class WorldModel:
    """The state of `num_envs` agents that act together, each in an environment of its own. Who rests costs nothing.

    sample: whether z is drawn from V's (mu, logvar). Otherwise it is mu.
    """

    def __init__(self, vae: VAE, rnn: MDNRNN, controller: Controller, sample: bool, num_envs: int):
        self.sample = sample
        self._parameters = np.zeros((num_envs, controller.num_parameters), np.float32)
        self._parameters_on_device: tf.Tensor | None = None
        self._not_reset = np.ones((num_envs, 1), np.float32)  # 0 where an episode begins
        self._awake = np.ones(num_envs, bool)
        self._h = tf.zeros((num_envs, rnn.rnn_size))
        self._c = tf.zeros((num_envs, rnn.rnn_size))
        self.z: tf.Tensor | None = None  # of the last step, (num_envs, z_size), 0 where an agent rests

        encode_mu_logvar = frozen_encoder(vae)

        def act_awake(
            obs: tf.Tensor, reward_or_done: tf.Tensor, not_reset: tf.Tensor, noise: tf.Tensor, h: tf.Tensor,
            c: tf.Tensor, parameters: tf.Tensor, human_action: tf.Tensor | None, action_noise: tf.Tensor | None,
        ) -> tuple[tf.Tensor, ...]:  # fmt: skip
            mu, logvar = encode_mu_logvar(obs)
            z = sample_z(mu, logvar, noise) if sample else mu
            h, c = h * not_reset, c * not_reset
            features = controller.features(z=z, h=h, c=c)
            actions = controller.act(parameters, features[:, None])[:, 0]  # a candidate for each environment
            if human_action is not None:
                actions = human_action
            if action_noise is not None:
                actions = controller.clip(actions + action_noise)
            h, c = rnn.step(rnn.inputs(z, actions, reward_or_done), h, c)
            return actions, z, h, c

        @tf.function(autograph=False)
        def step(awake: tf.Tensor, *inputs: tf.Tensor | None) -> list[tf.Tensor]:
            rows = tf.where(awake)
            outputs = act_awake(*(None if array is None else tf.gather_nd(array, rows) for array in inputs))
            return [tf.scatter_nd(rows, array, (num_envs, array.shape[1])) for array in outputs]

        self._step = step

    def begin(self, env_index: int, parameters: np.ndarray) -> None:
        """Forgets the last episode of an environment. parameters: float32 (num_parameters,), C's in the next one."""
        self._awake[env_index] = True
        self._not_reset[env_index] = 0.0
        self._parameters[env_index] = parameters
        self._parameters_on_device = None

    def rest(self, env_index: int) -> None:
        """There is nothing to do in an environment until the next `begin`."""
        self._awake[env_index] = False

    def act(
        self, obs: np.ndarray, reward_or_done: np.ndarray, noise: np.ndarray,
        human_action: np.ndarray | None = None, action_noise: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """Encodes, acts, remembers. Returns actions, float32 (num_envs, action_size), 0 where an agent rests.

        obs: uint8 (num_envs, 64, 64, 3).
        reward_or_done: float32 (num_envs,), the reward (or end) that came with obs.
        noise: standard normal float32 (num_envs, z_size), to draw z.
        human_action: float32 (num_envs, action_size), in place of C's.
        action_noise: float32 (num_envs, action_size), added to C's action.
        """
        if self._parameters_on_device is None:
            self._parameters_on_device = tf.constant(self._parameters)
        actions, self.z, self._h, self._c = self._step(
            tf.constant(self._awake), tf.constant(obs), tf.constant(reward_or_done), tf.constant(self._not_reset),
            tf.constant(noise), self._h, self._c, self._parameters_on_device, human_action, action_noise,
        )  # fmt: skip
        self._not_reset[:] = 1.0
        return actions.numpy()
