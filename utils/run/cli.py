"""The command lines of all scripts: arguments, errors, the lines at the end.

As a program it tells the Makefile the run folder of a configuration, or the extra that its environment needs:

python -m utils.run.cli config/quickstart.yaml run
python -m utils.run.cli config/doom_quickstart.yaml extra
"""

import argparse
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from utils.environments import get_spec
from utils.run import config as configuration
from utils.run import provenance
from utils.run.config import Config
from utils.run.folder import RunFolder, command, opened, same_arguments
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.files import disk_is_full
from utils.system.processes import inside_mpi, open_standard_streams, stdout_is_gone
from utils.system.progress import Progress, duration

ROOT = Path(__file__).resolve().parents[2]
WATCHED = (Step.VAE, Step.RNN, Step.CONTROLLER)  # steps that write TensorBoard's logs while they work


def parser(description: str) -> argparse.ArgumentParser:
    """The parser of a numbered script. description: its docstring."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument(
        "--config", default=_default_config(), metavar="FILE", help="configuration of the run (%(default)s)"
    )
    result.add_argument("--quiet", action="store_true", help="print errors only")
    result.add_argument("--brief", action="store_true", help="leave out what to do next")
    result.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change")
    return result


def offer_overrides(parser: argparse.ArgumentParser, which: str) -> None:
    """Shows in the help that a program, or a study of it, takes `key=value` as well. which: what these settings are."""
    parser.usage = f"{parser.format_usage().removeprefix('usage: ').rstrip()} [key=value ...]"
    parser.epilog = f"key=value: {which}"


def overrides_apart() -> tuple[list[str], list[str]]:
    """The words of the command line without `key=value`, for argparse, and the `key=value` alone.

    Behind an option argparse would lose optional positionals, or take them for the option's values.
    """
    overrides = [word for word in sys.argv[1:] if re.match(r"\w+=", word)]
    return [word for word in sys.argv[1:] if word not in overrides], overrides


def step_command(step: Step, config: str | Path, overrides: Sequence[str], workers: int | None = None) -> list[str]:
    """The words of a step's command, for `subprocess`. workers: of step 5. None for as many as it has cores."""
    count = ["--workers", str(workers)] if step == Step.CONTROLLER and workers is not None else []
    return [sys.executable, str(ROOT / step.script), "--config", str(config), *overrides, *count]


def check_at_least(least: int, arguments: argparse.Namespace, *names: str) -> None:
    """Raises `UsageError` if one of these options is given and below `least`."""
    for name in names:
        if (value := getattr(arguments, name, None)) is not None and value < least:
            raise UsageError(f"--{name} {value}: at least {least} is needed")


def _default_config() -> str:
    """The one in the current folder, otherwise the project's own."""
    here = "config/carracing.yaml"
    return here if Path(here).exists() else shown(ROOT / here)


def shown(path: Path) -> str:
    """`path`, relative to the working directory if it is inside."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def configured(parser: argparse.ArgumentParser) -> tuple[Config, argparse.Namespace]:
    """The configuration of the command line, and its other arguments."""
    arguments = parser.parse_intermixed_args()
    if arguments.quiet:
        sys.stdout = open(os.devnull, "w")
        Progress.hidden = True
    return configuration.load(arguments.config, arguments.overrides), arguments


@contextmanager
def step(step: Step, description: str) -> Iterator[tuple[Config, RunFolder, dict[str, str]]]:
    """Reads the command line of a step, locks its folder and checks the earlier steps.

    Yields the configuration, the run and a dictionary of results, which is printed at the end.
    """
    config, arguments = configured(parser(description))
    with opened(config, step) as run:
        provenance.check(config, run, step)
        announce(config, step, description, arguments.brief)
        results: dict[str, str] = {}
        with run.timed(step):
            yield config, run, results
        summarise(run, step, results, arguments.brief)


def announce(config: Config, step: Step, description: str | None, brief: bool) -> None:
    """Prints the first lines of a numbered script: which step this is, and how to watch it.

    description: its docstring. brief: leave out how to watch it.
    """
    first = (description or "").partition("\n")[0]
    print(first.replace(f"Step {step:d}", f"Step {step:d} of {len(Step)}"), flush=True)
    if step in WATCHED and not brief:
        print(f"to watch it: {shlex.join(['tensorboard', '--logdir', config.runs_folder])}", flush=True)


def summarise(run: RunFolder, step: Step, results: dict[str, str], brief: bool) -> None:
    """Prints the last lines of a numbered script: its results, its duration, what to do next unless it is `brief`."""
    film, scores = run.path / "videos/agent.webp", run.path / "score.json"
    following = command(shown(ROOT / "render_agent.py"), run.path, "--random", "--film", film, "--json", scores)
    if step != Step.CONTROLLER:
        following = command(shown(ROOT / Step(step + 1).script), *same_arguments())
    results = results | {"took": f"{duration(run.timings().get(step, 0))} in all"}
    if not brief:
        results |= {"next": following, "to see it": command("-m", "utils.figures", run.path)}
    print("\n" + "\n".join(f"  {name:14} {result}" for name, result in results.items()) + "\n", flush=True)


def call(main: Callable[[], int | None], timed: bool = True) -> None:
    """Runs the `main` of a script and ends the process with its exit code.

    Bad input ends it with a line and code 2, Ctrl-C with 130, a closed output (`| head`) with 141.

    timed: print the duration.
    """
    name, began = Path(sys.argv[0]).name, time.monotonic()
    open_standard_streams()
    try:
        code = main()
        if timed and not code and not inside_mpi():
            print(f"{name}: {time.monotonic() - began:.0f} s")
        sys.stdout.flush()
    except UsageError as error:
        for line in str(error).splitlines():
            print(f"{name}: {line}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and stdout_is_gone():
            print(f"{name}: its output was closed; run the same command again to go on", file=sys.stderr)
            sys.exit(141)
        if disk_is_full(error):
            print(f"{name}: the disk is full; free some space and run the same command again", file=sys.stderr)
        elif isinstance(error, OSError) and error.filename:
            print(f"{name}: {error.filename}: {error.strerror}", file=sys.stderr)
        else:
            raise
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"\n{name}: stopped; run the same command again to go on from here", file=sys.stderr)
        sys.exit(130)
    sys.exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m utils.run.cli", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", metavar="CONFIG")
    parser.add_argument("what", choices=("run", "extra"))
    arguments = parser.parse_args()
    config = configuration.load(arguments.config)
    run = Path(config.runs_folder) / config.exp_name
    print(run if arguments.what == "run" else get_spec(config.env_name).pip_extra or "")


if __name__ == "__main__":
    call(main, timed=False)
