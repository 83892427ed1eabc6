"""Command lines of the benchmarks, and their results.

Results are `benchmarks/results/*.json`, with a description of the machine. They are committed, so a benchmark writes
them only with `--store`.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from utils.agent.controllers import agent_fingerprint
from utils.run import cli
from utils.run.folder import RunFolder
from utils.system.errors import UsageError
from utils.system.files import write_json
from utils.system.processes import usable_cores

RESULTS = Path(__file__).parent / "results"


def command(name: str, description: str | None) -> argparse.ArgumentParser:
    """The parser of `python -m benchmarks.NAME`. description: its docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def with_store(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds `--store`."""
    parser.add_argument("--store", action="store_true", help="write the results to benchmarks/results at the end")
    return parser


def at_least_1(text: str) -> int:
    """An argparse type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: a whole number of at least 1 is needed")
    return int(text)


def announce(arguments: argparse.Namespace) -> None:
    """Says before the first measurement if nothing will be stored."""
    if not arguments.store:
        print("results are printed only; --store writes them to benchmarks/results as well", file=sys.stderr)


def scores_of_agent(path: Path, into: Path, episodes: int, seed: int, *options: str) -> dict:
    """What `render_agent.py` says of a run's agent, written into a file.

    Plays only if the file does not hold these episodes of this very agent; a file belongs to one choice of `options`.
    Raises `UsageError` if `render_agent.py` fails.
    """
    if into.exists():
        run, report = RunFolder(path), json.loads(into.read_text())
        seeds = [episode["seed"] for episode in report["agent"]["episodes"]]
        same_agent = report.get("fingerprint") == agent_fingerprint(run.read_config(), run)
        if same_agent and seeds == list(range(seed, seed + episodes)):
            return report["agent"]
    words = [sys.executable, str(cli.ROOT / "render_agent.py"), str(path), "--json", str(into), *options]
    if subprocess.run([*words, "--episodes", str(episodes), "--seed", str(seed)]).returncode:
        raise UsageError(f"render_agent.py failed for {path}; the line above says why")
    return json.loads(into.read_text())["agent"]


def machine() -> dict:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        flags = next(line for line in lines if line.startswith("flags"))
    except (OSError, StopIteration):
        model, flags = platform.processor(), ""
    return {
        "processor": model,
        "cores": usable_cores(),
        "bfloat16": [name for name in ("avx512_bf16", "amx_bf16") if name in flags],
        "system": platform.platform(),
        "python": platform.python_version(),
        "gymnasium": metadata.version("gymnasium"),
    }


def store(arguments: argparse.Namespace, name: str, content: dict) -> None:
    """Writes all results, if `arguments.store` is set."""
    if not arguments.store:
        print("not stored; --store does that")
        return
    path = RESULTS / f"{name}.json"
    write_json(path, {"machine": machine(), **content})
    print(f"stored in {path}")


def into_docs(table: list[tuple[str, str, float, float, float | None]], precision: str) -> None:
    """Replaces the first table of docs/speed.md.

    table: rows of (group, row, value, ratio, share of the processor's peak if known).
    precision: of all products where a row says nothing else.
    """
    lines = [f"| products in {precision} | a second (or as said) | ratio | of the peak |", "| --- | --- | --- | --- |"]
    last = None
    for group, row, value, ratio, share in table:
        if group != last:
            lines.append(f"| **{group}** | | | |")
        last = group
        shown = f"{value:,.{1 if value < 100 else 0}f}", f"{ratio:,.{2 if ratio < 10 else 0}f} x"
        lines.append(f"| {row} | {shown[0]} | {shown[1]} | {f'{share:.0%}' if share else ''} |")
    page = RESULTS.parent.parent / "docs/speed.md"
    before, rest = re.split(r"^\| products in .*\n", page.read_text(), maxsplit=1, flags=re.MULTILINE)
    page.write_text(before + "\n".join(lines) + "\n\n" + rest.split("\n\n", 1)[1])
