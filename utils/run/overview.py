"""What run folders hold, how far their steps are, and how their agents score."""

import json
from collections.abc import Callable
from pathlib import Path

from utils.run import summaries
from utils.run.config import Config
from utils.run.folder import RunFolder, read_log
from utils.run.steps import Step


def find(folder: Path) -> list[RunFolder]:
    """The run folders in a folder, by name."""
    return [RunFolder(path.parent) for path in sorted(folder.glob("*/config.yaml"))]


def row(run: RunFolder) -> dict[str, str]:
    """A line of the overview. Empty where a step has not begun. Raises `UsageError` if config.yaml is damaged."""
    config = run.read_config()
    minutes = sum(run.timings().values()) / 60
    return {
        "run": str(run.path),
        "environment": config.env_name.rpartition("/")[2],
        "size": _size(run.path),
        "minutes": f"{minutes:.0f}" if minutes else "",
        "rollouts": _episodes(run.rollouts, config.num_episodes),
        "V: error": _last(run.vae / "log.csv", "held_out_reconstruction"),
        "series": _episodes(run.series, config.num_episodes + config.num_encoded),
        "M: NLL": _last(run.rnn / "log.csv", "held_out_nll"),
        "generations": _generations(run, config),
        "C: score": _controller(run),
        "score.json": _score(run.path / "score.json"),
    }


def folder_size(folder: Path) -> int:
    """In bytes, of all files in it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(folder: Path) -> str:
    size = folder_size(folder)
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _episodes(folder: Path, wanted: int) -> str:
    """ "120", or "80 of 120" while it is not done."""
    found = len(list(folder.glob("episode_*.npz"))) + len(list(folder.glob("played_*.npz")))
    return "" if not found else f"{found}" if found == wanted else f"{found} of {wanted}"


def _last(log: Path, column: str) -> str:
    return f"{read_log(log)[-1][column]:.4g}" if log.exists() else ""


def _generations(run: RunFolder, config: Config) -> str:
    path = run.controller / "log.csv"
    if not path.exists():
        return ""
    done, wanted = len(run.log(Step.CONTROLLER)), config.controller_num_generation
    return f"{done}" if done >= wanted else f"{done} of {wanted}"


def _controller(run: RunFolder) -> str:
    """By the evaluations of step 5: of the mean that is C."""
    rows = run.log(Step.CONTROLLER) if (run.controller / "log.csv").exists() else []
    if all(row["evaluation_mean"] is None for row in rows):
        return ""
    return _mean_std(summaries.chosen(rows), "evaluation_")


def _score(path: Path) -> str:
    return _mean_std(json.loads(path.read_text())["agent"]) if path.exists() else ""


def _mean_std(row: dict, prefix: str = "") -> str:
    return f"{row[f'{prefix}mean']:.0f} +- {row[f'{prefix}std']:.0f}"


def text(rows: list[dict[str, str]]) -> str:
    """A table for a terminal. Columns that are empty everywhere are left out."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    widths = [max(len(name), *(len(row[name]) for row in rows)) for name in names]
    align: list[Callable[[str, int], str]] = [
        str.ljust if name in ("run", "environment") else str.rjust for name in names
    ]
    lines = [dict(zip(names, names)), *rows]
    return "\n".join(
        "  ".join(put(line[name], width) for put, name, width in zip(align, names, widths)).rstrip() for line in lines
    )
