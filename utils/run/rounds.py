"""Runs that follow one another as the rounds of one experiment: their settings, and what their logs say together."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from utils.run import config as configuration
from utils.run import summaries
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.errors import UsageError

SET = ("exp_name", "previous_run")  # of a later round, by `plan`


class Round(NamedTuple):
    file: str  # its configuration
    overrides: list[str]
    config: Config


def plan(files: Sequence[str], overrides: Sequence[str]) -> list[Round]:
    """What each round does.

    files: the configuration of each round.
    overrides: `key=value`, for all of them.
    Raises `UsageError` if one of them is wrong.
    """
    rounds = [Round(files[0], list(overrides), configuration.load(files[0], overrides))]
    first = before = rounds[0].config
    kept = [override for override in overrides if override.partition("=")[0] not in SET]
    for number, file in enumerate(files[1:], 2):
        mine = [*kept, f"exp_name={first.exp_name}_{number}", f"previous_run={run_of(before).path}"]
        config = configuration.load(file, mine)
        if config.parallel_processes != first.parallel_processes:
            raise UsageError(f"{file}: parallel_processes is another one than in {files[0]}, and counts episodes")
        taken_over = 0 if config.vae_num_epoch else before.encoded_trials  # series of the same V only
        mine.append(f"max_trials={before.max_trials + config.max_trials}")
        mine.append(f"encoded_trials={taken_over + config.encoded_trials}")
        before = configuration.load(file, mine)
        rounds.append(Round(file, mine, before))
    return rounds


def run_of(config: Config) -> RunFolder:
    return RunFolder(Path(config.runs_folder) / config.exp_name)


def is_finished(run: RunFolder, config: Config) -> bool:
    """Whether step 5 has done all its generations."""
    path = run.controller / "log.csv"
    return path.exists() and len(run.log(Step.CONTROLLER)) >= config.controller_num_generation


def minutes(run: RunFolder) -> float:
    """That all steps of a run have taken."""
    return sum(run.timings().values()) / 60


def curve(run: RunFolder) -> list[dict[str, float | None]]:
    """The evaluations in the log of step 5. Raises `UsageError` if none of them took place in a dream.

    Adds `minutes`, from the beginning of step 1.
    """
    rows = [row for row in run.log(Step.CONTROLLER) if row.get("dream_evaluation_mean") is not None]
    if not rows:
        raise UsageError(
            f"{run.controller / 'log.csv'} has no evaluation in a dream; step 5 makes them with "
            "controller_environment=dream"
        )
    earlier = minutes(run) - run.timings().get(Step.CONTROLLER, 0.0) / 60
    return [row | {"minutes": earlier + (row["seconds"] or 0) / 60} for row in rows]


def table(runs: list[RunFolder]) -> list[dict[str, float | str | None]]:
    """A row for each round: what it has taken up to its end, and the scores of its C by the evaluations of step 5.

    C is the last mean, or the one that a judge chose. Real scores choose nothing.
    """
    ends = itertools.accumulate(map(minutes, runs))
    rows: list[dict[str, float | str | None]] = []
    for number, (run, end) in enumerate(zip(runs, ends), 1):
        points, config = curve(run), run.read_config()
        chosen = summaries.chosen(points)
        episodes = config.num_episodes + config.num_encoded
        row: dict[str, float | str | None] = {"round": number, "run": run.path.name, "episodes": episodes}
        row |= {"minutes": round(end, 1), "generation": chosen["generation"]}
        for where in ("dream", "judge", "real"):
            row |= {f"{where}_{what}": chosen.get(f"{summaries.EVALUATIONS[where]}_{what}") for what in ("mean", "std")}
        rows.append(row)
    return rows
