"""What tests share: scripts run for real, in processes of their own, on the tiny configuration."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from utils.run.steps import Step
from utils.system.files import locked

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "tiny.yaml"
MPIEXEC = str(Path(sys.executable).parent / "mpiexec")


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


def run_ranks(count: int, code: str) -> subprocess.CompletedProcess:
    """Runs Python code in each of `count` MPI ranks."""
    command = [MPIEXEC, "-n", str(count), sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def call_here(program: str, *arguments: str) -> subprocess.CompletedProcess:
    """`call` in this process, which has loaded TensorFlow: for what a program does, not for how it starts and ends.

    program: a script, or the name of a module.
    """
    out, error, environment = io.StringIO(), io.StringIO(), dict(os.environ)
    script = str(ROOT / program)
    try:
        with contextlib.ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(sys, "argv", [script, *map(str, arguments)])
            patch.setattr(sys, "path", [*sys.path])
            patch.chdir(ROOT)
            stack.enter_context(contextlib.redirect_stdout(out))
            stack.enter_context(contextlib.redirect_stderr(error))
            end = stack.enter_context(pytest.raises(SystemExit))
            if program.endswith(".py"):
                runpy.run_path(script, run_name="__main__")
            else:
                stack.enter_context(warnings.catch_warnings(action="ignore"))  # runpy's, of modules imported already
                runpy.run_module(program, run_name="__main__")
    finally:
        os.environ.clear()
        os.environ.update(environment)
    return subprocess.CompletedProcess([program, *arguments], end.value.code or 0, out.getvalue(), error.getvalue())


def step_here(script: str, runs: Path, *overrides: str) -> subprocess.CompletedProcess:
    """`step` in this process. Step 5 as well: without ranks."""
    alone = ("--workers", "0") if script == Step.CONTROLLER.script else ()
    return call_here(script, "--config", str(TINY), f"runs_folder={runs}", *alone, *overrides)


def all_steps_here(runs: Path, *overrides: str) -> subprocess.CompletedProcess:
    """All five steps in this process. Returns what became of the last."""
    for each in Step:
        done = step_here(each.script, runs, *overrides)
        assert done.returncode == 0, done.stderr
    return done


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
