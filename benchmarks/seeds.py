"""Does another seed drive as well? Scores of runs that differ in their seed, together and one by one.

    for seed in 1 2 3; do
      run=runs/seed_$seed
      python -m benchmarks.costs config/carracing_laptop.yaml exp_name=seed_$seed seed=$seed
      python -m benchmarks.costs config/carracing_laptop_2.yaml exp_name=seed_${seed}_2 seed=$seed previous_run=$run
      python -m benchmarks.costs config/carracing_laptop_3.yaml exp_name=seed_${seed}_3 seed=$seed previous_run=${run}_2
    done
    cp -r pretrained/carracing runs/seed_0   # V and M of seed 0; the C that ships learned on, in a fourth run
    cp benchmarks/results/carracing/third.npz runs/seed_0/controller/best.npz
    python -m benchmarks.seeds runs/seed_1_3 runs/seed_2_3 runs/seed_3_3 --beside runs/seed_0 --store

Each RUN is the last of the runs that its agent comes from (`previous_run`). Its agent plays --episodes tracks of the
unmodified environment from --seed on, which have selected nothing; RUN/seeds.json keeps the scores. The interquartile
mean leaves out the best and the worst quarter of all episodes (Agarwal et al. 2021, "Deep Reinforcement Learning at
the Edge of the Statistical Precipice"). Its interval holds 95 % of 10,000 bootstrap samples, which draw seeds, and
episodes within each seed. For each goal the table says after how many minutes, of all steps, an evaluation of step 5
reached it.
--store writes benchmarks/results/seeds.json.
"""

from pathlib import Path

import numpy as np

from benchmarks.report import announce, at_least_1, command, scores_of_agent, store, with_store
from utils.run import cli
from utils.run.folder import RunFolder
from utils.run.lineage import earlier
from utils.run.steps import Step

GOALS = (840, 900)  # the chapter's score; the environment counts as solved
SAMPLES = 10_000


def scores(path: Path, episodes: int, seed: int) -> list[float]:
    """Of the run's agent in the unmodified environment."""
    agent = scores_of_agent(path, path / "seeds.json", episodes, seed, "--stock")
    return [episode["score"] for episode in agent["episodes"]]


def interquartile_mean(values: np.ndarray) -> float:
    """The mean of the middle half of all numbers in `values`, of any shape."""
    ordered = np.sort(values, axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def interval(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The middle 95 % of the interquartile means of bootstrap samples. values: (seeds, episodes)."""
    seeds, episodes = values.shape
    means = []
    for _ in range(SAMPLES):
        drawn = rng.integers(seeds, size=seeds)
        means.append(interquartile_mean(values[drawn[:, None], rng.integers(episodes, size=values.shape)]))
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def minutes_to(run: RunFolder, goal: float) -> float | None:
    """Minutes of all steps of this run and the ones before it, until an evaluation reached `goal`."""
    begin = 0.0
    for one in [*reversed(list(earlier(run.read_config()))), run]:
        timings, log = one.timings(), one.log(Step.CONTROLLER)
        begin += sum(seconds for step, seconds in timings.items() if step != Step.CONTROLLER)
        for row in log:
            if row["evaluation_mean"] is not None and row["evaluation_mean"] >= goal:
                return round((begin + (row["seconds"] or 0)) / 60, 1)
        begin += timings.get(Step.CONTROLLER, 0)
    return None


def main() -> None:
    parser = with_store(command("seeds", __doc__))
    parser.add_argument("run", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--beside", nargs="*", type=Path, default=[], metavar="AGENT", help="counted as further seeds")
    parser.add_argument("--episodes", type=at_least_1, default=100, metavar="N", help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=6000, metavar="S", help="of the first track (%(default)s)")
    arguments = parser.parse_args()
    announce(arguments)
    rows, all_scores = {}, []
    for path in (*arguments.run, *arguments.beside):
        mine = scores(path, arguments.episodes, arguments.seed)
        all_scores.append(mine)
        row = rows[str(path)] = {"mean": round(np.mean(mine), 1), "std": round(np.std(mine), 1), "scores": mine}
        if path in arguments.run:
            row |= {f"minutes_to_{goal}": minutes_to(RunFolder(path), goal) for goal in GOALS}
        print(f"{path!s:30} " + ", ".join(f"{name} {value}" for name, value in row.items() if name != "scores"))
    values = np.array(all_scores)
    middle, (low, high) = interquartile_mean(values), interval(values, np.random.default_rng(0))
    print(f"interquartile mean of {len(values)} seeds: {middle:.1f}, 95 % interval {low:.1f} to {high:.1f}")
    store(arguments, "seeds", {
        "first_track": arguments.seed, "interquartile_mean": middle, "interval": [low, high], "runs": rows,
    })  # fmt: skip


if __name__ == "__main__":
    cli.call(main)
