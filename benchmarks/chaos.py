"""Is anything lost when processes are killed? Kills steps 1 to 5 again and again, and compares what they made.

    python -m benchmarks.chaos /tmp/chaos --kills 50 --store
    python -m benchmarks.chaos /tmp/chaos --kills 3 --steps 1 --config tests/tiny.yaml

Each step runs once in peace, in RUNS/calm, and once in RUNS/killed, from the same results of the steps before. There a
random process gets SIGKILL at a random moment: the script, one of its processes (an MPI rank, a process manager, a
collector), or all at once. The same command is given again until the step is done. For each kill:

- every process of the step has to be gone within GRACE seconds;
- a script that survives has to end with one line, without a traceback.

The results of the two are then compared, array by array. Steps 1, 2, 4 and 5 promise the same bits. Step 3 does not:
after a stop V encodes other frames together, and the last digits differ. `--config` takes any configuration; key=value
changes it. The exit code is 1 if something was lost or left behind. --store writes benchmarks/results/chaos.json.
"""

import csv
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from os import kill
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from benchmarks.report import announce, at_least_1, command, store, with_store
from benchmarks.soak_parts import descendants
from utils.run import cli, config
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.errors import UsageError

GRACE = 30  # MPICH's manager looks after its ranks every few seconds
CLOSE = 1e-4  # mu and logvar of step 3
VICTIMS = ("script", "one", "all")
SMALL = ["max_trials=30", "max_frames=150", "vae_num_epoch=0.5", "rnn_num_steps=80", "rnn_max_seq_len=50"]
SMALL += ["controller_num_generation=20", "controller_max_frames=150", "controller_eval_episode=4"]
SMALL += ["checkpoint_seconds=3"]


class Process(NamedTuple):
    pid: int
    started: str  # distinguishes it from a later process of the same number


def _process(pid: int) -> Process | None:
    """None if it has ended."""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else Process(pid, rest[18])


def _family(pid: int) -> list[Process]:
    """The script, and all its processes."""
    return [found for one in (pid, *descendants(pid)) if (found := _process(one))]


