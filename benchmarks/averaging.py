"""Is an average of CMA-ES's last means a better driver than the last one? What `controller_num_mean` brings.

    python -m benchmarks.averaging runs/carracing_laptop_4 --counts 1 5 9 --store

Averages the means of RUN's last 1, 5 and 9 generations, and scores each on the same CarRacing tracks, which selected
nothing.
--store writes benchmarks/results/averaging.csv.
"""

from pathlib import Path

import numpy as np

from benchmarks.report import RESULTS, announce, at_least_1, command, with_store
from utils.evolution.state import average
from utils.run import cli
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.run.summaries import statistics
from utils.system import compute
from utils.system.files import write_csv
from utils.system.progress import Progress


def main() -> None:
    parser = with_store(command("averaging", __doc__))
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder with an evolution of several generations")
    parser.add_argument("--counts", type=at_least_1, nargs="+", default=[1, 5, 9], metavar="N", help="(%(default)s)")
    parser.add_argument("--episodes", type=at_least_1, default=200, metavar="N", help="tracks (%(default)s)")
    parser.add_argument("--seed", type=int, default=7000, metavar="S", help="of the first one (%(default)s)")
    arguments = parser.parse_args()
    announce(arguments)
    run = RunFolder(arguments.run)
    run.require(run.means, Step.CONTROLLER, "no generation is complete")
    with np.load(run.means, allow_pickle=False) as file:
        means, last = file["means"][1:], int(file["generation"])
    compute.start_tensorflow()
    from utils.agent import evaluate
    from utils.agent.agent import Agent

    agent, rows = Agent(run.read_config(), run), []
    jobs, steps = evaluate.evaluation_jobs(arguments.seed, arguments.episodes), agent.spec.max_steps
    for count in arguments.counts:
        how = jobs, False, steps, Progress(f"{count} averaged", "episodes")
        outcomes = evaluate.score(agent, average(means, count), *how)
        finished = [outcome.steps for outcome in outcomes if outcome.steps < steps]
        row = {"means": min(count, len(means)), "last_generation": last}
        row |= {name: round(value, 1) for name, value in statistics([o.score for o in outcomes]).items()}
        row |= {"episodes": len(outcomes), "below_880": sum(outcome.score < 880 for outcome in outcomes)}
        row |= {"finished": len(finished), "their_steps": round(float(np.mean(finished)), 1) if finished else None}
        print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
        rows.append(row)
    if arguments.store:
        write_csv(RESULTS / "averaging.csv", rows[0], (row.values() for row in rows))
        print(f"stored in {RESULTS / 'averaging.csv'}")


if __name__ == "__main__":
    cli.call(main)
