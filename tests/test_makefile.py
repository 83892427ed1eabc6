"""The Makefile's virtual environment, made in a temporary folder. pip installs nothing into it: that takes a minute."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.helpers import ROOT


def make(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    outer = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "PYTHON")  # of `make test`, which may run this
    env = {name: value for name, value in os.environ.items() if name not in outer} | env
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder, env=env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def script(path: Path, line: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


def test_a_venv_that_does_not_work_is_made_anew_or_a_line_says_what_to_do(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "utils").mkdir()
    stamp = tmp_path / ".venv/.installed"
    target = (".venv/.installed", "PIP=echo install", "COMPILE=true")

    # Half made: Ctrl-C came before pip did. What somebody else put there is still there afterwards.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    stamp.touch()
    (tmp_path / ".venv/theirs").touch()
    done = make(tmp_path, *target, PIP_USER="1", PYTHONHOME="/nowhere", PYTHONPATH=str(tmp_path), PYTHONSAFEPATH="1")
    assert done.returncode == 0, done.stderr
    assert "install -e .[cpu,mpich]" in done.stdout
    assert (tmp_path / ".venv/theirs").exists()
    python = [tmp_path / ".venv/bin/python", "-m", "pip", "--version"]
    assert str(tmp_path) in subprocess.run(python, capture_output=True, text=True, check=True).stdout

    # All is well: nothing is done.
    done = make(tmp_path, *target)
    assert (done.returncode, "install" in done.stdout.replace(".installed", "")) == (0, False)

    # PYTHON= asks for another one than the one that is there; one that nobody can use; one that is not there.
    other = script(tmp_path / "python3.12", "echo 3.99")
    done = make(tmp_path, *target, f"PYTHON={other}")
    assert done.returncode == 2
    assert f"{other} is 3.99: rm -r .venv first" in done.stderr

    # A venv that another Python made.
    script(tmp_path / ".venv/bin/python", "echo 3.9")
    done = make(tmp_path, *target)
    assert (done.returncode, "rm -r .venv, then make PYTHON=python3.12" in done.stderr) == (2, True)

    # Its Python is gone; and so, or too old, is the one to make it anew with.
    (tmp_path / ".venv/bin/python").unlink()
    (tmp_path / ".venv/bin/python").symlink_to("/nowhere/python3")
    for wrong, told in ((other, "is 3.99"), ("/nowhere/python3", "is not there")):
        done = make(tmp_path, *target, f"PYTHON={wrong}")
        assert done.returncode == 2
        assert f"{wrong} {told}: make PYTHON=python3.12" in done.stderr
    done = make(tmp_path, *target, f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stderr
    assert "install -e .[cpu,mpich]" in done.stdout


def test_what_would_lead_python_or_pip_elsewhere_does_not_reach_them(tmp_path):
    harmful = ("PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
    (tmp_path / "Printing").write_text(f"include {ROOT / 'Makefile'}\nprinted:\n\t@env\n")
    done = make(tmp_path, "-f", "Printing", "printed", **dict.fromkeys(harmful, "1"))
    assert done.returncode == 0, done.stderr
    assert "PATH=" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith(tuple(f"{name}=" for name in harmful))]
