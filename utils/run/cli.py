"""What the scripts' command lines have in common: arguments, and how errors are shown."""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.evolution import ranks
from utils.run import config as configuration
from utils.run import provenance
from utils.run.config import Config
from utils.run.folder import STEPS, RunFolder, command, opened, same_arguments
from utils.system.errors import UsageError
from utils.system.files import disk_is_full
from utils.system.processes import open_standard_streams, stdout_is_gone
from utils.system.progress import Progress, duration

ROOT = Path(__file__).resolve().parents[2]
WATCHED = (2, 4)  # steps that write TensorBoard's logs while they work


def parser(description: str) -> argparse.ArgumentParser:
    """The parser of a numbered script; `description` is its docstring."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument(
        "--config",
        default=_default_config(),
        metavar="FILE",
        help="configuration of the run (%(default)s)",
    )
    result.add_argument("--quiet", action="store_true", help="say nothing but what went wrong")
    result.add_argument("overrides", nargs="*", metavar="key=value", help="settings that differ from the file")
    return result


def _default_config() -> str:
    """The one in the current folder, or else the project's own."""
    here = "config/carracing.yaml"
    return here if Path(here).exists() else shown(ROOT / here)


def shown(path: Path) -> str:
    """`path` as it has to be written here: relative to the working directory where it is inside."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def configured(parser: argparse.ArgumentParser) -> tuple[Config, argparse.Namespace]:
    """The configuration that the command line asks for, and its other arguments."""
    arguments = parser.parse_intermixed_args()
    if arguments.quiet:
        sys.stdout = open(os.devnull, "w")
        Progress.hidden = True
    return configuration.load(arguments.config, arguments.overrides), arguments


@contextmanager
def step(number: int, description: str) -> Iterator[tuple[Config, RunFolder, dict[str, str]]]:
    """Reads the command line of numbered script `number`, holds its run folder, checks what came before it.

    What the script writes into the dictionary is shown at the end.
    """
    config, _ = configured(parser(description))
    with opened(config, number) as run:
        provenance.check(config, run, number)
        if number in WATCHED:
            say_how_to_watch(config)
        results = {}
        with run.timed(number):
            yield config, run, results
        summarise(run, number, results)


def say_how_to_watch(config: Config) -> None:
    print(f"to watch it: {shlex.join(['tensorboard', '--logdir', config.runs_folder])}", flush=True)


def summarise(run: RunFolder, number: int, results: dict[str, str]) -> None:
    """The last lines of a numbered script: what came of it, how long it took in all, what to do next."""
    film, scores = run.path / "videos/agent.webp", run.path / "score.json"
    following = command(shown(ROOT / "render_agent.py"), run.path, "--random", "--film", film, "--json", scores)
    if number + 1 in STEPS:
        following = command(shown(ROOT / STEPS[number + 1][1]), *same_arguments())
    results = results | {
        "took": f"{duration(run.timings().get(number, 0))} in all",
        "next": following,
        "to see it": command("-m", "utils.figures", run.path),
    }
    print("\n" + "\n".join(f"  {name:14} {result}" for name, result in results.items()) + "\n", flush=True)


def call(main: Callable[[], int | None], timed: bool = True) -> None:
    """Runs a script's `main` and ends the process with the exit code that it returns; 2 and a line for bad input,
    130 for Ctrl-C, 141 when nobody reads its output any more. timed: says how long it took."""
    name, began = Path(sys.argv[0]).name, time.monotonic()
    open_standard_streams()
    try:
        code = main()
        if timed and not code and not ranks.inside_mpi():
            print(f"{name}: {time.monotonic() - began:.0f} s")
        sys.stdout.flush()
    except UsageError as error:
        for line in str(error).splitlines():
            print(f"{name}: {line}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and stdout_is_gone():
            print(f"{name}: nobody reads its output any more; run the same command again to go on", file=sys.stderr)
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
