"""The speed table. Measures every row, and compares it with the first row of its group.

    make benchmark          or: python -m benchmarks.speed [--rounds 3] [--store] [--docs]

First trains networks of the chapter's sizes for a few steps, since their speed does not depend on training. Then
measures each row in its own process, several times, and takes the median. Takes about 25 minutes; nothing else should
run. `pip install -c constraints.txt -e '.[benchmark,doom]'` adds the rows of EnvPool and of Doom.
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
from benchmarks.report import announce, at_least_1, command, into_docs, store, with_store
from utils.environments import get_spec
from utils.run import cli, config
from utils.system import compute
from utils.system.errors import UsageError

# The original, from its published learning curve: seconds per generation of 64 x 16 episodes on 64 cores.
ORIGINAL_SECONDS, ORIGINAL_CORES = 2238, 64

# By group: the function that measures a row, and the label of the row. Products are in PRECISION (`auto`) where a label
# says nothing else.
GROUPS = {
    "one large product in bfloat16 (multiply-adds/s)": [("peak", "one core"), ("steps.peak", "all cores")],
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
        ("agent_ours", "64 real environments at once"),
        ("dream_float32", "512 dreams at once, float32"),
        ("dream_ours", "512 dreams at once"),
        ("dream_vector", "512 dreams as a vector of environments"),
        ("dream_single", "one dream as an environment, float32"),
    ],
    "Doom: Take Cover, one core and the game's own process (steps/s)": [
        ("doom.environment_stock", "ViZDoom's own environment"),
        ("doom.environment_ours", "WorldModels/TakeCover-v0"),
        ("doom.environments_ours", "16 of them, stepped in turn"),
        ("doom.agent_ours", "the whole agent, 16 environments"),
    ],
    "agents that learn Doom (steps/s)": [
        ("doom.agent_ours", "16 games at once"),
        ("doom.dream_float32", "512 dreams at once, one core, float32"),
        ("doom.dream_ours", "512 dreams at once, one core"),
    ],
    "training V, all cores (images/s)": [
        ("steps.vae_in_memory", "one batch in memory"),
        ("steps.vae_streamed", "streamed from disk, as in step 2"),
    ],
    "training M, all cores (time steps/s)": [
        ("steps.rnn_in_memory", "one batch in memory"),
        ("steps.rnn_dealt", "drawn from all series, as in step 4"),
    ],
    "training Doom's M, all cores (time steps/s)": [("doom.rnn_in_memory", "one batch in memory")],
    "step 3, all cores (frames/s)": [
        ("steps.encoder_all_cores", "the encoder alone, 512 frames"),
        ("steps.series_written", "from rollout files to series files"),
    ],
    "step 1, two processes (frames/s)": [("steps.rollouts_two_processes", "from their start to the last file")],
}

# Multiply-adds of an item, for the share of what the processor can do (the rows "one large product"): a configuration,
# what is computed of it, and the row of the peak.
WORK = {
    "dream_ours": (CONFIG, "dream", "peak"),
    "doom.dream_ours": (DOOM_CONFIG, "dream", "peak"),
    "steps.rnn_in_memory": (CONFIG, "training", "steps.peak"),
    "steps.rnn_dealt": (CONFIG, "training", "steps.peak"),
    "doom.rnn_in_memory": (DOOM_CONFIG, "training", "steps.peak"),
}


def multiply_adds(configuration: str, work: str) -> int:
    """Of a dreamed step, or of a time step of M's training: the products forward, for the weights and for h."""
    c = config.load(configuration)
    inputs = c.z_size + get_spec(c.env_name).action_size + 1
    outputs = 3 * c.z_size * c.rnn_num_mixture + 1
    forward = (inputs + c.rnn_size) * 4 * c.rnn_size + c.rnn_size * outputs
    return forward + c.controller.num_parameters if work == "dream" else 3 * forward - inputs * 4 * c.rnn_size


