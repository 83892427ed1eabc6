"""Scores of controllers in the dream and in the real environment: over temperatures, and run after run."""

from pathlib import Path

from matplotlib.axes import Axes

from utils.environments.spec import PublishedTemperature
from utils.figures.style import FAINT, GREY, IN_THE_DREAM, OUTSIDE, figure, legend_below, save
from utils.run.summaries import EVALUATIONS

_CURVES = (("dream", IN_THE_DREAM, "in the dream"), ("real", OUTSIDE, "in the real environment"))


def save_temperatures(
    rows: list[dict], published: tuple[PublishedTemperature, ...], title: str, episodes: int, path: Path
) -> None:
    """Scores by temperature, a line for each seed, with published ones behind them.

    rows: as `evaluate_run` and `baseline` of `utils.dreams.temperatures` return them.
    """
    drawn, ((axes,),) = figure(8, 5)
    for name, color, label in _CURVES if published else ():
        means, stds = zip(*(getattr(point, name) for point in published))
        temperatures = [point.temperature - 0.012 for point in published]
        axes.errorbar(
            temperatures, means, stds, color=color, fmt="s:", ms=4, lw=1, capsize=2, alpha=0.4, label=f"paper, {label}"
        )
    for seed in sorted({row["seed"] for row in rows if row["temperature"] is not None}):
        mine = [row | {"temperature": row["temperature"] + 0.012 * seed} for row in rows if row["seed"] == seed]
        for name, color, label in _CURVES:
            _draw(axes, mine, "temperature", name, color, label if not seed else None)
    for row in rows:
        if row["temperature"] is None:
            axes.axhline(
                row["real_mean"], color=GREY, ls="--", lw=1.2, label=f"{row['controller']}, in the real environment"
            )
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("temperature of the dream")
    axes.set_ylabel(f"score, mean +- std of {episodes} episodes")
    legend_below(drawn, axes)
    save(drawn, path)


def save_settings(rows: list[dict], episodes: int, path: Path) -> None:
    """A line for each setting: scores of its controllers. rows: as `study_dream.py settings` writes them."""
    names = list(dict.fromkeys(row["settings"] for row in rows))
    drawn, ((axes,),) = figure(9, 1.4 + 0.5 * len(names))
    for shift, (name, color, label) in zip((-0.1, 0.1), _CURVES):
        places = [names.index(row["settings"]) + shift + 0.08 * row["seed"] for row in rows]
        means, stds = ([row[f"{name}_{what}"] for row in rows] for what in ("mean", "std"))
        axes.errorbar(means, places, xerr=stds, color=color, fmt="o", ms=5, capsize=3, lw=1.2, label=label)
    axes.set_yticks(range(len(names)), [name.replace("controller_", "") for name in names])
    axes.invert_yaxis()
    axes.set_xlabel(f"score, mean +- std of {episodes} episodes")
    axes.grid(alpha=0.3)
    legend_below(drawn, axes)
    save(drawn, path)


def save_iterations(rows: list[dict], curves: list[list[dict]], path: Path) -> None:
    """A panel for each run. rows: of `utils.dreams.iterations.compare`. curves: of `utils.run.rounds.curve`."""
    drawn, panels = figure(3.6 * len(rows) + 0.6, 4.4, 1, len(rows), sharey=True)
    for axes, row, points in zip(panels[0], rows, curves):
        for name, color, label in _CURVES:
            _draw(axes, points, "generation", EVALUATIONS[name], color, label)
        axes.set_title(f"{row['run']}: {row['episodes']} episodes", fontsize=10)
        axes.set_xlabel("generation")
    panels[0, 0].set_ylabel("score of an episode, mean +- std")
    legend_below(drawn, panels[0, 0])
    save(drawn, path)


def save_rounds(rows: list[dict], curves: list[list[dict]], path: Path) -> None:
    """All evaluations of all rounds by the time that they took, and the C that each round ended with.

    rows, curves: as `table` and `curve` of `utils.run.rounds` return them. The minutes of a curve are of its round.
    """
    drawn, ((axes,),) = figure(9, 4.8)
    begin = 0.0
    for row, points in zip(rows, curves):
        axes.axvspan(begin, row["minutes"], color=FAINT, alpha=0.5 if row["round"] % 2 else 0, lw=0)
        axes.text(
            (begin + row["minutes"]) / 2, 1.01, f"{row['round']}", ha="center", transform=axes.get_xaxis_transform()
        )
        for name, color, label in _CURVES:
            times = [begin + point["minutes"] for point in points]
            means = [point[f"{EVALUATIONS[name]}_mean"] for point in points]
            axes.plot(times, means, "o-", color=color, ms=3, lw=1, alpha=0.6)
            shown = f"{label}, C at the end of a round, +- std" if row["round"] == 1 else None
            score, std = row[f"{name}_mean"], row[f"{name}_std"]
            axes.errorbar(row["minutes"], score, std, color=color, fmt="D", ms=7, capsize=4, label=shown)
        begin = row["minutes"]
    axes.set_title("round", fontsize=10, pad=18)
    axes.set_xlabel("minutes, all steps")
    axes.set_ylabel("score of an episode")
    axes.grid(alpha=0.3)
    legend_below(drawn, axes)
    save(drawn, path)


def _draw(axes: Axes, rows: list[dict], x: str, name: str, color: str, label: str | None) -> None:
    xs, means, stds = ([row[key] for row in rows] for key in (x, f"{name}_mean", f"{name}_std"))
    axes.errorbar(xs, means, stds, color=color, fmt="o-", ms=5, capsize=3, lw=1.2, label=label)
    axes.grid(alpha=0.3)
