"""Learning curves of V, M and C. C's is shown by generation and by cost, with published curves behind it."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from utils.environments import get_spec
from utils.figures.style import CANDIDATES, GREY, IN_THE_DREAM, OUTSIDE, figure, legend_below, save
from utils.run.config import Config
from utils.run.summaries import num_episodes

_plain = FuncFormatter(lambda x, _: f"{x:g}")
PUBLISHED = ("#aaaaaa", "#555555")


def save_learning_curve(rows: list[dict], config: Config, path: Path, earlier: list[dict]) -> None:
    """rows: the log of the evolution, a dictionary for each generation.

    earlier: the log of the runs that this one goes on from.
    """
    spec, dreamed = get_spec(config.env_name), config.controller_environment == "dream"
    rows = earlier + rows
    published = [(curve.label, np.array(curve.points()).T) for curve in spec.published_curves]
    drawn, ((by_generation, by_cost),) = figure(13, 6, 1, 2, sharey=True)
    for color, (label, (generations, hours, scores)) in zip(PUBLISHED, published):
        shown = generations <= max(len(rows), 20)
        by_generation.plot(generations[shown], scores[shown], color=color, lw=1.2, label=label)
        begun = hours > 0
        by_cost.plot(hours[begun], scores[begun], color=color, lw=1.2)

    generation = np.arange(1, len(rows) + 1)
    core_hours = np.cumsum([row["generation_seconds"] * row["worker_ranks"] for row in rows]) / 3600
    count = "" if earlier else f"{config.controller_eval_episode} "  # earlier runs may have used another number
    points = [("evaluation", OUTSIDE, "o", f"{count}{'real ' if dreamed else ''}{spec.episode_noun}s for evaluation")]
    if dreamed:
        points.append(("dream_evaluation", IN_THE_DREAM, "s", f"{count}dreams for evaluation"))
    limit = f"of at most {config.controller_max_frames} steps"
    for axes, x in ((by_generation, generation), (by_cost, core_hours)):
        low, high, mean = ([row[f"reward_{name}"] for row in rows] for name in ("min", "max", "mean"))
        axes.fill_between(x, low, high, color=CANDIDATES, alpha=0.15, lw=0, label=f"candidates, worst to best, {limit}")
        axes.plot(x, mean, color=CANDIDATES, lw=2, label="their mean")
        for name, color, marker, where in points:
            evaluated = [index for index, row in enumerate(rows) if row.get(f"{name}_mean") is not None]
            means, stds = ([rows[index][f"{name}_{what}"] for index in evaluated] for what in ("mean", "std"))
            label = f"mean of the population, {where}, whole episodes, +- std"
            axes.errorbar(x[evaluated], means, stds, color=color, fmt=marker, ms=5, capsize=3, lw=1.2, label=label)
        if earlier:
            axes.axvline(x[len(earlier) - 1], color=GREY, ls=":", lw=1.2, label=f"{config.exp_name} goes on from here")
        axes.axhline(0, color=GREY, lw=0.6)
        axes.grid(alpha=0.3)
    by_generation.set_xlabel("generation")
    by_generation.set_ylabel("score of an episode")
    by_generation.xaxis.set_major_locator(MaxNLocator(integer=True))
    by_cost.set_xscale("log")
    _leave_out_what_is_far(by_cost, core_hours, published)
    by_cost.set_xlabel("core-hours of step 5's workers")
    where = f" dreamed at temperature {config.controller_temperature:g}" if dreamed else ""
    drawn.suptitle(f"How C learned: {config.population} candidates x {num_episodes(config)} {limit}{where}")
    legend_below(drawn, by_generation, fontsize=9)
    save(drawn, path)


def _leave_out_what_is_far(by_cost: Axes, core_hours: np.ndarray, published: list[tuple[str, np.ndarray]]) -> None:
    """Published curves that end more than a decade to the right are told in a line: a short run needs the width."""
    if not len(core_hours):
        return
    far = [(label, points) for label, points in published if points[1, -1] > 10 * core_hours[-1]]
    lines = [f"{label}: {points[2, -1]:.0f} after {points[1, -1]:,.0f} core-hours" for label, points in far]
    if far:
        by_cost.set_xlim(core_hours[0] / 1.5, core_hours[-1] * 1.5)
        text = "further to the right, published:\n" + "\n".join(lines)
        by_cost.text(0.98, 0.02, text, transform=by_cost.transAxes, ha="right", va="bottom", fontsize=8, color=GREY)
    by_cost.xaxis.set_major_formatter(_plain)
    few_decades = np.ptp(np.log10(by_cost.get_xlim())) < 2
    if few_decades:
        by_cost.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    by_cost.xaxis.set_minor_formatter(_plain if few_decades else NullFormatter())


def save_comparison(logs: dict[str, tuple[list[dict], int]], path: Path) -> None:
    """The evaluations in the real environment of several runs, by generation and by minutes of step 5.

    logs: the log of the evolution and the episodes of an evaluation, by the name of the run.
    """
    drawn, ((by_generation, by_time),) = figure(13, 5.5, 1, 2, sharey=True)
    for number, (name, (rows, episodes)) in enumerate(logs.items()):
        evaluated = [row for row in rows if row["evaluation_mean"] is not None]
        means = np.array([row["evaluation_mean"] for row in evaluated])
        errors = np.array([row["evaluation_std"] for row in evaluated]) / episodes**0.5
        for axes, x in (
            (by_generation, [row["generation"] for row in evaluated]),
            (by_time, [row["seconds"] / 60 for row in evaluated]),
        ):
            (line,) = axes.plot(x, means, "o-", color=f"C{number}", ms=4, lw=1.4, label=name)
            axes.fill_between(x, means - errors, means + errors, color=line.get_color(), alpha=0.12, lw=0)
            axes.grid(alpha=0.3)
    by_generation.set_xlabel("generation")
    by_generation.xaxis.set_major_locator(MaxNLocator(integer=True))
    by_generation.set_ylabel("score of an episode")
    by_time.set_xlabel("minutes of step 5")
    drawn.suptitle("The mean of the population in real episodes, +- the standard error of each evaluation")
    legend_below(drawn, by_generation)
    save(drawn, path)


def save_losses(rows: list[dict], names: dict[str, str], title: str, path: Path) -> None:
    """rows: the log of step 2 or 4.

    names: the losses to show, with their labels.
    """
    drawn, panels = figure(6.5 * len(names), 3.8, 1, len(names))
    for axes, (name, label) in zip(panels[0], names.items()):
        steps = [row["step"] for row in rows]
        axes.plot(steps, [row[name] for row in rows], color=CANDIDATES, lw=1.6, label="in training")
        held_out = [row[f"held_out_{name}"] for row in rows]
        axes.plot(steps, held_out, "o", ms=4, color=OUTSIDE, label="held out")
        axes.set_xlabel("iterations")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    panels[0, 0].legend()
    drawn.suptitle(title)
    save(drawn, path)
