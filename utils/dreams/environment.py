"""`WorldModels/Dream-v0`: the dream of a run as a Gymnasium environment, for any agent that learns in one.

    import utils.environments
    env = gymnasium.make("WorldModels/Dream-v0", run="runs/quickstart", temperature=1.0)
    envs = gymnasium.make_vec("WorldModels/Dream-v0", num_envs=64, run="runs/quickstart")

`envs` is one batch in one process, the fastest way. Vectors of processes work as well (`vectorization_mode="async"`),
each with a TensorFlow of its own. From another project, with this one's root on PYTHONPATH, the id
"utils.environments:WorldModels/Dream-v0" needs no import.

Source: chapter, "Learning Inside a Dream".
"""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from utils.dreams.batch import DreamBatch, check_temperature
from utils.run.folder import RunFolder
from utils.system.errors import UsageError


def _next_seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _set_options(dreams: DreamBatch, temperature: float, options: dict | None) -> np.ndarray | None:
    """Sets the temperature, `temperature` if the options have none. Returns z of the start, if they have one.

    Raises `UsageError`, and changes nothing, if an option is unknown or wrong.
    """
    options = {"start": None, "temperature": temperature} | (options or {})
    if unknown := sorted(options.keys() - {"start", "temperature"}):
        raise UsageError(f"options: there is no {unknown[0]!r}, only start and temperature")
    check_temperature(options["temperature"])
    z = None if options["start"] is None else dreams.start_latent(options["start"])
    dreams.temperature = options["temperature"]
    return z


class DreamEnv(gymnasium.Env):
    """One dream.

    Observation: float32 (num_features,), what the run's controller reads: z and h, or c too.
    Action: as in the run's real environment.
    Reward and end: as M predicts them. A dream ends at the step limit of the real environment at the latest.
    `render()`: V's reconstruction of z, uint8 (64, 64, 3).
    Info: z, float32 (z_size,); after a step also mixture_entropy and, if M predicts the end, end_probability, as in
        `DreamBatch.info`.
    Options of `reset`, until the next one: "start", as in `DreamBatch.start_latent`, and "temperature".

    run: a run folder with a trained M.
    temperature: above 0; 1 is M's own uncertainty.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 50}

    def __init__(self, run: str | Path, temperature: float = 1.0, render_mode: str | None = None):
        self._dreams, self._temperature = DreamBatch(RunFolder(Path(run)), 1, temperature), temperature
        self.observation_space, self.action_space = self._dreams.observation_space, self._dreams.action_space
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": self._dreams.spec.steps_per_second}

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        z = _set_options(self._dreams, self._temperature, options)
        self._steps = 0
        self._dreams.begin(0, _next_seed(self.np_random), z)
        return self._dreams.features()[0], {"z": self._dreams.z[0].copy()}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        rewards, done = self._dreams.step(np.asarray(action, np.float32)[None])
        self._steps += 1
        truncated = self._steps >= self._dreams.max_steps
        info = {name: value[0] for name, value in self._dreams.info().items()}
        return self._dreams.features()[0], float(rewards[0]), bool(done[0]), truncated, info

    def render(self) -> np.ndarray | None:
        return self._dreams.render()[0] if self.render_mode == "rgb_array" else None


class DreamVectorEnv(gymnasium.vector.VectorEnv):
    """`num_envs` dreams in one batch.

    A dream that ended begins again at the next step, as in Gymnasium's own vectors. Each dream has a generator of its
    own: with `reset(seed=s)`, dream i is that of a `DreamEnv` with seed s + i, up to rounding.

    Info and options as in `DreamEnv`, arrays with a row for each dream. All dreams that a reset begins have its start.
    """

    metadata: dict[str, Any] = {**DreamEnv.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, run: str | Path, num_envs: int = 1, temperature: float = 1.0, render_mode: str | None = None):
        self._dreams, self._temperature = DreamBatch(RunFolder(Path(run)), num_envs, temperature), temperature
        self.num_envs, self.render_mode = num_envs, render_mode
        self.single_observation_space = self._dreams.observation_space
        self.single_action_space = self._dreams.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs = [np.random.default_rng() for _ in range(num_envs)]
        self._steps = np.zeros(num_envs, int)
        self._over = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict]:
        seeds = seed if isinstance(seed, list) else [None if seed is None else seed + i for i in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed: {len(seeds)} seeds for {self.num_envs} environments")
        z = _set_options(self._dreams, self._temperature, options)
        for env_index, env_seed in enumerate(seeds):
            if env_seed is not None:
                self._rngs[env_index] = gymnasium.utils.seeding.np_random(env_seed)[0]
            self._begin(env_index, z)
        return self._dreams.features(), {"z": self._dreams.z.copy()}

    def _begin(self, env_index: int, z: np.ndarray | None = None) -> None:
        self._dreams.begin(env_index, _next_seed(self._rngs[env_index]), z)
        self._steps[env_index], self._over[env_index] = 0, False

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict]:
        resetting = self._over.copy()
        rewards, done = self._dreams.step(np.asarray(actions, np.float32))
        self._steps += 1
        for env_index in np.flatnonzero(resetting).tolist():
            self._begin(env_index)
        info = self._dreams.info()
        for name in info.keys() - {"z"}:
            info[name] = np.where(resetting, np.nan, info[name])  # no step led to a first frame
        rewards[resetting], done[resetting] = 0.0, False
        truncated = self._steps >= self._dreams.max_steps
        self._over = done | truncated
        return self._dreams.features(), rewards.astype(np.float64), done, truncated, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        return tuple(self._dreams.render()) if self.render_mode == "rgb_array" else None
