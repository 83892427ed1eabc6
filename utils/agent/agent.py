"""An agent of a run as a policy for the rollout engine: its V and M, with any parameters for C."""

import numpy as np

from models.vae import FrameCodec
from models.world_model import WorldModel
from utils.agent.checkpoints import load_rnn, load_vae
from utils.agent.rollouts import Job
from utils.environments import get_spec
from utils.run.config import Config
from utils.run.folder import RunFolder

NOISE_STEPS = 64  # steps of noise for z that are drawn at once for an environment


class Agent:
    """V and M of a run, loaded once."""

    def __init__(self, config: Config, run: RunFolder):
        self.config, self.spec, self.controller = config, get_spec(config.env_name), config.controller
        self.vae, self.rnn = load_vae(config, run), load_rnn(config, run)
        self.codec = FrameCodec(self.vae)

    def policy(self, num_envs: int, candidates: np.ndarray) -> "AgentPolicy":
        """candidates: float32 (candidates, num_parameters), C's parameters, which jobs name by their index."""
        return AgentPolicy(self, num_envs, candidates)


class AgentPolicy:
    """An agent in `num_envs` environments. `candidates` may be replaced between rollouts."""

    def __init__(self, agent: Agent, num_envs: int, candidates: np.ndarray):
        self.candidates = candidates
        self._predicts = agent.spec.predicts
        sample = agent.config.controller_latent == "sample"
        self._world_model = WorldModel(agent.vae, agent.rnn, agent.controller, sample, num_envs)
        self._generators = [np.random.default_rng() for _ in range(num_envs)]
        self._noise = np.zeros((NOISE_STEPS, num_envs, agent.config.z_size), np.float32)
        self._steps = np.zeros(num_envs, int)

    @property
    def z(self) -> np.ndarray:
        """The latent vectors of the last step, float32 (num_envs, z_size)."""
        return np.asarray(self._world_model.z)

    def begin(self, env_index: int, job: Job) -> None:
        self._world_model.begin(env_index, self.candidates[job.candidate])
        self._generators[env_index] = np.random.default_rng(job.draw_seed)
        self._steps[env_index] = 0

    def rest(self, env_index: int) -> None:
        self._world_model.rest(env_index)

    def act(
        self, obs: np.ndarray, reward_or_done: np.ndarray, human_action: np.ndarray | None = None,
        action_noise: np.ndarray | None = None,
    ) -> np.ndarray:  # fmt: skip
        """As `WorldModel.act`."""
        if self._predicts == "done":  # 0 at every step of an episode that goes on
            reward_or_done = np.zeros_like(reward_or_done)
        return self._world_model.act(obs, reward_or_done, self._draw_noise(), human_action, action_noise)

    def _draw_noise(self) -> np.ndarray:
        """Standard normal (num_envs, z_size), each row from the generator of its own episode."""
        env_indices = np.arange(len(self._steps))
        if self._world_model.sample:
            for env_index in env_indices[self._steps % NOISE_STEPS == 0]:
                shape = (NOISE_STEPS, self._noise.shape[2])
                self._noise[:, env_index] = self._generators[env_index].standard_normal(shape, np.float32)
        noise = self._noise[self._steps % NOISE_STEPS, env_indices]
        self._steps += 1
        return noise


class NoisyPolicy:
    """An agent with noise on its actions, so that rollouts show more than what its controller does anyway.

    The noise is correlated from step to step (0.9). Its scale is drawn for each episode from 0 to `strength`: in some
    episodes the agent acts nearly as it would, in some wildly.
    """

    def __init__(self, policy: AgentPolicy, num_envs: int, action_size: int, strength: float):
        self._policy, self._strength = policy, strength
        self._rngs = [np.random.default_rng() for _ in range(num_envs)]
        self._scale, self._noise = np.zeros((num_envs, 1)), np.zeros((num_envs, action_size))

    def begin(self, env_index: int, job: Job) -> None:
        self._policy.begin(env_index, job)
        self._rngs[env_index] = np.random.default_rng([job.draw_seed, 1])
        self._scale[env_index], self._noise[env_index] = self._rngs[env_index].uniform(0, self._strength), 0.0

    def rest(self, env_index: int) -> None:
        self._policy.rest(env_index)

    def act(self, obs: np.ndarray, reward_or_done: np.ndarray) -> np.ndarray:
        fresh = np.stack([rng.standard_normal(self._noise.shape[1]) for rng in self._rngs])
        self._noise = 0.9 * self._noise + np.sqrt(1 - 0.9**2) * self._scale * fresh
        return self._policy.act(obs, reward_or_done, action_noise=self._noise.astype(np.float32))
