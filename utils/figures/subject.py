"""The run that figures are of."""

from functools import cached_property

import numpy as np

from models.vae import VAE
from utils import episodes
from utils.agent import Agent
from utils.agent_file import load_parameters
from utils.dreams.recorded import Recorded, held_out
from utils.environments import describe
from utils.episodes import Rollout, Series
from utils.prerequisites import check_agent, check_series, check_world
from utils.run_folder import RunFolder
from utils.vae_training import load_vae

MOST_FRAMES = 1000  # held-out ones that figures of V look at


class Subject:
    """What is slow is loaded once, when a figure first asks for it. Raises `UsageError` where a step is missing.

    num_episodes: that C plays for its figures. dimension: of z, to be followed; the most telling one, if None.
    """

    def __init__(self, run: RunFolder, num_episodes: int = 100, dimension: int | None = None):
        self.run, self.config = run, run.read_config()
        self.description = describe(self.config.env_name)
        self.num_episodes, self.dimension = num_episodes, dimension

    @cached_property
    def vae(self) -> VAE:
        check_series(self.run, self.config)
        return load_vae(self.config, self.run)

    @cached_property
    def agent(self) -> Agent:
        """V and M."""
        check_world(self.run, self.config)
        return Agent(self.config, self.run)

    @cached_property
    def controller(self) -> tuple[np.ndarray, str]:
        """Its weights, float32 (num_parameters,), and which one it is in words."""
        check_agent(self.run)
        return load_parameters(self.run, self.agent.num_parameters)

    @cached_property
    def held_out(self) -> list[Recorded]:
        """Episodes that V and M have not learned from."""
        check_series(self.run, self.config)
        return held_out(self.config, self.run)

    @cached_property
    def _told(self) -> tuple[int, Rollout]:
        """The held-out episode that all are told by, the one with the most reward, and which of them it is."""
        self.run.require_episodes(self.run.rollout_paths(self.config), Rollout, 1)
        _, paths = episodes.split(self.run.rollout_paths(self.config), self.config.held_out_fraction)
        rewards = [episodes.load(path, Rollout, only=("reward",)).reward.sum() for path in paths]
        index = int(np.argmax(rewards))
        return index, episodes.load(paths[index], Rollout)

    @property
    def rollout(self) -> Rollout:
        return self._told[1]

    @property
    def series(self) -> Series:
        """Of `rollout`."""
        return self.held_out[self._told[0]].series

    @cached_property
    def _every(self) -> int:
        return -(-sum(len(episode.series.mu) for episode in self.held_out) // MOST_FRAMES)

    @cached_property
    def held_out_frames(self) -> np.ndarray:
        """uint8 (n, 64, 64, 3), evenly out of all held-out episodes."""
        return np.concatenate([episode.frames()[:: self._every] for episode in self.held_out])

    @cached_property
    def mu(self) -> np.ndarray:
        """Of `held_out_frames`, float32 (n, z_size)."""
        return np.concatenate([episode.series.mu[:: self._every] for episode in self.held_out])

    @cached_property
    def logvar(self) -> np.ndarray:
        """Of `held_out_frames`, float32 (n, z_size)."""
        return np.concatenate([episode.series.logvar[:: self._every] for episode in self.held_out])
