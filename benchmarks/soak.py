"""Does long work leak memory? Measures the growth of memory per unit of work, for each part of the project.

    python -m benchmarks.soak                      two minutes for each part, about 20 in all
    python -m benchmarks.soak --seconds 30 --parts car_racing dream

Each part runs in its own process on a tiny run, since leaks do not depend on the sizes of the networks. The memory of
the process and its children is read after each unit of work. The first third is ignored, because caches fill then.
Growth is the slope of a line through the rest. --store writes benchmarks/results/soak.json.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import announce, command, store, with_store
from benchmarks.soak_parts import PARTS, descendants
from utils.run import cli
from utils.run.folder import RunFolder
from utils.system.errors import UsageError

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests/tiny.yaml"
GENERATIONS = 2000  # evolution_log runs for at least so many


class TimeIsUp(Exception):
    pass


def _memory(pid: int) -> float:
    """Memory of a process and its descendants, in MB."""
    total = 0
    for one in (pid, *descendants(pid)):
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except FileNotFoundError:
            continue
    return total / 1e6


def measure(name: str, folder: Path, seconds: float) -> dict[str, float]:
    """Runs a part for `seconds`. Returns the columns of the table."""
    times, memory, began = [], [], time.monotonic()

    def tick() -> None:
        now = time.monotonic() - began
        if not times or now - times[-1][1] > seconds / 1000 or name == "evolution_log":
            memory.append(_memory(os.getpid()))
            times.append((ticks[0], now))
        ticks[0] += 1
        if now > seconds and (name != "evolution_log" or ticks[0] >= GENERATIONS):
            raise TimeIsUp

    ticks = [0]
    with contextlib.suppress(TimeIsUp):
        PARTS[name](RunFolder(folder), tick)
    units, when = np.array(times).T
    rest = slice(len(units) // 3, None)
    slope = np.polyfit(units[rest], np.array(memory)[rest], 1)[0] if len(units[rest]) > 2 else float("nan")
    last = slice(-max(2, len(units) // 20), None)
    return {
        "units": ticks[0],
        "mb_at_a_third": round(memory[rest][0], 1),
        "mb_at_the_end": round(memory[-1], 1),
        "kb_per_unit": round(1000 * float(slope), 2),
        "seconds_per_unit_at_the_end": round(float(np.ptp(when[last]) / np.ptp(units[last])), 4),
    }


def _make_run(runs: Path, *settings: str) -> Path:
    """A tiny run, steps 1 to 4. Returns its folder."""
    for script in ("01_generate_data.py", "02_train_vae.py", "03_generate_rnn_data.py", "04_train_rnn.py"):
        script_command = [sys.executable, str(ROOT / script), "--config", str(TINY), "--quiet", f"runs_folder={runs}"]
        if subprocess.run([*script_command, *settings], cwd=ROOT).returncode:
            raise UsageError(f"{script} failed on {TINY}; the lines above say why")
    return runs / "tiny"


def main() -> None:
    parser = with_store(command("soak", __doc__))
    parser.add_argument("--seconds", type=float, default=120, help="for each part (%(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, folder = arguments.one
        print(json.dumps(measure(name, Path(folder), arguments.seconds)))
        return
    if arguments.store and set(arguments.parts) != set(PARTS):
        raise UsageError("--store keeps a run of all parts: leave --parts out")
    announce(arguments)
    rows = {}
    with tempfile.TemporaryDirectory(prefix="soak_") as runs:
        folder = _make_run(Path(runs))
        print(f"{'part':18} {'units':>8} {'MB third':>8} {'MB end':>8} {'KB/unit':>10} {'s/unit':>9}   unit")
        for name in arguments.parts:
            part = [sys.executable, "-m", "benchmarks.soak", "--seconds", str(arguments.seconds)]
            done = subprocess.run([*part, "--one", name, str(folder)], cwd=ROOT, capture_output=True, text=True)
            if done.returncode:
                raise UsageError(f"{name} failed:\n{done.stderr.strip()}")
            row = json.loads(done.stdout.splitlines()[-1])
            rows[name] = {"unit": PARTS[name].__doc__, **row}
            print(
                f"{name:18} {row['units']:8} {row['mb_at_a_third']:8.0f} {row['mb_at_the_end']:8.0f} "
                f"{row['kb_per_unit']:10.2f} {row['seconds_per_unit_at_the_end']:9.4f}   {PARTS[name].__doc__}",
                flush=True,
            )
    store(arguments, "soak", {"seconds": arguments.seconds, "parts": rows})


if __name__ == "__main__":
    cli.call(main, timed=False)
