"""Dreams of a run side by side, a step at a time: what the Gymnasium environments and the player share."""

from functools import cached_property
from typing import TYPE_CHECKING

import gymnasium
import numpy as np

from utils.environments import DREAM, get_spec
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system import compute
from utils.system.errors import UsageError

if TYPE_CHECKING:
    import tensorflow as tf

    from models.dream import DreamModel, DreamState
    from models.vae import FrameCodec
    from utils.dreams.noise import InitialLatents


class DreamBatch:
    """`num_envs` dreams in one batch, and their spaces.

    TensorFlow starts with the first dream. Before it, a process may fork: vectors of processes make an environment
    only to read its spaces, and then fork, which TensorFlow does not survive.

    temperature: may be set.
    Raises `UsageError` if the run has no M or no first frames, or the temperature is not above 0.
    """

    def __init__(self, run: RunFolder, num_envs: int, temperature: float):
        if not 0 < temperature < float("inf"):
            raise UsageError(f"temperature {temperature}: must be a number above 0")
        self.temperature, self._num_envs, self._run = temperature, num_envs, run
        self._config = run.read_config()
        run.require_rnn()
        run.require(run.starts, Step.SERIES, "dreams start from the first frames of the rollouts")
        self.spec, self.controller = get_spec(self._config.env_name), self._config.controller
        self.max_steps = self.spec.max_steps
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (self.controller.num_features,), np.float32)
        lowest = self.controller.lowest_action
        self.action_space = gymnasium.spaces.Box(lowest, np.ones_like(lowest))

    @cached_property
    def _loaded(self) -> "tuple[DreamModel, tf.types.experimental.GenericFunction, InitialLatents]":
        compute.start_tensorflow()
        import tensorflow as tf

        from models.dream import DreamModel, FastStep
        from utils.agent.checkpoints import load_rnn
        from utils.dreams.noise import DreamNoise, InitialLatents

        self._noise = [DreamNoise(0)] * self._num_envs
        model = DreamModel(load_rnn(self._config, self._run), self.spec.predicts)
        self._state: DreamState = model.begin(np.zeros((self._num_envs, self._config.z_size), np.float32))
        return model, tf.function(FastStep(model), autograph=False), InitialLatents(self._run, self._config.z_size)

    def _model(self) -> "tuple[DreamModel, tf.types.experimental.GenericFunction, InitialLatents]":
        """Raises `UsageError` in a process that was forked from one in which TensorFlow ran."""
        compute.check_not_cut_off(
            f', or take dreams in one batch, which are faster: gymnasium.make_vec("{DREAM}", num_envs=64, run=...)'
        )
        return self._loaded

    @cached_property
    def _codec(self) -> "FrameCodec":
        from models.vae import FrameCodec
        from utils.agent.checkpoints import load_vae

        return FrameCodec(load_vae(self._config, self._run))

    def begin(self, env_index: int, seed: int) -> None:
        """Begins the dream of `seed`, with its own start and an empty memory."""
        model, _, initial = self._model()
        import tensorflow as tf

        from utils.dreams.noise import DreamNoise

        self._noise[env_index] = noise = DreamNoise(seed)
        fresh = model.begin(initial.sample(noise.start)[None])
        chosen = np.arange(self._num_envs) == env_index
        self._state = type(self._state)(
            *(
                tf.where(chosen.reshape((-1,) + (1,) * (part.ndim - 1)), new, part)
                for new, part in zip(fresh, self._state)
            )
        )

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rewards, float32, and ends, bool, (num_envs,) each. actions: float32 (num_envs, action_size)."""
        _, step, _ = self._model()
        noises = [noise.draw(self._config.z_size) for noise in self._noise]
        uniform, normal = map(np.stack, zip(*noises))
        self._state, rewards, done = step(self._state, actions, np.float32(self.temperature), uniform, normal)
        return rewards.numpy(), done.numpy()

    def features(self) -> np.ndarray:
        """What the run's controller reads, float32 (num_envs, num_features)."""
        z, h, c, _ = self._state
        return self.controller.features(z=z, h=h, c=c).numpy()

    @property
    def z(self) -> np.ndarray:
        """float32 (num_envs, z_size)."""
        return self._state.z.numpy()

    def render(self) -> np.ndarray:
        """V's reconstructions of z, uint8 (num_envs, 64, 64, 3)."""
        return self._codec.decode(self.z)
