"""An agent of a run: its V and M loaded, controllers handed in, as a policy for the rollout engine."""

import numpy as np
import tensorflow as tf

from models.controller import num_parameters
from models.vae import obs_from_images
from models.world_model import WorldModel
from utils.agent.rollouts import Job
from utils.environments import get_spec
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.training.train_rnn import load_rnn
from utils.training.train_vae import load_vae

NOISE_STEPS = 64  # draws of z made at once for a env_index


class Agent:
    """V and M of a run, loaded once; `policy(num_envs)` drives with them."""

    def __init__(self, config: Config, run: RunFolder):
        self.config, self.spec = config, get_spec(config.env_name)
        self.vae, self.rnn = load_vae(config, run), load_rnn(config, run)
        self._decode = tf.function(lambda z: self.vae.decode(z, training=False), autograph=False)

    @property
    def num_parameters(self) -> int:
        """Of a controller: 867 at the chapter's sizes."""
        return num_parameters(self.config.num_features, self.spec.action_size, self.config.controller_bias)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """What V makes of z, float32 (n, z_size): pictures, uint8 (n, 64, 64, 3)."""
        return obs_from_images(self._decode(z))

    def policy(self, num_envs: int) -> "AgentPolicy":
        return AgentPolicy(self, num_envs)


class AgentPolicy:
    """Controllers `candidates`, float32 (candidates, num_parameters), that drive with an agent's V and M."""

    def __init__(self, agent: Agent, num_envs: int):
        config = agent.config
        self._predicts = agent.spec.predicts
        self._world_model = WorldModel(
            agent.vae, agent.rnn, agent.spec.activations, tuple(config.controller_inputs),
            config.controller_bias, config.controller_latent == "sample", num_envs, agent.num_parameters,
        )  # fmt: skip
        self.candidates = np.zeros((1, agent.num_parameters), np.float32)
        self._generators = [np.random.default_rng() for _ in range(num_envs)]
        self._noise = np.zeros((NOISE_STEPS, num_envs, config.z_size), np.float32)
        self._steps = np.zeros(num_envs, int)

    @property
    def z(self) -> np.ndarray:
        """The latent vectors of the last step, float32 (num_envs, z_size)."""
        return np.asarray(self._world_model.z)

    def begin(self, env_index: int, job: Job) -> None:
        self._world_model.begin(env_index, self.candidates[job.candidate])
        self._generators[env_index] = np.random.default_rng(job.draw_seed)
        self._steps[env_index] = 0

    def act(self, obs: np.ndarray, reward_or_done: np.ndarray, by_hand=None, push=None) -> np.ndarray:
        """by_hand, push: as for `WorldModel.act`."""
        # M predicts an episode's end as 1; while one is still being played, what it saw last is always 0.
        reward_or_done = reward_or_done if self._predicts == "reward" else np.zeros_like(reward_or_done)
        return self._world_model.act(obs, reward_or_done, self._draw(), by_hand, push)

    def _draw(self) -> np.ndarray:
        """Standard normal (num_envs, z_size), each env_index from its own episode's generator."""
        num_envs = np.arange(len(self._steps))
        if self._world_model.sample:
            for env_index in num_envs[self._steps % NOISE_STEPS == 0]:
                shape = (NOISE_STEPS, self._noise.shape[2])
                self._noise[:, env_index] = self._generators[env_index].standard_normal(shape, np.float32)
        noise = self._noise[self._steps % NOISE_STEPS, num_envs]
        self._steps += 1
        return noise


class NoisyPolicy:
    """A controller that is pushed about, so that rollouts show more than what it does anyway.

    The push of each action is correlated from step to step (0.9), and as strong, up to `strength`, as is drawn for
    the episode: some are driven nearly as the controller would, some wildly.
    """

    def __init__(self, policy: AgentPolicy, num_envs: int, action_size: int, strength: float):
        self._policy, self._strength = policy, strength
        self._rngs = [np.random.default_rng() for _ in range(num_envs)]
        self._scale, self._push = np.zeros((num_envs, 1)), np.zeros((num_envs, action_size))

    def begin(self, env_index: int, job: Job) -> None:
        self._policy.begin(env_index, job)
        self._rngs[env_index] = np.random.default_rng([job.draw_seed, 1])
        self._scale[env_index], self._push[env_index] = self._rngs[env_index].uniform(0, self._strength), 0.0

    def act(self, obs: np.ndarray, reward_or_done: np.ndarray) -> np.ndarray:
        noise = np.stack([rng.standard_normal(self._push.shape[1]) for rng in self._rngs])
        self._push = 0.9 * self._push + np.sqrt(1 - 0.9**2) * self._scale * noise
        return self._policy.act(obs, reward_or_done, push=np.float32(self._push))
