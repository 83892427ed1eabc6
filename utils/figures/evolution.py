"""CMA-ES at work: populations and their means on the plane of the means' two main directions, and who did what when.

Chapter, figures 12-13 to 12-15.
"""

from pathlib import Path

import numpy as np

from utils.figures.style import BLUE, GREY, ORANGE, figure, save


def save_evolution(
    means: np.ndarray, populations: dict[int, np.ndarray], rows: list[dict], schedule: list[dict], path: Path
) -> None:
    """The way of the mean, with the populations that are kept, sigma by generation, and one generation's tasks.

    means: float32 (generations + 1, num_parameters), from where the first population was drawn on.
    populations: by generation, (population, num_parameters).
    rows: of the log, of the same generations, with `generation`, `sigma` and `rms_stdev`.
    schedule: of the last generation that is kept, with `task`, `rank`, `begin` and `end`.
    """
    drawn, _ = figure(14, 7.5)
    drawn.clear()
    grid = drawn.add_gridspec(2, 2, width_ratios=(1.5, 1))
    plane, spread, tasks = (drawn.add_subplot(place) for place in (grid[:, 0], grid[0, 1], grid[1, 1]))

    centre = means.mean(axis=0)
    _, lengths, directions = np.linalg.svd(means - centre, full_matrices=False)
    share = np.square(lengths) / np.square(lengths).sum()
    if len(directions) < 2:  # one generation: the means lie on a line
        directions, share = np.concatenate([directions, np.zeros_like(directions)]), np.append(share, 0.0)

    def on_plane(x: np.ndarray) -> np.ndarray:
        return (x - centre) @ directions[:2].T

    generations = [row["generation"] for row in rows]
    first, last = generations[0] - 1, generations[-1]
    for generation, candidates in populations.items():
        places = on_plane(candidates.astype(np.float32))
        color = np.full(len(places), generation)
        dots = plane.scatter(places[:, 0], places[:, 1], c=color, s=9, alpha=0.5, cmap="viridis", vmin=first, vmax=last)
    way = on_plane(means)
    plane.plot(*way.T, color="black", lw=1)
    color = np.arange(first, last + 1)
    plane.scatter(
        way[:, 0], way[:, 1], c=color, s=22, cmap="viridis", vmin=first, vmax=last, edgecolors="black", lw=0.5
    )
    for name, place in (f"generation {first:.0f}" if first else "start", way[0]), (f"generation {last:.0f}", way[-1]):
        plane.annotate(name, place, xytext=(8, 8), textcoords="offset points", fontsize=9)
    plane.set_xlabel(f"main direction of the means ({share[0]:.0%} of their variance)")
    plane.set_ylabel(f"second direction ({share[1]:.0%})")
    numbers = sorted(populations)
    every = max(np.diff(numbers), default=1)
    of = "its candidates" if every == 1 else f"the candidates of every {every}th"
    plane.set_title(f"the mean of each generation, and {of}")
    drawn.colorbar(dots, ax=plane, label="generation")

    spread.plot(generations, [row["rms_stdev"] for row in rows], color=BLUE, label="of a parameter (root mean square)")
    spread.plot(generations, [row["sigma"] for row in rows], color=GREY, ls="--", label="sigma")
    spread.set(xlabel="generation", ylabel="spread of the candidates", ylim=(0, None))
    spread.legend(fontsize=8)

    for number, row in enumerate(schedule):
        begin, length = float(row["begin"]), float(row["end"]) - float(row["begin"])
        tasks.barh(int(row["rank"]), length, left=begin, height=0.7, color=(BLUE, ORANGE)[number % 2], alpha=0.75)
        tasks.text(begin + length / 2, int(row["rank"]), row["task"][-4:], ha="center", va="center", fontsize=7)
    ranks = sorted({int(row["rank"]) for row in schedule})
    tasks.set_yticks(ranks, [f"worker {rank}" for rank in ranks])
    tasks.set(xlabel="seconds", title=f"the tasks of generation {max(populations)}, and who did them when")
    drawn.suptitle("CMA-ES at work")
    save(drawn, path)
