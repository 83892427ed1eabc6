"""Alternate: C plays, V and M learn from what it met, C learns in the new dream. Chapter, "Iterative Training".

Round 1 does the five steps of FIRST. Each later round does those of NEXT in a run that goes on from the round before:
its `max_trials` and `encoded_trials` are new episodes, beside those that are taken over, and its `exp_name` and
`previous_run` are set here. The same command goes on after a stop.

reads   FIRST, NEXT
writes  runs/<exp_name>, runs/<exp_name>_2, ...: as the five scripts
        runs/<exp_name>/rounds.csv, rounds.png: scores in the dream and in the real environment, round after round

examples
  python iterate.py config/doom_laptop.yaml config/doom_laptop_next.yaml --rounds 2
  python iterate.py config/doom_laptop.yaml config/doom_laptop_next.yaml --rounds 3 exp_name=doom_seed_1 seed=1
"""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from utils.run import cli, rounds
from utils.run import config as configuration
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.processes import usable_cores


def main() -> int:
    arguments = _arguments()
    first = rounds.settings(arguments.first, arguments.next, arguments.overrides, arguments.rounds)
    configs = [configuration.load(path, overrides) for path, overrides in first]  # all mistakes come before any work
    for number, ((path, overrides), config) in enumerate(zip(first, configs), 1):
        run = rounds.run_of(config)
        if not rounds.is_finished(run, config):
            print(f"round {number} of {arguments.rounds}: {run.path}", flush=True)
            for step in Step:
                workers = ["--workers", str(arguments.workers)] if step == Step.CONTROLLER else []
                script = str(cli.ROOT / step.script)
                code = subprocess.run([sys.executable, script, "--config", path, *overrides, *workers]).returncode
                if code:
                    return code
        _report([rounds.run_of(done) for done in configs[:number]])
    return 0


def _report(runs: list) -> None:
    """Writes the log and the picture of the rounds that are done, and prints the last one."""
    from utils.figures.dream_scores import save_rounds
    from utils.system.files import write_csv

    rows = rounds.table(runs)
    path = runs[0].path / "rounds.csv"
    write_csv(path, rows[0], (row.values() for row in rows))
    save_rounds(rows, [rounds.curve(run) for run in runs], path.with_suffix(".png"))
    last = rows[-1]
    print(
        "round {round}, {minutes:.0f} minutes: C scores {dream_mean:.0f} +- {dream_std:.0f} in the dream, "
        "{real_mean:.0f} +- {real_std:.0f} in the real environment, after generation {generation:.0f}; ".format(**last)
        + f"{path.with_suffix('.png')}",
        flush=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", metavar="FIRST", help="configuration of the first round")
    parser.add_argument("next", metavar="NEXT", help="configuration of each later round")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="in all (%(default)s)")
    parser.add_argument("--workers", type=int, default=usable_cores(), metavar="N", help="of step 5 (%(default)s)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change in both")
    arguments = parser.parse_intermixed_args()
    for name in ("rounds", "workers"):
        if getattr(arguments, name) < 1:
            raise UsageError(f"--{name} {getattr(arguments, name)}: at least 1 is needed")
    return arguments


if __name__ == "__main__":
    cli.call(main)