def prepare(runs: Path, name: str, configuration: str, *sizes: str) -> list[str]:
    """Does steps 1 to 4 of a run in `runs`. Returns the arguments with which step 5 goes on."""
    settings = ["--config", configuration, f"runs_folder={runs}", f"exp_name={name}", "parallel_processes=2", *sizes]
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
    """The optional package that a row needs."""
    return "vizdoom" if name.startswith("doom.") else "envpool" if name == "environment_envpool" else None


def step_5(settings: list[str], run: Path, workers: int, generations: int) -> dict[str, float]:
    """Runs generations of 64 x 4 whole episodes. Returns steps per second, and the share of time outside rollouts."""
    shutil.rmtree(run / "controller", ignore_errors=True)
    size = ["controller_num_worker=4", "controller_num_worker_trial=16", "controller_num_episode=4"]
    size += [f"controller_num_generation={generations + 2}", "controller_eval_steps=1000", "controller_eval_episode=1"]
    step = [sys.executable, "05_train_controller.py", *settings, *size, "--workers", str(workers)]
    subprocess.run(step, check=True)
    with open(run / "controller/log.csv") as file:
        rows = list(csv.DictReader(file))[
            1:-1
        ]  # without the first one, which warms up, and the last one, which evaluates
    steps, seconds, busy = (
        sum(float(row[key]) for row in rows) for key in ("steps", "generation_seconds", "worker_seconds")
    )
    return {"steps_per_second": steps / seconds, "outside_rollouts": 1 - busy / workers / seconds}


def main() -> None:
    parser = with_store(command("speed", __doc__))
    parser.add_argument("--rounds", type=at_least_1, default=3, help="measurements of each row (%(default)s)")
    parser.add_argument("--docs", action="store_true", help="also put the table into docs/speed.md")
    arguments = parser.parse_args()
    announce(arguments)
    missing = [name for name in ("envpool", "vizdoom") if importlib.util.find_spec(name) is None]
    if missing:
        extras = "pip install -c constraints.txt -e '.[benchmark,doom]'"
        if arguments.store or arguments.docs:
            raise UsageError(f"--store and --docs need every row, and {', '.join(missing)} is missing: {extras}")
        print(f"not installed: {', '.join(missing)}; their rows are left out; {extras} adds them")
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
                share = None
                if name in WORK:
                    configuration, work, peak = WORK[name]
                    share = medians[name] * multiply_adds(configuration, work) / medians[peak]
                table.append((group, label, medians[name], medians[name] / medians[rows[0][0]], share))
    group = "step 5, 64 x 4 episodes (agent steps/s)"
    for count, result in workers.items():
        speed = result["steps_per_second"]
        table.append((group, f"{count} worker{'s' * (count > 1)}", speed, speed / workers[1]["steps_per_second"], None))
    chapter_steps = 200 * 64 * 16 * 1000
    hours = chapter_steps / workers[2]["steps_per_second"] / 3600
    original_hours = 200 * ORIGINAL_SECONDS / 3600
    core_hours = original_hours * ORIGINAL_CORES
    group = "200 generations of 64 x 16 episodes of 1000 steps (core hours)"
    table.append(
        (group, f"the original, published: {original_hours:.0f} h on {ORIGINAL_CORES} cores", core_hours, 1.0, None)
    )
    table.append((group, f"here, projected: {hours:.1f} h on 2 cores", hours * 2, core_hours / (hours * 2), None))

    precision = compute.precision("auto")
    last = None
    print(f"\nproducts in {precision} where no row says otherwise")
    for group, label, value, ratio, share in table:
        if group != last:
            print(f"\n{group}")
        last = group
        print(f"  {label:52}{value:18,.0f}{ratio:10.2f} x" + (f"{share:8.0%} of the peak" if share else ""))
    print(f"\nstep 5, 2 workers: {workers[2]['outside_rollouts']:.1%} of the time is spent outside rollouts")
    store(
        arguments,
        "speed",
        {
            "rounds": arguments.rounds,
            "precision": precision,
            "table": [dict(zip(("group", "row", "value", "ratio", "share of the peak"), row)) for row in table],
            "step_5": workers,
            "measured": measured,
        },
    )
    if arguments.docs:
        into_docs(table, precision)


if __name__ == "__main__":
    cli.call(main)