def _start(step: Step, settings: list[str], log: Path) -> subprocess.Popen:
    with open(log, "ab") as file:
        return subprocess.Popen(
            [sys.executable, str(cli.ROOT / step.script), *settings, "--brief"], stdout=file, stderr=file,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip


def kill_at_random(process: subprocess.Popen, wait: float, victim: str, rng: random.Random) -> list[Process] | None:
    """Kills after `wait` seconds. Returns the processes of that moment, or None if the script was done before."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(wait)
        return None
    family = _family(process.pid)
    chosen = {"script": family[:1], "one": [rng.choice(family[1:] or family)], "all": family}[victim]
    for one in chosen:
        with suppress(ProcessLookupError):
            kill(one.pid, signal.SIGKILL)
    return family


def left_behind(process: subprocess.Popen, family: list[Process]) -> list[Process]:
    """Processes that are still there after GRACE seconds. They are killed then."""
    end = time.monotonic() + GRACE
    while alive := [one for one in family if process.poll() is None or _process(one.pid) == one]:
        if time.monotonic() > end:
            for one in alive:
                with suppress(ProcessLookupError):
                    kill(one.pid, signal.SIGKILL)
            process.wait()
            return alive
        time.sleep(0.05)
    return []


def torment(step: Step, settings: list[str], seconds: float, kills: int, rng: random.Random, log: Path) -> dict:
    """Does a step under `kills` kills.

    seconds: that it takes in peace.
    """
    done: dict[str, int] = dict.fromkeys(VICTIMS, 0)
    left = starts = 0
    while True:
        starts += 1
        process = _start(step, settings, log)
        if sum(done.values()) == kills:
            if process.wait():
                raise UsageError(f"{step.script} did not finish; the end of {log} says why")
            break
        victim = VICTIMS[sum(done.values()) % len(VICTIMS)]
        family = kill_at_random(process, rng.uniform(0.3, seconds), victim, rng)
        if family is None:
            if process.returncode:
                raise UsageError(f"{step.script} ended by itself with {process.returncode}; {log} says why")
            break
        done[victim] += 1
        left += len(left_behind(process, family))
    tracebacks = log.read_text(errors="replace").count("Traceback (most recent call last)")
    log.unlink()
    return done | {"finished": 1, "starts": starts, "left_behind": left, "tracebacks": tracebacks}


def _arrays(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """What a step has made, by file and name, without times and pictures."""
    for path in sorted(folder.rglob("*.npz")):
        if path.name not in ("state.npz",) and "populations" not in path.parts:
            with np.load(path, allow_pickle=False) as file:
                yield from ((f"{path.name}: {name}", file[name]) for name in file.files)
    for path in sorted(folder.glob("*.h5")):
        with h5py.File(path) as weights:
            found: list[tuple[str, np.ndarray]] = []
            weights.visititems(lambda name, part, found=found: found.append((name, part)))
            yield from ((f"{path.name}: {name}", part[()]) for name, part in found if isinstance(part, h5py.Dataset))
    for path in sorted(folder.glob("fitness.csv")):
        with open(path, newline="") as file:
            yield path.name, np.array(list(csv.reader(file)))


def _difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest one of a number. Infinite of arrays that are no numbers, or not of one shape."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype or ours.dtype.kind not in "fiu":
        return float("inf")
    return float(np.abs(ours.astype(float) - theirs).max())


def compare(calm: Path, killed: Path, row: dict) -> None:
    """Adds to `row` how many arrays were compared, how many of them differ, and the largest difference of a number."""
    ours, theirs = dict(_arrays(killed)), dict(_arrays(calm))
    if ours.keys() != theirs.keys():
        raise UsageError(f"{killed}: {sorted(ours.keys() ^ theirs.keys())[:3]} in one of the two alone")
    differing = [name for name in ours if not np.array_equal(ours[name], theirs[name])]
    largest = max((_difference(ours[name], theirs[name]) for name in differing), default=0.0)
    for key, count in ("arrays", len(ours)), ("differing", len(differing)):
        row[key] = row.get(key, 0) + count
    row["largest_difference"] = max(row.get("largest_difference", 0.0), largest)


def main() -> int:
    parser = with_store(command("chaos", __doc__))
    parser.add_argument("runs", type=Path, metavar="RUNS", help="an empty or new folder")
    parser.add_argument("--kills", type=at_least_1, default=50, help="in all (%(default)s)")
    parser.add_argument(
        "--config", default=str(cli.ROOT / "config/quickstart.yaml"), metavar="FILE", help="(%(default)s)"
    )
    parser.add_argument(
        "--steps", type=int, nargs="+", choices=list(map(int, Step)), default=list(map(int, Step)), metavar="N",
        help="that are killed (all)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of moments and victims (%(default)s)")
    cli.offer_overrides(parser, f"settings to change, after {' '.join(SMALL)} for config/quickstart.yaml")
    words, overrides = cli.overrides_apart()
    arguments = parser.parse_args(words)
    announce(arguments)
    if arguments.runs.exists() and any(arguments.runs.iterdir()):
        raise UsageError(f"{arguments.runs} is not empty")
    rng, rows = random.Random(arguments.seed), {}
    small = SMALL if arguments.config.endswith("config/quickstart.yaml") else []
    settings = ["--config", arguments.config, *small, *overrides]
    name = config.load(arguments.config, [*small, *overrides]).exp_name
    calm, killed = (RunFolder(arguments.runs / which / name) for which in ("calm", "killed"))
    killed_steps = sorted(set(arguments.steps))[: arguments.kills]
    for step in list(Step)[: killed_steps[-1]]:
        log = arguments.runs / f"{step.script}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        if _start(step, [*settings, f"runs_folder={calm.path.parent}"], log).wait():
            raise UsageError(f"{step.script} failed in peace; {log} says why")
        seconds = time.monotonic() - began
        log.unlink()
        if step in killed_steps:
            row = rows[step.script] = {"seconds_in_peace": round(seconds, 1)}
            kills = len(range(killed_steps.index(step), arguments.kills, len(killed_steps)))
            of_killed = [*settings, f"runs_folder={killed.path.parent}"]
            while left := kills - sum(row.get(victim, 0) for victim in VICTIMS):  # it may be done before all kills
                shutil.rmtree(killed.step_folder(step), ignore_errors=True)
                for key, count in torment(step, of_killed, seconds, left, rng, log).items():
                    row[key] = row.get(key, 0) + count
                compare(calm.step_folder(step), killed.step_folder(step), row)
            print(f"{step.script:26} {row}", flush=True)
        shutil.rmtree(killed.step_folder(step), ignore_errors=True)  # later steps begin with the same bits
        shutil.copytree(calm.step_folder(step), killed.step_folder(step))
    wrong = [
        script for script, row in rows.items()
        if row["left_behind"] or row["tracebacks"]
        or (row["largest_difference"] > CLOSE if script == Step.SERIES.script else row["differing"])
    ]  # fmt: skip
    total = sum(row[victim] for row in rows.values() for victim in VICTIMS)
    print(f"{total} kills; " + (f"wrong: {', '.join(wrong)}" if wrong else "nothing lost, nothing left behind"))
    if arguments.store and wrong:
        raise UsageError("not stored: something was lost or left behind")
    store(arguments, "chaos", {"kills": total, "grace_seconds": GRACE, "steps": rows})
    return bool(wrong)


if __name__ == "__main__":
    cli.call(main)
