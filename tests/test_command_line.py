"""Scripts called from anywhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import ROOT, TINY, command
from utils.system import compute

SCRIPTS = sorted(path.name for path in ROOT.glob("*.py"))


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """A folder of somebody else's, with modules of the same names as ours."""
    for name in ("utils", "models"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
        (tmp_path / "elsewhere" / name / "__init__.py").touch()
    return tmp_path / "elsewhere"


def start(folder: Path, *arguments: str, **env: str) -> subprocess.Popen:
    return subprocess.Popen(
        arguments, cwd=folder, env=os.environ | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_scripts_find_their_modules_and_configuration_from_anywhere(elsewhere):
    """With a `utils` in the working directory and on PYTHONPATH, and where Python does not look beside the script."""
    env = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(elsewhere)}
    started = {name: start(elsewhere, *command(name, "--help"), **env) for name in SCRIPTS}
    for name, process in started.items():
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        assert f"usage: {name}" in out
        assert name[0] != "0" or str(ROOT / "config/carracing.yaml") in " ".join(out.split())
    assert len(started) == 9

    figures = start(ROOT, *(sys.executable, "utils/figures", "--help"), **env)
    out, error = figures.communicate(timeout=60)
    assert (figures.returncode, "Draw what a run has learned" in out) == (0, True), error


@pytest.mark.parametrize("safe", ["", "1"])
def test_what_step_1_spawns_finds_its_modules_as_well(elsewhere, safe):
    arguments = command("01_generate_data.py", "--config", TINY, "runs_folder=runs", "max_trials=1")
    process = start(elsewhere, *arguments, PYTHONSAFEPATH=safe, PYTHONPATH=str(elsewhere))
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    assert list(elsewhere.glob("runs/tiny/rollouts/episode_*.npz"))
    assert f"next           python {ROOT / '02_train_vae.py'} --config {TINY}" in out


def test_a_gpu_that_tensorflow_cannot_use_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(compute, "NVIDIA", str(tmp_path / "nothing"))
    assert re.fullmatch(r"\d+ cores, float32", compute.device("float32"))
    monkeypatch.setattr(compute, "NVIDIA", str(tmp_path))
    assert compute.device("float32").endswith("make install TENSORFLOW=gpu")
