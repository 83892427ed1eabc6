"""What a new environment has to bring, beyond Gymnasium's interface."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import gymnasium
import numpy as np

from utils.system.errors import UsageError

# From an observation, uint8 (64, 64, 3), to an action, float32 (action_size,).
Explorer = Callable[[np.ndarray], np.ndarray]


class EpisodeLost(UsageError):
    """Raised by `reset` or `step` when the environment's process died.

    Callers may reset and replay the episode; otherwise the script exits with this message.
    """


@dataclass(frozen=True)
class PublishedCurve:
    """A learning curve of others, to draw behind ours."""

    label: str
    file: str  # CSV in published/ with the columns generation and mean_reward or mean
    cores: int  # that it was trained on
    seconds_per_generation: float = 0.0  # needed if the CSV has no column `seconds`

    def points(self) -> list[tuple[int, float, float]]:
        """Generation, core-hours up to it, score."""
        with open(Path(__file__).parent / "published" / self.file, newline="") as file:
            rows = list(csv.DictReader(file))
        score = "mean_reward" if "mean_reward" in rows[0] else "mean"
        points = []
        for row in rows:
            generation = int(row["generation"])
            seconds = float(row["seconds"]) if "seconds" in row else self.seconds_per_generation * generation
            points.append((generation, seconds * self.cores / 3600, float(row[score])))
        return points


@dataclass(frozen=True)
class PublishedTemperature:
    """Scores of others of a C that learned in the dream of a temperature, (mean, std) each."""

    temperature: float
    dream: tuple[float, float]
    real: tuple[float, float]


@dataclass(frozen=True)
class EnvironmentSpec:
    """One environment: how to make it, how to act in it, how to explore it, what M predicts of it."""

    env_id: str  # registered with Gymnasium
    episode_noun: str  # for messages: track, game
    make: Callable[..., gymnasium.Env]  # make(render_mode=None), observations uint8 (64, 64, 3)
    make_stock: Callable[..., gymnasium.Env]  # the unmodified environment with the same observation space
    activations: tuple[str, ...]  # of each action, from `models.controller.ACTIVATIONS`
    action_names: tuple[str, ...]
    # What M predicts beside the next z, and reads again at the next step. With "done" each step is worth 1.
    predicts: Literal["reward", "done"]
    # A person's action, float32 (action_size,), from the arrow keys that are held: left, right, up, down.
    keyboard_action: Callable[[bool, bool, bool, bool], np.ndarray] = field(hash=False)
    max_steps: int  # of an episode
    steps_per_second: int  # in real time
    # Random policies by name, for step 1. Each makes a new explorer for an episode.
    explorations: Mapping[str, Callable[[np.random.Generator], Explorer]] = field(hash=False)
    baseline_policy: str  # the exploration that trained agents are compared with
    # The agent's position (x, y), and the line of its track, (points, 2), which may have no points.
    position: Callable[[gymnasium.Env], tuple[float, float]] = field(hash=False)
    track_line: Callable[[gymnasium.Env], np.ndarray] = field(hash=False, default=lambda env: np.zeros((0, 2)))
    # The reward of a step that gains nothing. Needed for `controller_patience`.
    idle_reward: float | None = None
    gain: float | None = None  # what a usual gain adds to that. Needed for `controller_dream_reward: drawn`
    pip_extra: str | None = None  # of pyproject.toml, if the environment needs more packages
    published_curves: tuple[PublishedCurve, ...] = ()
    published_temperatures: tuple[PublishedTemperature, ...] = ()

    @property
    def rewards(self) -> tuple[float, float] | None:
        """The reward of a step that gains nothing, and a usual gain, if the environment has both."""
        return None if self.idle_reward is None or self.gain is None else (self.idle_reward, self.gain)

    @property
    def action_size(self) -> int:
        return len(self.activations)
