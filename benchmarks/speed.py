"""The speed table: every row measured in this run, next to what it is compared with.

    make benchmark          or: python -m benchmarks.speed [--rounds 3] [--store] [--readme]

Trains small networks of the chapter's sizes first (speed does not depend on what they learned), then measures
each row in a process of its own, round after round, and takes medians. Needs about 20 minutes in which nothing
else runs. `pip install -c constraints.txt '.[benchmark,doom]'` adds the rows of EnvPool and of Doom.
"""

import csv
import importlib.util
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.doom import CONFIG as DOOM_CONFIG
from benchmarks.measurements import CONFIG
from benchmarks.report import announce, at_least_1, command, into_readme, store, with_store
from utils.run import cli
from utils.system.errors import UsageError

# The original: seconds a generation of 64 x 16 episodes on 64 cores, published with its learning curve.
ORIGINAL_SECONDS, ORIGINAL_CORES = 2238, 64

# Measured name, what it is, and which row of the group it is compared with.
GROUPS = {
    "the environment alone, one core (steps/s)": [
        ("environment_stock", "Gymnasium's CarRacing-v3"),
        ("environment_envpool", "EnvPool's CarRacing-v3, one thread"),
        ("environment_ours", "WorldModels/CarRacing-v3"),
    ],
    "V's encoder, one core (frames/s)": [
        ("encoder_predict", "Keras predict, a frame"),
        ("encoder_called", "the Keras model in a tf.function, 64 frames"),
        ("encoder_float32", "ours in float32, 64 frames"),
        ("encoder_16_frames", "ours, 16 frames"),
        ("encoder_ours", "ours, 64 frames"),
    ],
    "the whole agent, one core (steps/s)": [
        ("agent_predict", "stock environment, Keras predict a frame"),
        ("agent_ours", "ours, 64 environments"),
    ],
    "agents that learn, one core (steps/s)": [
        ("agent_ours", "in the real environment, 64 environments"),
        ("dream_ours", "in the dream, 512 at once"),
    ],
    "Doom: Take Cover, one core and the game's own process (steps/s)": [
        ("doom.environment_stock", "ViZDoom's own environment"),
        ("doom.environment_ours", "WorldModels/TakeCover-v0"),
        ("doom.environments_ours", "16 of them in lock step"),
        ("doom.agent_ours", "the whole agent, 16 environments"),
    ],
    "agents that learn Doom (steps/s)": [
        ("doom.agent_ours", "in the game, 16 environments"),
        ("doom.dream_ours", "in the dream, one core, 512 at once"),
    ],
    "training V, all cores (images/s)": [
        ("vae_in_memory", "one batch in memory"),
        ("vae_streamed", "streamed from disk, as step 2 does"),
    ],
    "training M, all cores (time steps/s)": [
        ("rnn_in_memory", "one batch in memory"),
        ("rnn_dealt", "dealt out of all series, as step 4 does"),
    ],
    "step 3, all cores (frames/s)": [
        ("encoder_all_cores", "the encoder alone, 512 frames"),
        ("series_written", "from rollout files to series files"),
    ],
    "step 1, two processes (frames/s)": [("rollouts_two_processes", "from starting them to the last file")],
}


def prepare(runs: Path, name: str, config: str, *sizes: str) -> list[str]:
    """Steps 1 to 4 of a run in `runs`; returns what step 5 needs on its command line to go on with it."""
    settings = ["--config", config, f"runs_folder={runs}", f"exp_name={name}", "parallel_processes=2", *sizes]
    settings += ["vae_num_epoch=1", "rnn_num_steps=10"]
    for script in ("01_generate_data", "02_train_vae", "03_generate_rnn_data", "04_train_rnn"):
        subprocess.run([sys.executable, f"{script}.py", *settings], check=True)
    return settings


def measure(name: str, runs: Path) -> float:
    module, function = name.split(".") if "." in name else ("measurements", name)
    run = runs / ("doom" if module == "doom" else "car")
    measurement = [sys.executable, "-m", f"benchmarks.{module}", function, str(run)]
    return float(subprocess.run(measurement, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1])


def _needs(name: str) -> str | None:
    """The package of an extra that a row needs."""
    return "vizdoom" if name.startswith("doom.") else "envpool" if name == "environment_envpool" else None


