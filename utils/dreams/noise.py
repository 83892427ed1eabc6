"""All that chance decides in a dream: where it starts, what M's mixture gives at each step, what of h it lacks."""

import numpy as np

from models.mdn_rnn import dropout_mask
from models.vae import sample_z
from utils.run import episodes
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system import seeding


class InitialLatents:
    """mu and logvar, float32 (episodes, z_size), of the first frames of a run's rollouts."""

    def __init__(self, run: RunFolder, z_size: int):
        run.require(run.starts, Step.SERIES, "dreams start from the first frames of the rollouts")
        self.mu, self.logvar = episodes.load_latents(run.starts, z_size, run.command(Step.SERIES))

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """z of one of the frames, float32 (z_size,), drawn from its mu and logvar."""
        chosen = rng.integers(len(self.mu))
        noise = rng.standard_normal(self.mu.shape[1], np.float32)
        return np.asarray(sample_z(self.mu[chosen], self.logvar[chosen], noise))


def dream_masks(noises: "list[DreamNoise]", config: Config) -> np.ndarray | None:
    """The mask of each dream, float32 (dreams, rnn_size), if `controller_dream_dropout` is above 0."""
    if not (rate := config.controller_dream_dropout):
        return None
    return np.stack([noise.mask(config.rnn_size, rate) for noise in noises])


class DreamNoise:
    """The noise of one dream. The same seed gives the same dream, whether it is drawn by the step or as a whole."""

    def __init__(self, seed: int):
        self.start, self._component, self._place, self._dropout = (
            seeding.generator(seed, f"dream {what}") for what in ("start", "component", "place", "dropout")
        )

    def draw(self, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        """The uniform and the normal noise of the next steps for `sample_mixture`, float32 of `shape` each."""
        return self._component.random(shape, np.float32), self._place.standard_normal(shape, np.float32)

    def mask(self, rnn_size: int, rate: float) -> np.ndarray:
        """What h is multiplied by for the whole dream, float32 (rnn_size,)."""
        return np.asarray(dropout_mask(self._dropout.random(rnn_size, np.float32), rate))
