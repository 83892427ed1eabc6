"""Alternate: C plays, V and M learn from what it met, C learns in the new dream. Chapter, "Iterative Training".

Each round does the five steps with its own FILE. If there are more rounds than files, the last FILE is used again.
Every later round is a run that goes on from the round before. Its `max_trials` and `encoded_trials` count new episodes;
the old ones are taken over. Its `exp_name` and `previous_run` are set here. Where V trains on (`vae_num_epoch` above
0), encoded episodes of the round before are of no use and not taken over. The same command goes on after a stop.

reads   each FILE
writes  runs/<exp_name>, runs/<exp_name>_2, ...: as the five scripts
        runs/<exp_name>/rounds.csv, rounds.png: scores in the dream and in the real environment, round after round

examples
  python iterate.py config/doom_laptop.yaml config/doom_laptop_next.yaml
  python iterate.py config/doom_laptop.yaml config/doom_laptop_next.yaml --rounds 3 exp_name=doom_seed_1 seed=1
"""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from utils.run import cli, rounds
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.processes import usable_cores


def main() -> int:
    arguments = _arguments()
    files = arguments.files + arguments.files[-1:] * (arguments.rounds - len(arguments.files))
    planned = rounds.plan(files[: arguments.rounds], arguments.overrides)  # mistakes come before any work
    runs = [rounds.run_of(config) for *_, config in planned]
    for number, ((path, overrides, config), run) in enumerate(zip(planned, runs), 1):
        if not rounds.is_finished(run, config):
            print(f"round {number} of {arguments.rounds}: {run.path}", flush=True)
            for step in Step:
                command = cli.step_command(step, path, overrides, arguments.workers)
                if code := subprocess.run(command).returncode:
                    return code
        _report(runs[:number])
    return 0


def _report(runs: list[RunFolder]) -> None:
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
    parser.add_argument("files", nargs="+", metavar="FILE", help="configuration of a round")
    parser.add_argument("--rounds", type=int, metavar="N", help="in all (as many as there are files)")
    parser.add_argument("--workers", type=int, default=usable_cores(), metavar="N", help="of step 5 (%(default)s)")
    cli.offer_overrides(parser, "settings to change in all rounds")
    words, overrides = cli.overrides_apart()
    arguments = parser.parse_intermixed_args(words)
    arguments.overrides = overrides
    arguments.rounds = len(arguments.files) if arguments.rounds is None else arguments.rounds
    cli.check_at_least(1, arguments, "rounds")
    cli.check_at_least(0, arguments, "workers")
    return arguments


if __name__ == "__main__":
    cli.call(main)
