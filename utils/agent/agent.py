"""An agent of a run: its V and M loaded, controllers handed in, as a policy for the rollout engine."""

import numpy as np
import tensorflow as tf

from models.controller import num_parameters
from models.vae import obs_from_images
from models.world_model import WorldModel
from utils.agent.rollouts import Job
from utils.environments import describe
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.training.train_rnn import load_rnn
from utils.training.train_vae import load_vae

NOISE_STEPS = 64  # draws of z made at once for a lane


class Agent:
    """V and M of a run, loaded once; `policy(lanes)` drives with them."""

    def __init__(self, config: Config, run: RunFolder):
        self.config, self.description = config, describe(config.env_name)
        self.vae, self.rnn = load_vae(config, run), load_rnn(config, run)
        self._decode = tf.function(lambda z: self.vae.decode(z, training=False), autograph=False)

    @property
    def num_parameters(self) -> int:
        """Of a controller: 867 at the chapter's sizes."""
        return num_parameters(self.config.num_features, self.description.action_size, self.config.controller_bias)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """What V makes of z, float32 (n, z_size): pictures, uint8 (n, 64, 64, 3)."""
        return obs_from_images(self._decode(z))

    def policy(self, lanes: int) -> "AgentPolicy":
        return AgentPolicy(self, lanes)


class AgentPolicy:
    """Controllers `candidates`, float32 (candidates, num_parameters), that drive with an agent's V and M."""

    def __init__(self, agent: Agent, lanes: int):
        config = agent.config
        self._predicts = agent.description.predicts
        self._world_model = WorldModel(
            agent.vae, agent.rnn, agent.description.activations, tuple(config.controller_inputs),
            config.controller_bias, config.controller_latent == "sample", lanes, agent.num_parameters,
        )  # fmt: skip
        self.candidates = np.zeros((1, agent.num_parameters), np.float32)
        self._generators = [np.random.default_rng() for _ in range(lanes)]
        self._noise = np.zeros((NOISE_STEPS, lanes, config.z_size), np.float32)
        self._steps = np.zeros(lanes, int)

    @property
    def z(self) -> np.ndarray:
        """The latent vectors of the last step, float32 (lanes, z_size)."""
        return np.asarray(self._world_model.z)

    def begin(self, lane: int, job: Job) -> None:
        self._world_model.begin(lane, self.candidates[job.candidate])
        self._generators[lane] = np.random.default_rng(job.draw_seed)
        self._steps[lane] = 0

    def act(self, obs: np.ndarray, signal: np.ndarray, by_hand=None, push=None) -> np.ndarray:
        """by_hand, push: as for `WorldModel.act`."""
        # M predicts an episode's end as 1; while one is still being played, what it saw last is always 0.
        signal = signal if self._predicts == "reward" else np.zeros_like(signal)
        return self._world_model.act(obs, signal, self._draw(), by_hand, push)

    def _draw(self) -> np.ndarray:
        """Standard normal (lanes, z_size), each lane from its own episode's generator."""
        lanes = np.arange(len(self._steps))
        if self._world_model.sample:
            for lane in lanes[self._steps % NOISE_STEPS == 0]:
                shape = (NOISE_STEPS, self._noise.shape[2])
                self._noise[:, lane] = self._generators[lane].standard_normal(shape, np.float32)
        noise = self._noise[self._steps % NOISE_STEPS, lanes]
        self._steps += 1
        return noise


class PushedPolicy:
    """A controller that is pushed about, so that rollouts show more than what it does anyway.

    The push of each action is correlated from step to step (0.9), and as strong, up to `strength`, as is drawn for
    the episode: some are driven nearly as the controller would, some wildly.
    """

    def __init__(self, policy: AgentPolicy, lanes: int, action_size: int, strength: float):
        self._policy, self._strength = policy, strength
        self._rngs = [np.random.default_rng() for _ in range(lanes)]
        self._scale, self._push = np.zeros((lanes, 1)), np.zeros((lanes, action_size))

    def begin(self, lane: int, job: Job) -> None:
        self._policy.begin(lane, job)
        self._rngs[lane] = np.random.default_rng([job.draw_seed, 1])
        self._scale[lane], self._push[lane] = self._rngs[lane].uniform(0, self._strength), 0.0

    def act(self, obs: np.ndarray, signal: np.ndarray) -> np.ndarray:
        noise = np.stack([rng.standard_normal(self._push.shape[1]) for rng in self._rngs])
        self._push = 0.9 * self._push + np.sqrt(1 - 0.9**2) * self._scale * noise
        return self._policy.act(obs, signal, push=np.float32(self._push))
