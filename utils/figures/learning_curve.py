"""The learning curve of step 5 with those that were published behind it."""

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from utils.config import Config
from utils.environments import describe
from utils.figures.dream_scores import IN_THE_DREAM, OUTSIDE
from utils.files import written_aside

OURS, PUBLISHED = "#0072b2", ("#999999", "#555555")


def save_learning_curve(rows: list[dict], config: Config, path: Path) -> None:
    """rows: the evolution's log, one dictionary a generation."""
    figure, axes = plt.subplots(figsize=(9, 6), dpi=110, layout="constrained")
    last, description = rows[-1]["generation"], describe(config.env_name)
    courses = f"{description.course}s"
    for color, (label, file) in zip(PUBLISHED, description.published_curves.items()):
        with open(file, newline="") as opened:
            published = [row for row in csv.DictReader(opened) if int(row["generation"]) <= last]
        key = "mean_reward" if published and "mean_reward" in published[0] else "mean"
        generations = [int(row["generation"]) for row in published]
        axes.plot(generations, [float(row[key]) for row in published], color=color, lw=1.2, label=label)
    generations = [row["generation"] for row in rows]
    axes.fill_between(
        generations,
        [row["reward_min"] for row in rows],
        [row["reward_max"] for row in rows],
        color=OURS, alpha=0.15, lw=0, label="candidates, worst to best",
    )  # fmt: skip
    axes.plot(generations, [row["reward_mean"] for row in rows], color=OURS, lw=2, label="candidates, mean")
    evaluated = [row for row in rows if row["evaluation_mean"] is not None]
    count, curves = config.controller_eval_episode, [("evaluation", OUTSIDE, f"fresh {courses}")]
    if config.controller_environment == "dream":
        curves = [
            ("evaluation", OUTSIDE, f"real {courses}"),
            ("dream_evaluation", IN_THE_DREAM, "fresh dreams"),
        ]
    for name, color, where in curves:
        axes.errorbar(
            [row["generation"] for row in evaluated],
            [row[f"{name}_mean"] for row in evaluated],
            [row[f"{name}_std"] for row in evaluated],
            color=color, fmt="o", ms=5, capsize=3, lw=1.2, label=f"mean of the population in {count} {where}, +- std",
        )  # fmt: skip
    axes.set_xlabel("generation")
    axes.set_ylabel("score of an episode")
    count = config.controller_num_episode
    episodes = "1 episode" if count == 1 else f"{count} episodes"
    where = f" dreamed at temperature {config.controller_temperature:g}" if len(curves) > 1 else ""
    axes.set_title(
        f"{config.exp_name}: {config.population} candidates x {episodes} "
        f"of at most {config.controller_max_frames} steps{where}"
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    with written_aside(path) as aside:
        figure.savefig(aside)
    plt.close(figure)
