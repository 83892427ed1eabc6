"""What does a configuration cost? Runs its five steps and measures time, memory and disk of each.

    python -m benchmarks.costs config/quickstart.yaml --store
    python -m benchmarks.costs config/carracing_laptop.yaml exp_name=seed_1 seed=1 --store

Steps that are done are not repeated, and one that was stopped goes on, so a run of many hours may be stopped and
measured on with the same command. Memory is the most that a step and its processes have held at once (memory that
several share is counted once), looked at each second, or less often where a look takes long. RUN/costs.json keeps it.
Time is that of RUN/timings.json.
--store writes benchmarks/results/costs/NAME.json for a run called NAME.
"""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.report import announce, command, store, with_store
from benchmarks.soak_parts import descendants
from utils.run import cli, config, rounds
from utils.run.overview import folder_size
from utils.run.steps import Step
from utils.system.files import write_json
from utils.system.progress import duration

PAUSE = 200  # times as long as a look: the kernel counts gigabytes for a tenth of a second, on a core that a step lacks


def held_memory(pid: int) -> float:
    """Memory of a process and its descendants in MB. Shared pages are counted once."""
    total = 0
    for one in (pid, *descendants(pid)):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1e3


def run_and_watch(words: list[str]) -> tuple[int, float]:
    """Runs a command to its end. Returns its exit code, and the most memory that it held, in MB."""
    process, most = subprocess.Popen(words), 0.0
    try:
        while process.poll() is None:
            began = time.monotonic()
            most = max(most, held_memory(process.pid))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(1, PAUSE * (time.monotonic() - began)))
    except KeyboardInterrupt:
        process.wait()  # it has got Ctrl-C as well, and ends in good order
    return process.returncode, most


def main() -> int:
    parser = with_store(command("costs", __doc__))
    parser.add_argument("config", metavar="FILE", help="configuration")
    parser.add_argument("--workers", type=int, help="of step 5: one for each core if not given")
    cli.offer_overrides(parser, "settings to change")
    words, overrides = cli.overrides_apart()
    arguments = parser.parse_args(words)
    announce(arguments)
    settings = config.load(arguments.config, overrides)
    run = rounds.run_of(settings)
    path = run.path / "costs.json"
    for step in Step:
        code, memory = run_and_watch(cli.step_command(step, arguments.config, overrides, arguments.workers))
        peaks = json.loads(path.read_text()) if path.exists() else {}
        if run.path.exists():
            write_json(path, peaks | {str(int(step)): max(round(memory), peaks.get(str(int(step)), 0))})
        if code:
            return code
    peaks, seconds = json.loads(path.read_text()), run.timings()
    costs = {
        step.script: {
            "seconds": seconds[step],
            "memory_mb": peaks[str(int(step))],
            "disk_mb": round(folder_size(run.step_folder(step)) / 1e6, 1),
        }
        for step in Step
    }
    for script, cost in costs.items():
        told = f"{cost['memory_mb']:8,} MB memory {cost['disk_mb']:10,} MB disk"
        print(f"{script:26} {duration(cost['seconds']):>16} {told}")
    store(arguments, f"costs/{settings.exp_name}", {"command": ["benchmarks.costs", *sys.argv[1:]], "steps": costs})
    return 0


if __name__ == "__main__":
    cli.call(main)
