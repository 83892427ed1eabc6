"""Compares runs that go on from one another: is each dream truer than the one before?"""

from pathlib import Path

from utils.dreams import temperatures
from utils.figures.dream_scores import save_iterations
from utils.run.folder import RunFolder
from utils.system.files import write_csv

COLUMNS = ("run", "episodes", *temperatures.COLUMNS)


def compare(runs: list[RunFolder], episodes: int, max_steps: int | None = None) -> list[dict]:
    """A row for each run: scores of its controller in its own dream, and in the same real episodes as the others.

    Arguments as in `temperatures.evaluate_run`.
    """
    rows = []
    for run in runs:
        config = run.read_config()
        (scores,) = temperatures.evaluate_run(run, [config.controller_temperature], episodes, max_steps)
        rows.append({"run": run.path.name, "episodes": config.num_episodes, **scores})
    return rows


def save_table(rows: list[dict], curves: list[list[dict[str, float | None]]], path: Path) -> None:
    """Writes the rows of `compare` to `path`, a CSV, and a picture of each run's `curve` beside it."""
    write_csv(path, COLUMNS, ([row[name] for name in COLUMNS] for row in rows))
    save_iterations(rows, curves, path.with_suffix(".png"))