def step_5(settings: list[str], run: Path, workers: int, generations: int) -> dict[str, float]:
    """Generations of 64 x 4 whole episodes: steps a second, start to start, and what is not spent in rollouts."""
    shutil.rmtree(run / "controller", ignore_errors=True)
    size = ["controller_num_worker=4", "controller_num_worker_trial=16", "controller_num_episode=4"]
    size += [f"controller_num_generation={generations + 2}", "controller_eval_steps=1000", "controller_eval_episode=1"]
    step = [sys.executable, "05_train_controller.py", *settings, *size, "--workers", str(workers)]
    subprocess.run(step, check=True)
    with open(run / "controller/log.csv") as file:
        rows = list(csv.DictReader(file))[1:-1]  # the first one warms up, the last one is followed by an evaluation
    steps, seconds, busy = (
        sum(float(row[key]) for row in rows) for key in ("steps", "generation_seconds", "worker_seconds")
    )
    return {"steps_per_second": steps / seconds, "outside_rollouts": 1 - busy / workers / seconds}


def main() -> None:
    parser = with_store(command("speed", __doc__))
    parser.add_argument("--rounds", type=at_least_1, default=3, help="measurements that each median is taken of")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md as well")
    arguments = parser.parse_args()
    announce(arguments)
    missing = [name for name in ("envpool", "vizdoom") if importlib.util.find_spec(name) is None]
    if missing:
        extras = "pip install -c constraints.txt '.[benchmark,doom]'"
        if arguments.store or arguments.readme:
            raise UsageError(f"--store and --readme need every row, and {', '.join(missing)} is missing: {extras}")
        print(f"not installed: {', '.join(missing)}; rows that need them are left out; {extras} adds them")
    names = [name for rows in GROUPS.values() for name, _label in rows if _needs(name) not in missing]
    measured: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        runs = Path(temporary)
        settings = prepare(runs, "car", CONFIG, "max_trials=20")
        if "vizdoom" not in missing:
            prepare(runs, "doom", DOOM_CONFIG, "max_trials=10", "rnn_batch_size=10")
        for _ in range(arguments.rounds):
            for name in dict.fromkeys(names):
                measured.setdefault(name, []).append(measure(name, runs))
                print(f"{name:28}{measured[name][-1]:12.1f}", flush=True)
        workers = {count: step_5(settings, runs / "car", count, generations=3) for count in (1, 2)}

    medians = {name: statistics.median(values) for name, values in measured.items()}
    table = []
    for group, rows in GROUPS.items():
        for name, label in rows:
            if name in medians:
                table.append((group, label, medians[name], medians[name] / medians[rows[0][0]]))
    group = "step 5, 64 x 4 episodes (agent steps/s)"
    for count, result in workers.items():
        speed = result["steps_per_second"]
        table.append((group, f"{count} worker{'s' * (count > 1)}", speed, speed / workers[1]["steps_per_second"]))
    chapter_steps = 200 * 64 * 16 * 1000
    hours = chapter_steps / workers[2]["steps_per_second"] / 3600
    original_hours = 200 * ORIGINAL_SECONDS / 3600
    core_hours = original_hours * ORIGINAL_CORES
    group = "200 generations of 64 x 16 episodes of 1000 steps (core hours)"
    table.append((group, f"the original, published: {original_hours:.0f} h on {ORIGINAL_CORES} cores", core_hours, 1.0))
    table.append((group, f"here, projected: {hours:.1f} h on 2 cores", hours * 2, core_hours / (hours * 2)))

    last = None
    for group, label, value, ratio in table:
        if group != last:
            print(f"\n{group}")
        last = group
        print(f"  {label:52}{value:12,.0f}{ratio:10.2f} x")
    print(f"\nstep 5, 2 workers: {workers[2]['outside_rollouts']:.1%} of a generation is spent outside rollouts")
    store(
        arguments,
        "speed",
        {
            "rounds": arguments.rounds,
            "table": [dict(zip(("group", "row", "value", "ratio"), row)) for row in table],
            "step_5": workers,
            "measured": measured,
        },
    )
    if arguments.readme:
        into_readme(table)


if __name__ == "__main__":
    cli.call(main)
