"""`WorldModels/Dream-v0`: the dream of a run as a Gymnasium environment, for any agent that learns in one.

    import utils.environments
    env = gymnasium.make("WorldModels/Dream-v0", run="runs/quickstart", temperature=1.0)
    envs = gymnasium.make_vec("WorldModels/Dream-v0", num_envs=64, run="runs/quickstart")

`envs` is one batch in one process, the fastest way. Vectors of processes work as well (`vectorization_mode="async"`),
each with a TensorFlow of its own. From another project, with this one's root on PYTHONPATH, the id
"utils.environments:WorldModels/Dream-v0" needs no import.

Source: chapter, "Learning Inside a Dream".
"""

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from models.action_ranges import LOWEST
from utils.environments import DREAM, get_spec
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.errors import UsageError

if TYPE_CHECKING:
    from utils.dreams.batch import DreamBatch


class _Dreams:
    """What the environment and the vector of environments share: the world, its spaces and its pictures.

    TensorFlow starts with the first dream, not before: vectors of processes make an environment only to look at its
    spaces, and fork then, which TensorFlow does not survive.
    """

    def __init__(self, run: str | Path, temperature: float, batch: int):
        if not 0 < temperature < math.inf:
            raise UsageError(f"temperature {temperature}: must be a number above 0")
        self.temperature, self._batch = temperature, batch
        self._folder = RunFolder(Path(run))
        self._config = self._folder.read_config()
        self._folder.require_rnn()
        self._folder.require(self._folder.starts, 3, "dreams start from the first frames that V has seen")
        self.spec = get_spec(self._config.env_name)
        self.max_steps = self.spec.max_steps
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (self._config.num_features,), np.float32)
        lowest = np.float32([LOWEST[name] for name in self.spec.activations])
        self.action_space = gymnasium.spaces.Box(lowest, np.ones_like(lowest))

    @property
    def world(self) -> "DreamBatch":
        """Raises `UsageError` in a process that was forked from one in which TensorFlow ran."""
        compute.check_not_cut_off(
            f', or take dreams in one batch, which are faster: gymnasium.make_vec("{DREAM}", num_envs=64, run=...)'
        )
        return self._world

    @cached_property
    def _world(self) -> "DreamBatch":
        compute.start_tensorflow()
        from utils.dreams.batch import DreamBatch

        return DreamBatch(self._config, self._folder, self._batch)

    @cached_property
    def _vae(self):
        from utils.training.train_vae import load_vae

        return load_vae(self._config, self._folder)

    def pictures(self) -> np.ndarray:
        """What V makes of z: uint8 (batch, 64, 64, 3)."""
        z = self.world.z
        from models.vae import obs_from_images

        return obs_from_images(self._vae.decode(z, training=False))


def _seed(rng: np.random.Generator) -> int:
    """Of the next dream."""
    return int(rng.integers(2**31))


class DreamEnv(gymnasium.Env):
    """One dream. Observation: float32 (num_features,), what the run's controller reads: z and h, or c too. Actions:
    those of the run's real environment. Reward and end: as M predicts them.

    run: a run folder whose M is trained. temperature: above 0; 1 is M's own uncertainty. Ends after the real
    environment's step limit at the latest. `render()` gives V's picture of z, uint8 (64, 64, 3).
    """

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 50}

    def __init__(self, run: str | Path, temperature: float = 1.0, render_mode: str | None = None):
        self._dreams = _Dreams(run, temperature, batch=1)
        self.observation_space, self.action_space = self._dreams.observation_space, self._dreams.action_space
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": self._dreams.spec.steps_per_second}

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self._steps = 0
        self._dreams.world.begin(0, _seed(self.np_random))
        return self._dreams.world.features()[0], {}

    def step(self, action):
        world = self._dreams.world
        rewards, done = world.step(np.float32(action)[None], self._dreams.temperature)
        self._steps += 1
        truncated = self._steps >= self._dreams.max_steps
        return world.features()[0], float(rewards[0]), bool(done[0]), truncated, {}

    def render(self) -> np.ndarray | None:
        return self._dreams.pictures()[0] if self.render_mode == "rgb_array" else None


class DreamVectorEnv(gymnasium.vector.VectorEnv):
    """`num_envs` dreams in one batch. A dream that ended begins anew at the next step, as Gymnasium's own vectors
    do. Each dream draws from a generator of its own: with `reset(seed=s)`, dream i lives as `DreamEnv` does with
    seed s + i, up to rounding.
    """

    metadata: ClassVar = {**DreamEnv.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, run: str | Path, num_envs: int = 1, temperature: float = 1.0, render_mode: str | None = None):
        self._dreams = _Dreams(run, temperature, num_envs)
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_observation_space = self._dreams.observation_space
        self.single_action_space = self._dreams.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs = [np.random.default_rng() for _ in range(num_envs)]
        self._steps = np.zeros(num_envs, int)
        self._over = np.zeros(num_envs, bool)

    def reset(self, *, seed: int | list[int | None] | None = None, options: dict | None = None):
        seeds = seed if isinstance(seed, list) else [None if seed is None else seed + i for i in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed: {len(seeds)} seeds for {self.num_envs} environments")
        for env_index, seed_of_env in enumerate(seeds):
            if seed_of_env is not None:
                self._rngs[env_index] = gymnasium.utils.seeding.np_random(seed_of_env)[0]
            self._begin(env_index)
        return self._dreams.world.features(), {}

    def _begin(self, env_index: int) -> None:
        self._dreams.world.begin(env_index, _seed(self._rngs[env_index]))
        self._steps[env_index], self._over[env_index] = 0, False

    def step(self, actions):
        world, resetting = self._dreams.world, self._over.copy()
        rewards, done = world.step(np.float32(actions), self._dreams.temperature)
        self._steps += 1
        for env_index in np.flatnonzero(resetting):
            self._begin(env_index)
        rewards[resetting], done[resetting] = 0.0, False
        truncated = self._steps >= self._dreams.max_steps
        self._over = done | truncated
        return world.features(), rewards.astype(np.float64), done, truncated, {}

    def render(self) -> tuple[np.ndarray, ...] | None:
        return tuple(self._dreams.pictures()) if self.render_mode == "rgb_array" else None
