"""Alternate: C plays, V and M learn from what it met, C learns in the new dream. Chapter, "Iterative Training".

Each round does the five steps of its FILE, and rounds without one those of the last FILE. Each but the first is a run
that goes on from the round before: its `max_trials` and `encoded_trials` are new episodes, beside those that it takes
over, and its `exp_name` and `previous_run` are set here. Where V trains on (`vae_num_epoch` above 0), encoded episodes
of the round before are of no use and not taken over. The same command goes on after a stop.

reads   each FILE
writes  runs/<exp_name>, runs/<exp_name>_2, ...: as the five scripts
        runs/<exp_name>/rounds.csv, rounds.png: scores in the dream and in the real environment, round after round

examples
  python iterate.py config/doom_laptop.yaml config/doom_laptop_next.yaml
  python iterate.py config/doom_laptop.yaml config/doom_laptop_next.yaml --rounds 3 exp_name=doom_seed_1 seed=1
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from utils.run import cli, rounds
from utils.run import config as configuration
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.processes import usable_cores


def main() -> int:
    arguments = _arguments()
    files = arguments.files + arguments.files[-1:] * (arguments.rounds - len(arguments.files))
    settings = rounds.settings(files[: arguments.rounds], arguments.overrides)
    configs = [configuration.load(path, overrides) for path, overrides in settings]  # mistakes come before any work
    for number, ((path, overrides), config) in enumerate(zip(settings, configs), 1):
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
    parser.usage = f"{parser.format_usage().removeprefix('usage: ').rstrip()} [key=value ...]"
    parser.epilog = "key=value: settings to change in all rounds"
    overrides = [word for word in sys.argv[1:] if re.match(r"\w+=", word)]
    arguments = parser.parse_intermixed_args([word for word in sys.argv[1:] if word not in overrides])
    arguments.overrides = overrides
    arguments.rounds = len(arguments.files) if arguments.rounds is None else arguments.rounds
    for name in ("rounds", "workers"):
        if getattr(arguments, name) < 1:
            raise UsageError(f"--{name} {getattr(arguments, name)}: at least 1 is needed")
    return arguments


if __name__ == "__main__":
    cli.call(main)
