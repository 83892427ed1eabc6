"""What tests share: scripts run for real, in processes of their own, on the tiny configuration."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from utils.system.files import locked

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "tiny.yaml"


def command(script: str, *arguments: str, prefix: tuple[str, ...] = ()) -> list[str]:
    return [*prefix, sys.executable, str(ROOT / script), *map(str, arguments)]


def children(pid: int) -> list[str]:
    """Of all its threads."""
    return [
        child for of_thread in Path(f"/proc/{pid}/task").glob("*/children") for child in of_thread.read_text().split()
    ]


def call(script: str, *arguments: str, prefix: tuple[str, ...] = (), **options) -> subprocess.CompletedProcess:
    """Runs a script from the project's root to its end. options: of `subprocess.run`."""
    return subprocess.run(
        command(script, *arguments, prefix=prefix), cwd=ROOT, capture_output=True, text=True, timeout=180, **options
    )


def step(script: str, runs: Path, *overrides: str, **options) -> subprocess.CompletedProcess:
    """Runs a numbered script on the tiny configuration with its run folder under `runs`."""
    return call(script, "--config", str(TINY), f"runs_folder={runs}", *overrides, **options)


def mounted(folder: str | Path, options: str) -> tuple[str, ...]:
    """A `prefix` of a command that gives it, and nobody else, an empty file system at `folder`."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no `unshare -rm`: this system lets nobody mount a file system of one's own")
    return "unshare", "-rm", "sh", "-c", f'mount -t tmpfs -o {options} tmpfs {folder} && exec "$@"', "sh"


def shared(tmp_path_factory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first test process to want it makes, and all of this test run read."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with locked(folder.with_name(f"making_{name}"), patience=300):
        if not folder.with_suffix(".made").exists():
            make(folder)
            folder.with_suffix(".made").touch()
    return folder
