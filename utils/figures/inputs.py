"""The inputs of all figures: what they need of a run."""

from functools import cached_property
from pathlib import Path

import numpy as np

from models.mdn_rnn import MDNRNN
from models.vae import VAE, FrameCodec, kl_per_dimension
from utils.agent.agent import Agent
from utils.agent.checkpoints import build_rnn, load_rnn, load_vae, new_vae
from utils.agent.controllers import load_controller
from utils.data.encode import to_series
from utils.dreams.batch import DreamBatch
from utils.environments import get_spec
from utils.run import episodes
from utils.run.episodes import Rollout, Series
from utils.run.folder import RunFolder, command
from utils.run.provenance import check_agent, check_rnn
from utils.run.steps import Step
from utils.system.errors import UsageError

MAX_FRAMES = 1000  # held-out frames for figures of V
DREAMED_STEPS = 500


class FigureInputs:
    """Loads each input once, when a figure first needs it. Raises `UsageError` if a step is missing.

    num_episodes: how many C plays.
    dimension: of z, for `mixture`. The most telling one if it is None.
    dimensions: of z, for `grid`. The two most telling ones if it is None.
    episode: the number of the episode that is shown. The held-out one with the most reward if it is None.
    start: the step at which `frames` begins, and which `encoding` shows. One with much to see if it is None.
    """

    def __init__(
        self, run: RunFolder, num_episodes: int = 100, dimension: int | None = None,
        dimensions: tuple[int, int] | None = None, episode: int | None = None, start: int | None = None,
    ):  # fmt: skip
        self.run, self.config = run, run.read_config()
        self.spec = get_spec(self.config.env_name)
        self.num_episodes, self.dimension, self.dimensions = num_episodes, dimension, dimensions
        self.episode, self.start = episode, start

    @cached_property
    def codec(self) -> FrameCodec:
        self.run.require_vae()
        return FrameCodec(load_vae(self.config, self.run))

    @cached_property
    def rnn(self) -> MDNRNN:
        check_rnn(self.run, self.config)
        return load_rnn(self.config, self.run)

    @cached_property
    def untrained_vae(self) -> VAE:
        """For drawings, which need its layers alone."""
        return new_vae(self.config)

    @cached_property
    def untrained_rnn(self) -> MDNRNN:
        """As `untrained_vae`."""
        return build_rnn(self.config)

    @cached_property
    def agent(self) -> Agent:
        """Raises `UsageError` if C was trained with another V or M."""
        check_agent(self.run)
        return Agent(self.config, self.run)

    @cached_property
    def controller(self) -> tuple[np.ndarray, str]:
        """Its parameters, float32 (num_parameters,), and in words which ones they are."""
        return load_controller(self.config, self.run)

    @cached_property
    def _held_out_paths(self) -> list[Path]:
        """Rollouts that V and M never learned from."""
        self.run.require_episodes(self.run.rollout_paths(self.config), Rollout, Step.ROLLOUTS)
        return episodes.split(self.run.rollout_paths(self.config), self.config.held_out_fraction)[1]

    @cached_property
    def rollout(self) -> Rollout:
        """The episode that the figures show."""
        held_out = self._held_out_paths
        if self.episode is None:
            return episodes.load(episodes.most_rewarded(held_out, Rollout), Rollout, self.config)
        if not 0 <= self.episode < self.config.num_episodes:
            raise UsageError(f"--episode {self.episode}: 0 to {self.config.num_episodes - 1} are there")
        return episodes.load(self.run.rollout(self.episode), Rollout, self.config)

    @property
    def shows_held_out(self) -> bool:
        """Whether V and M never learned from `rollout`."""
        return self.episode is None or self.run.rollout(self.episode) in self._held_out_paths

    @cached_property
    def series(self) -> Series:
        """`rollout`, encoded."""
        return to_series(self.rollout, self.codec)

    @cached_property
    def held_out_frames(self) -> np.ndarray:
        """uint8 (n, 64, 64, 3), evenly from all held-out episodes."""
        return episodes.spread_steps(self._held_out_paths, Rollout, ("obs",), MAX_FRAMES)[0]

    @cached_property
    def dreamed_features(self) -> np.ndarray:
        """What C reads in dreams, one after the other, float32 (DREAMED_STEPS, num_features).

        Raises `UsageError` if C was trained with another V or M.
        """
        check_agent(self.run)
        (parameters, _), seed = self.controller, 0
        dreams, controller = DreamBatch(self.run, 1, self.config.controller_temperature), self.config.controller
        dreams.begin(0, seed)
        steps = []
        for _ in range(DREAMED_STEPS):
            features = dreams.features()
            steps.append(features[0])
            action = controller.act(parameters[None], features[None])[0]
            if dreams.step(np.asarray(action))[1][0]:
                seed += 1
                dreams.begin(0, seed)
        return np.stack(steps)

    @cached_property
    def telling(self) -> np.ndarray:
        """The numbers of z, int (z_size,), the most telling one first: by `kl`."""
        return np.argsort(-self.kl)

    @cached_property
    def kl(self) -> np.ndarray:
        """What each number of z tells of `seen_latents`, nats a frame, float32 (z_size,)."""
        return kl_per_dimension(*self.seen_latents).mean(axis=0)

    @cached_property
    def seen_latents(self) -> tuple[np.ndarray, np.ndarray]:
        """`latents`, or those that a shipped agent came with. float32 (n, z_size) each."""
        if self.run.has_rollouts():
            return self.latents
        again = command("-m", "utils.run.export", "RUN", self.run.path)
        if not self.run.held_out.exists():
            raise UsageError(f"{self.run.held_out} is missing: export the agent again, `{again}`")
        return episodes.load_latents(self.run.held_out, self.config.z_size, again)

    @cached_property
    def latents(self) -> tuple[np.ndarray, np.ndarray]:
        """mu and logvar of `held_out_frames`, float32 (n, z_size)."""
        return self.codec.encode(self.held_out_frames)
