"""Runs that follow one another as the rounds of one experiment: their settings, and what their logs say together."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from utils.run import config as configuration
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.errors import UsageError

NEW = ("max_trials", "encoded_trials")  # of a later round: new episodes, beside those that it takes over
SET = ("exp_name", "previous_run")  # of a later round, by `settings`


def settings(files: Sequence[str], overrides: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The configuration file and the overrides of each round.

    files: the configuration of each round.
    overrides: `key=value`, for all of them.
    """
    first = files[0]
    kept = [override for override in overrides if override.partition("=")[0] not in SET]
    config = configuration.load(first, overrides)
    name, processes, totals = config.exp_name, config.parallel_processes, {key: getattr(config, key) for key in NEW}
    rounds = [(first, list(overrides))]
    for number, file in enumerate(files[1:], 2):
        before = run_of(config)
        mine = [f"exp_name={name}_{number}", f"previous_run={before.path}"]
        config = configuration.load(file, [*kept, *mine])
        totals["max_trials"] += config.max_trials
        taken_over = 0 if config.vae_num_epoch else totals["encoded_trials"]  # series of the same V only
        totals["encoded_trials"] = taken_over + config.encoded_trials
        rounds.append((file, [*kept, *mine, *(f"{key}={total}" for key, total in totals.items())]))
        if config.parallel_processes != processes:
            raise UsageError(f"{file}: parallel_processes is another one than in {first}, and counts episodes")
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
        judged = [point for point in points if point.get("judge_evaluation_mean") is not None]
        chosen = max(judged, key=lambda point: point["judge_evaluation_mean"] or 0) if judged else points[-1]
        episodes = config.num_episodes + config.num_encoded
        row: dict[str, float | str | None] = {"round": number, "run": run.path.name, "episodes": episodes}
        row |= {"minutes": round(end, 1), "generation": chosen["generation"]}
        for ours, theirs in {"dream": "dream_evaluation", "judge": "judge_evaluation", "real": "evaluation"}.items():
            row |= {f"{ours}_{what}": chosen.get(f"{theirs}_{what}") for what in ("mean", "std")}
        rows.append(row)
    return rows
