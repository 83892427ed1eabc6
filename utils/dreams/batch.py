"""Dreams of a run side by side, a step at a time: what the Gymnasium environments and the player share."""

import numbers
from collections.abc import Callable
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
    from models.vae import FrameCodec
    from utils.dreams.noise import InitialLatents

NOISE_STEPS = 64  # steps of noise that are drawn at once for a dream


def check_temperature(temperature: float) -> None:
    """Raises `UsageError` if it is not a number above 0."""
    if not (isinstance(temperature, numbers.Real) and 0 < temperature < float("inf")):
        raise UsageError(f"temperature {temperature}: must be a number above 0")


class DreamBatch:
    """`num_envs` dreams in one batch, and their spaces.

    TensorFlow starts with the first dream. Before it, a process may fork: vectors of processes make an environment
    only to read its spaces, and then fork, which TensorFlow does not survive.

    temperature: may be set, to what `check_temperature` takes.
    Raises `UsageError` if the run has no M or no first frames, or the temperature is not above 0.
    """

    def __init__(self, run: RunFolder, num_envs: int, temperature: float):
        check_temperature(temperature)
        self.temperature, self._num_envs, self._run = temperature, num_envs, run
        self._config = run.read_config()
        run.require_rnn()
        run.require(run.starts, Step.SERIES, "dreams start from the first frames of the rollouts")
        self.spec, self.controller = get_spec(self._config.env_name), self._config.controller
        self.max_steps, self._dropout = self.spec.max_steps, self._config.controller_dream_dropout
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (self.controller.num_features,), np.float32)
        lowest = self.controller.lowest_action
        self.action_space = gymnasium.spaces.Box(lowest, np.ones_like(lowest))

    @cached_property
    def _loaded(self) -> "tuple[Callable, InitialLatents]":
        compute.start_tensorflow()
        import tensorflow as tf

        from models.dream import DreamState
        from models.fast_step import FastStep, SingleStep
        from utils.agent.checkpoints import dream_model, load_rnn
        from utils.dreams.noise import DreamNoise, InitialLatents

        self._noise = [DreamNoise(0)] * self._num_envs
        self._ahead = np.zeros((2, NOISE_STEPS, self._num_envs, self._config.z_size), np.float32)
        self._steps = np.zeros(self._num_envs, int)
        self._mask = np.ones((self._num_envs, self._config.rnn_size), np.float32) if self._dropout else None
        model = dream_model(load_rnn(self._config, self._run), self._config)
        begin = model.begin(np.zeros((self._num_envs, self._config.z_size), np.float32))
        self._state = DreamState(*(part.numpy() for part in begin))
        step = FastStep(model, self.controller)
        detailed = SingleStep(step).detailed if self._num_envs == 1 else tf.function(step.detailed, autograph=False)
        return detailed, InitialLatents(self._run, self._config.z_size)

    def _model(self) -> "tuple[Callable, InitialLatents]":
        """The step and the starts. Raises `UsageError` in a process forked from one in which TensorFlow ran."""
        compute.check_not_cut_off(
            f', or take dreams in one batch, which are faster: gymnasium.make_vec("{DREAM}", num_envs=64, run=...)'
        )
        return self._loaded

    @cached_property
    def _codec(self) -> "FrameCodec":
        from models.vae import FrameCodec
        from utils.agent.checkpoints import load_vae

        return FrameCodec(load_vae(self._config, self._run))

    def begin(self, env_index: int, seed: int, z: np.ndarray | None = None) -> None:
        """Begins the dream of `seed`, with an empty memory. z: where, float32 (z_size,), or the seed decides."""
        _, initial = self._model()
        from utils.dreams.noise import DreamNoise

        self._noise[env_index], self._steps[env_index] = (noise := DreamNoise(seed)), 0
        if not self._state.z.flags.writeable:  # TensorFlow's own memory
            self._state = type(self._state)(*map(np.array, self._state))
        for part in self._state:
            part[env_index] = 0
        self._state.z[env_index] = initial.sample(noise.start) if z is None else z
        if self._mask is not None:
            self._mask[env_index] = noise.mask(self._config.rnn_size, self._dropout)

    def start_latent(self, start: int | np.ndarray) -> np.ndarray:
        """z, float32 (z_size,), of a start: the number of a recorded first frame, z itself, or a frame.

        start: whole number, or float (z_size,), or uint8 (64, 64, 3). Of a first frame and of a frame, z is the mean
            that V encodes. A shipped agent keeps at most 1000 first frames.
        Raises `UsageError` if it is none of these.
        """
        _, initial = self._model()
        from models.vae import IMAGE_SHAPE

        array, size = np.asarray(start), initial.mu.shape[1]
        if array.shape == () and np.issubdtype(array.dtype, np.integer) and 0 <= array < len(initial.mu):
            return np.asarray(initial.mu[array])
        if array.shape == IMAGE_SHAPE and array.dtype == np.uint8:
            return self._codec.encode(array[None])[0][0]
        if array.shape == (size,) and np.issubdtype(array.dtype, np.floating) and np.isfinite(array).all():
            return array.astype(np.float32)
        raise UsageError(
            f"start: {array.dtype} {array.shape or array}; takes a whole number from 0 to {len(initial.mu) - 1}, "
            f"{size} finite floats or a frame, uint8 {IMAGE_SHAPE}"
        )

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rewards, float32, and ends, bool, (num_envs,) each. actions: float32 (num_envs, action_size)."""
        step, _ = self._model()
        row = self._steps % NOISE_STEPS
        for env_index in np.flatnonzero(row == 0):
            self._ahead[:, :, env_index] = self._noise[env_index].draw(NOISE_STEPS, self._config.z_size)
        uniform, normal = self._ahead[:, row, np.arange(self._num_envs)]
        self._steps += 1
        temperature = np.float32(self.temperature)
        state, rewards, done, self._details = step(self._state, actions, temperature, uniform, normal, self._mask)
        self._state = type(self._state)(*map(np.asarray, state))
        return np.array(rewards), np.array(done)

    def info(self) -> dict[str, np.ndarray]:
        """Of the last step, float32: z, (num_envs, z_size), and (num_envs,) each, mixture_entropy and end_probability.

        mixture_entropy: of the mixture's weights from which z was drawn, in nats, mean of the numbers of z.
        end_probability: P(done), if M predicts the end.
        """
        info = {"z": np.array(self.z), "mixture_entropy": np.asarray(self._details.entropy)}
        if self.spec.predicts == "done":
            from models.fast_step import end_probabilities

            info["end_probability"] = end_probabilities(np.asarray(self._details.reward_or_logit))
        return info

    def features(self) -> np.ndarray:
        """What the run's controller reads, float32 (num_envs, num_features)."""
        return np.concatenate([getattr(self._state, name) for name in self.controller.inputs], axis=1)

    @property
    def z(self) -> np.ndarray:
        """float32 (num_envs, z_size)."""
        return self._state.z

    def render(self) -> np.ndarray:
        """V's reconstructions of z, uint8 (num_envs, 64, 64, 3)."""
        return self._codec.decode(self.z)
