"""What the pipeline has to know about an environment beyond Gymnasium's interface."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import gymnasium
import numpy as np

from utils.system.errors import UsageError

# Sees the observation, uint8 (64, 64, 3), and returns an action, float32 (action_size,).
Explorer = Callable[[np.ndarray], np.ndarray]


class EpisodeLost(UsageError):
    """Raised by `reset` or `step` when an episode broke off through no act of its own, as with a game whose process
    died. The environment can be reset, and whoever played plays the episode again. Where nobody does, it ends the
    script with its line.
    """


@dataclass(frozen=True)
class PublishedCurve:
    """file: CSV in published/ with generation and mean_reward or mean. cores: it was trained on. seconds_per_generation:
    where the CSV has no column seconds."""

    label: str
    file: str
    cores: int
    seconds_per_generation: float | None = None

    def points(self) -> list[tuple[int, float, float]]:
        """generation, core-hours up to it, score"""
        with open(Path(__file__).parent / "published" / self.file, newline="") as file:
            rows = list(csv.DictReader(file))
        score = "mean_reward" if "mean_reward" in rows[0] else "mean"
        return [
            (
                generation := int(row["generation"]),
                (float(row["seconds"]) if "seconds" in row else self.seconds_per_generation * generation)
                * self.cores / 3600,
                float(row[score]),
            )
            for row in rows
        ]  # fmt: skip


@dataclass(frozen=True)
class EnvironmentSpec:
    """One environment: how to make it, how to act in it, how to explore it, what M predicts of it."""

    env_id: str
    episode_noun: str  # what an episode is played on, for people: track, game
    make: Callable[..., gymnasium.Env]  # make(render_mode=None); observation uint8 (64, 64, 3)
    make_stock: Callable[..., gymnasium.Env]  # the same from the unmodified environment, pictures and all
    # How each raw controller output becomes an action: a name in `models.controller.ACTIVATIONS` for each.
    activations: tuple[str, ...]
    action_names: tuple[str, ...]
    # What M predicts beside the next z, and gets back as input at the next step. Where it is "done", each step is
    # worth 1, in the dream as well.
    predicts: Literal["reward", "done"]
    pip_extra: str | None  # of pyproject.toml, which installs what it needs beyond the rest
    # A person's action, float32 (action_size,), from the arrow keys held: left, right, up, down.
    keyboard_action: Callable[[bool, bool, bool, bool], np.ndarray] = field(hash=False)
    max_steps: int
    steps_per_second: int  # in real time
    # What a step gives where nothing is gained, if episodes can come to nothing long before they end.
    idle_reward: float | None
    # Each takes a generator and returns a fresh explorer for one episode.
    explorations: dict[str, Callable[[np.random.Generator], Explorer]] = field(hash=False)
    baseline_policy: str  # the exploration that trained agents are compared with
    # Where an agent is at the moment, (x, y), and what it drives on, as a line to be drawn, (points, 2), or none.
    position: Callable[[gymnasium.Env], tuple[float, float]] = field(hash=False)
    track_line: Callable[[gymnasium.Env], np.ndarray] = field(hash=False)
    published_curves: tuple[PublishedCurve, ...]  # to draw behind ours

    @property
    def action_size(self) -> int:
        return len(self.activations)
