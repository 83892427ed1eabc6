"""Results in words and numbers, for the end of a script, logs, figures and the report."""

from collections.abc import Callable, Sequence

import numpy as np

from utils.run.config import Config

STATISTICS: dict[str, Callable] = {"mean": np.mean, "std": np.std, "min": np.min, "max": np.max}
IN_WORDS = {"reward": "reward", "done": "end"}  # what M predicts


# Prefixes in C's log, by where the mean was evaluated.
EVALUATIONS = {"real": "evaluation", "dream": "dream_evaluation", "judge": "judge_evaluation"}


def selector(row: dict) -> str:
    """The column of C's log by which the best mean is chosen. row: any of the log."""
    return "judge_evaluation_mean" if "judge_evaluation_mean" in row else "evaluation_mean"


def averaged_means(row: dict) -> int:
    """How many means the C that was evaluated is an average of. row: of C's log; an older version did not log it."""
    return int(row.get("averaged_means") or 1)


def chosen(rows: list[dict]) -> dict:
    """The row of C's log of the mean that is C. rows: with at least one evaluation.

    Real scores choose none that learned in dreams: without a judge, C is then the last mean.
    """
    evaluated = [row for row in rows if row["evaluation_mean"] is not None]
    column = selector(evaluated[-1])
    if column == "evaluation_mean" and "dream_evaluation_mean" in evaluated[-1]:
        return evaluated[-1]
    return max(evaluated, key=lambda row: row[column])


def of_vae(row: dict[str, float | None]) -> str:
    """row: the last row of V's log."""
    return f"held-out squared error of a frame {row['held_out_reconstruction']:.1f}, KL {row['held_out_kl']:.1f} nats"


def of_rnn(row: dict[str, float | None], predicts: str) -> str:
    """row: the last row of M's log."""
    return (
        f"held-out NLL of the next z {row['held_out_nll']:.3f} nats a dimension, loss of the {IN_WORDS[predicts]} "
        f"{row[f'held_out_{predicts}']:.3f}"
    )


def of_controller(rows: list[dict], episodes: int) -> str:
    """rows: C's log, with at least one evaluation. Says which score selected the controller."""
    evaluated = [row for row in rows if row["evaluation_mean"] is not None]
    best, last, column = chosen(rows), evaluated[-1], selector(evaluated[-1])
    judged = column == "judge_evaluation_mean"

    def score(row: dict) -> str:
        count = averaged_means(row)
        averaged = f" (the average of {count} means)" if count > 1 else ""
        told = f"{row['evaluation_mean']:.1f} +- {row['evaluation_std']:.1f} after generation {row['generation']:.0f}"
        return told + averaged

    if "dream_evaluation_mean" in last and not judged:
        return f"the last mean of the population, {score(last)}, in {episodes} real episodes, which select nothing"
    if len(evaluated) == 1:
        return f"mean of the population {score(best)}, its only evaluation, in {episodes} episodes"
    if judged:
        return (
            f"mean of the population {score(best)}, in {episodes} episodes that did not select it: the best of "
            f"{len(evaluated)} in the dream of another M, {best[column]:.1f}"
        )
    return (
        f"mean of the population {score(best)}, the best of {len(evaluated)} evaluations in the same {episodes} "
        f"episodes, so a little lucky; the last one {score(last)}"
    )


def num_episodes(config: Config) -> str:
    """Of each candidate: "1 episode", "4 episodes (16 from generation 50)"."""
    (_, first), *later = config.episode_stages.items()
    grown = ", ".join(f"{number} from generation {begin}" for begin, number in later)
    return ("1 episode" if first == 1 else f"{first} episodes") + (f" ({grown})" if grown else "")


def statistics(scores: Sequence[float] | np.ndarray, prefix: str = "") -> dict[str, float]:
    """mean, std (of the population), min and max, by these names behind `prefix`."""
    return {prefix + name: float(function(scores)) for name, function in STATISTICS.items()}
