"""Runs that go on from one another: whether each dream is truer than the one before."""

from pathlib import Path

from utils.dreams import temperatures
from utils.figures.dream_scores import save_iterations
from utils.run.folder import RunFolder
from utils.system.errors import UsageError
from utils.system.files import write_csv

COLUMNS = ("run", "episodes", *temperatures.COLUMNS)


def curve(run: RunFolder) -> list[dict[str, float]]:
    """The evaluations in the log of a run's step 5. Raises `UsageError` if none of them was in a dream."""
    rows = [row for row in run.log(5) if row.get("dream_evaluation_mean") is not None]
    if not rows:
        raise UsageError(
            f"{run.controller / 'log.csv'} has no evaluation in a dream; step 5 makes them with "
            "controller_environment=dream"
        )
    return rows


def compare(runs: list[RunFolder], episodes: int, max_steps: int | None = None) -> list[dict]:
    """A row a run: its controller in its own dream, and in real episodes, the same for all; arguments as of
    `temperatures.evaluate_run`."""
    rows = []
    for run in runs:
        config = run.read_config()
        (scores,) = temperatures.evaluate_run(run, [config.controller_temperature], episodes, max_steps)
        rows.append({"run": run.path.name, "episodes": config.num_episodes, **scores})
    return rows


def save_table(rows: list[dict], curves: list[list[dict[str, float]]], path: Path) -> None:
    """Writes `path`, a CSV of what `compare` found, and beside it a picture of the same name: each run's `curve`."""
    write_csv(path, COLUMNS, ([row[name] for name in COLUMNS] for row in rows))
    save_iterations(rows, curves, path.with_suffix(".png"))
