"""The dream of a run: its M, and the first frames it has seen to start from."""

import numpy as np
import tensorflow as tf

from models.dream import Dream, DreamState
from models.vae import sample_z
from utils.environments import get_spec
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.system import seeding
from utils.system.errors import UsageError
from utils.system.files import UNREADABLE
from utils.training.train_rnn import load_rnn


class InitialLatents:
    """mu and logvar, float32 (episodes, z_size), of the first frames of a run's rollouts."""

    def __init__(self, run: RunFolder, z_size: int):
        run.require(run.starts, 3, "dreams start from the first frames that V has seen")
        try:
            with np.load(run.starts, allow_pickle=False) as file:
                self._mu, self._logvar = file["mu"], file["logvar"]
        except UNREADABLE as error:
            raise UsageError(f"{run.starts} is truncated, damaged or foreign ({error}); delete it") from None
        for name, array in (("mu", self._mu), ("logvar", self._logvar)):
            if array.shape != (len(self._mu), z_size) or array.dtype != np.float32 or not np.isfinite(array).all():
                raise UsageError(
                    f"{run.starts}: {name} is {array.dtype} {array.shape}, not finite float32 (episodes, {z_size}); "
                    f"delete it and run `{run.command(3)}` again"
                )

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One of them, float32 (z_size,), drawn as V would draw it."""
        chosen = rng.integers(len(self._mu))
        noise = rng.standard_normal(self._mu.shape[1], np.float32)
        return np.asarray(sample_z(self._mu[chosen], self._logvar[chosen], noise))


class DreamNoise:
    """All that chance decides in one dream: the same seed lives the same dream, a step or a whole one at a time."""

    def __init__(self, seed: int):
        self.start, self._component, self._place = (
            seeding.generator(seed, f"dream {what}") for what in ("start", "component", "place")
        )

    def draw(self, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        """The uniform and the normal noise that `sample_mixture` wants of the next steps, float32 of `shape` each."""
        return self._component.random(shape, np.float32), self._place.standard_normal(shape, np.float32)


class DreamBatch:
    """`batch` dreams side by side, stepped as one compiled graph."""

    def __init__(self, config: Config, run: RunFolder, batch: int):
        run.require(run.rnn_weights, 4, "M is what dreams")
        self.config, self.spec = config, get_spec(config.env_name)
        self._starts = InitialLatents(run, config.z_size)
        self._dream = Dream(load_rnn(config, run), self.spec.predicts)
        self._step = tf.function(self._dream.step, autograph=False)
        self._state = self._dream.begin(np.zeros((batch, config.z_size), np.float32))
        self._luck = [DreamNoise(0)] * batch

    def begin(self, env_index: int, seed: int) -> None:
        """A new dream in `env_index`, that of `seed`: a start of its own, and nothing remembered."""
        self._luck[env_index] = DreamNoise(seed)
        fresh = self._dream.begin(self._starts.draw(self._luck[env_index].start)[None])
        rows = np.arange(len(self._state.z)) == env_index
        self._state = DreamState(
            *(
                tf.where(rows.reshape((-1,) + (1,) * (of_all.ndim - 1)), of_one, of_all)
                for of_one, of_all in zip(fresh, self._state)
            )
        )

    def step(self, actions: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
        """Rewards, float32, and ends, bool, (batch,) each, of actions, float32 (batch, action_size)."""
        uniform, normal = zip(*(luck.draw(self.config.z_size) for luck in self._luck))
        self._state, rewards, done = self._step(
            self._state, tf.constant(actions), tf.constant(temperature, tf.float32), np.stack(uniform), np.stack(normal)
        )
        return rewards.numpy(), done.numpy()

    @property
    def z(self) -> np.ndarray:
        """float32 (batch, z_size)."""
        return self._state.z.numpy()

    def features(self) -> np.ndarray:
        """What the run's controller reads, float32 (batch, num_features)."""
        return self._state.features(self.config.controller_inputs).numpy()
