"""C's weights, and its trajectories."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm

from models.controller import Controller
from utils.environments.spec import EnvironmentSpec
from utils.figures.style import BLUE, FAINT, ORANGE, figure, save


class Reads(NamedTuple):
    """What C reads where it acts."""

    spread: np.ndarray  # float32 (num_features,), standard deviation of each number
    telling: np.ndarray  # the numbers of z, the most telling one first


def save_weights(
    parameters: np.ndarray, controller: Controller, spec: EnvironmentSpec, title: str, path: Path,
    reads: Reads | None = None,
) -> None:  # fmt: skip
    """A row for each action, a picture for each input, all on one scale.

    parameters: float32 (num_parameters,).
    reads: weights are multiplied by the spread of what they weigh, and z is sorted. Without it they are as they are.
    """
    names, (weights, biases) = spec.action_names, controller.linear_part(parameters)
    label, order = "w", "dimension by dimension"
    if reads is not None:
        spreads = np.split(reads.spread, np.cumsum(list(controller.inputs.values()))[:-1])
        weights = {name: part * spread[:, None] for (name, part), spread in zip(weights.items(), spreads)}
        if "z" in weights:
            weights["z"] = weights["z"][reads.telling]
        label = "w x spread"
        order = "times the spread of what they weigh in dreams; z: the most telling number first,"
    height = 8 if controller.num_features <= 400 else 16
    shapes = [(height, -(-len(part) // height)) for part in weights.values()]
    drawn, panels = figure(
        max(5.2, 2.2 + 0.16 * sum(columns for _, columns in shapes) + len(shapes)),  # room for the title
        1.0 + len(names) * (0.55 + 0.16 * height),
        len(names), len(weights), width_ratios=[columns for _, columns in shapes],
    )  # fmt: skip
    largest = float(np.percentile(np.abs(np.concatenate(list(weights.values()))), 99.5))
    for row, action in enumerate(names):
        for column, (name, part) in enumerate(weights.items()):
            axes = panels[row, column]
            cells = np.full(shapes[column], np.nan)
            cells.flat[: len(part)] = part[:, row]
            picture = axes.imshow(cells, cmap="PuOr", vmin=-largest, vmax=largest)
            axes.set_xticks([]), axes.set_yticks([])
            if row == 0:
                axes.set_title(f"{name} ({len(part)})")
            axes.set_xlabel(f"mean |{label}| {np.abs(part[:, row]).mean():.2f}", fontsize=9)
        bias = f"\nbias {biases[row]:+.2f}" if len(biases) else ""
        panels[row, 0].set_ylabel(f"{action}{bias}", rotation=0, ha="right", va="center", fontsize=11)
    drawn.colorbar(picture, ax=panels, label=label.replace("w", "weight", 1), shrink=0.8, extend="both")
    what = f"The {len(parameters)} weights of C"
    if controller.hidden:
        what = f"The linear part of C, which has {controller.hidden} hidden units"
    drawn.suptitle(f"{what} ({title}),\n{order} from left to right, then down")
    save(drawn, path)


def save_trajectories(
    trajectories: list[np.ndarray], track_lines: list[np.ndarray], scores: list[float], title: str, path: Path
) -> None:
    """Trajectories of episodes, the worst first.

    trajectories: the positions of each episode, float (steps, 2).
    track_lines: the line of each episode's track, (points, 2). Without lines, the agent moves to and fro only, and its
        position is shown over time.
    scores: of each episode.
    """
    order, on_tracks = np.argsort(scores), all(len(line) for line in track_lines)
    columns = int(np.ceil(np.sqrt(len(order))))
    rows = -(-len(order) // columns)
    drawn, panels = figure(
        max(8.5, 1.16 * columns + 1), 1.3 * rows + 0.9, rows, columns, sharex=not on_tracks, sharey=not on_tracks
    )
    for axes in panels.ravel()[len(order) :]:
        axes.axis("off")
    to_and_fro = np.ptp(np.concatenate(trajectories), axis=0).argmax()
    for axes, episode in zip(panels.ravel(), order):
        if on_tracks:
            heat = _draw_on_track(axes, trajectories[episode], track_lines[episode])
        else:
            axes.plot(trajectories[episode][:, to_and_fro], lw=0.8, color=BLUE)
            axes.plot(
                len(trajectories[episode]) - 1, trajectories[episode][-1, to_and_fro], "x", ms=5, mew=1.5, color=ORANGE
            )
            axes.grid(alpha=0.3)
        axes.set_title(f"{scores[episode]:.0f}", fontsize=9, pad=2)
    if on_tracks:
        drawn.colorbar(heat, ax=panels, label="steps at a position", extend="max", shrink=0.5, aspect=30)
    else:
        drawn.supxlabel("step", fontsize=11)
        drawn.supylabel("position, in the game's units", fontsize=11)
    drawn.suptitle(title, fontsize=11)
    save(drawn, path)


def _draw_on_track(axes: Axes, positions: np.ndarray, track_line: np.ndarray) -> QuadMesh:
    """A heat map of `positions` on the grey line `track_line`, on one scale."""
    extent = np.concatenate([positions, track_line])
    low, high = extent.min(axis=0), extent.max(axis=0)
    centre, half, cells = (low + high) / 2, max(high - low) / 2 * 1.08 + 1e-6, 40
    edges = [np.linspace(centre[i] - half, centre[i] + half, cells + 1) for i in range(2)]
    steps, _, _ = np.histogram2d(positions[:, 0], positions[:, 1], bins=(edges[0], edges[1]))
    axes.plot(*track_line.T, color=FAINT, lw=5, solid_capstyle="round", zorder=1)
    heat = axes.pcolormesh(
        *edges, np.where(steps > 0, steps, np.nan).T, cmap="viridis_r", norm=LogNorm(1, 100), zorder=2, rasterized=True
    )
    axes.plot(*positions[-1], "x", ms=5, mew=1.5, color=ORANGE, zorder=3)
    axes.set_xlim(edges[0][0], edges[0][-1]), axes.set_ylim(edges[1][0], edges[1][-1])
    axes.set_aspect("equal")
    axes.axis("off")
    return heat
