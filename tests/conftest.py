"""Fixtures of all tests: runs that have done some of the steps."""

import os
import shutil
import signal
from pathlib import Path

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
# A shell starts background jobs with Ctrl-C ignored, and children inherit that; the tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402

from tests.helpers import shared, step, step_here  # noqa: E402
from utils.system import compute  # noqa: E402

compute.start_tensorflow()
import tensorflow  # noqa: E402

tensorflow.config.list_logical_devices()  # it runs now: a step 5 in this process cannot leave the others one thread


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A folder of runs in which the tiny run has done steps 1 to 4. Copy it before changing anything."""

    def make(runs: Path) -> None:
        for script in ("01_generate_data.py", "02_train_vae.py", "03_generate_rnn_data.py", "04_train_rnn.py"):
            done = step_here(script, runs)
            assert done.returncode == 0, done.stderr

    return shared(tmp_path_factory, "trained", make)


@pytest.fixture(scope="session")
def evolved(trained, tmp_path_factory) -> Path:
    """A folder of runs in which the tiny run has a controller of one generation. Copy it before changing anything."""

    def make(runs: Path) -> None:
        shutil.copytree(trained, runs)
        safe = ("env", "PYTHONSAFEPATH=1")  # which mpiexec's ranks inherit
        done = step("05_train_controller.py", runs, "controller_num_generation=1", "--workers", "1", prefix=safe)
        assert done.returncode == 0, done.stderr

    return shared(tmp_path_factory, "evolved", make)


@pytest.fixture
def copy_of_trained(trained, tmp_path):
    """Makes a fresh copy of `trained` under a name; returns the folder of runs."""

    def copy(name: str = "runs") -> Path:
        return Path(shutil.copytree(trained, tmp_path / name))

    return copy
