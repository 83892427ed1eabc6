"""Does an agent score the same in the stock environment, and with its encoder in float32?

    python -m benchmarks.same_scores RUN [--episodes 100]

The best controller of RUN drives the same tracks (seeds 1000, 1001, ...) three times: in our environment with the
encoder in bfloat16 and in float32, and in Gymnasium's unmodified CarRacing-v3. Small differences add up while driving,
so single scores differ. Their means should differ by chance only. --store writes every score. Takes about six minutes
on two cores, mostly for stock's drawing.
"""

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.report import announce, at_least_1, command, store, with_store
from utils.run import cli
from utils.system import compute
from utils.system.files import user_path

FIRST_SEED = 1000
KINDS = {  # environment and precision of V
    "ours, bfloat16": (False, "bfloat16"),
    "ours, float32": (False, "float32"),
    "stock, bfloat16": (True, "bfloat16"),
}
PROCESSES = 2


def scores(folder: Path, kind: str, first_seed: int, episodes: int) -> list[float]:
    compute.start_tensorflow(threads=1)
    from utils.agent.agent import Agent
    from utils.agent.controllers import load_controller
    from utils.agent.evaluate import evaluation_jobs, score
    from utils.run.folder import RunFolder
    from utils.system.progress import Progress

    stock, precision = KINDS[kind]
    run = RunFolder(folder)
    agent = Agent(run.read_config().model_copy(update={"vae_precision": precision}), run)
    parameters, _ = load_controller(agent.config, run)
    jobs = evaluation_jobs(first_seed, episodes)
    outcomes = score(agent, parameters, jobs, stock, agent.spec.max_steps, Progress(kind, "episodes"))
    return [outcome.score for outcome in outcomes]


def scores_of_all(folder: Path, kind: str, episodes: int) -> np.ndarray:
    """The scores on all tracks, (episodes,). Each process drives a part of the tracks."""
    ends = [FIRST_SEED + round(i * episodes / PROCESSES) for i in range(PROCESSES + 1)]
    part_command = [sys.executable, "-m", "benchmarks.same_scores", str(folder), "--part", kind]
    parts = [
        subprocess.Popen([*part_command, str(begin), str(end - begin)], stdout=subprocess.PIPE, text=True)
        for begin, end in itertools.pairwise(ends)
    ]
    outputs = [part.communicate()[0] for part in parts]
    if any(part.returncode for part in parts):
        sys.exit(2)
    return np.concatenate([json.loads(output.splitlines()[-1]) for output in outputs])


def main() -> None:
    parser = with_store(command("same_scores", __doc__))
    parser.add_argument("run", type=user_path, metavar="RUN")
    parser.add_argument("--episodes", type=at_least_1, default=100)
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        kind, first_seed, episodes = arguments.part
        print(json.dumps(scores(arguments.run, kind, int(first_seed), int(episodes))))
        return
    announce(arguments)
    results = {kind: scores_of_all(arguments.run, kind, arguments.episodes) for kind in KINDS}
    first = next(iter(results.values()))
    rows = {}
    for kind, values in results.items():
        difference = values - first
        rows[kind] = {
            "mean": float(values.mean()),
            "std": float(values.std()),
            "difference": float(difference.mean()),
            "standard_error": float(difference.std(ddof=1) / np.sqrt(len(difference))),
        }
        print(
            "{:16} {mean:8.1f} +- {std:5.1f}   difference {difference:6.1f} +- {standard_error:.1f}".format(
                kind, **rows[kind]
            )
        )
    content = {"run": arguments.run.name, "episodes": arguments.episodes, "first_seed": FIRST_SEED, "rows": rows}
    store(
        arguments,
        f"same_scores_{arguments.run.name}",
        content | {"scores": {kind: values.tolist() for kind, values in results.items()}},
    )


if __name__ == "__main__":
    cli.call(main)
