"""Steps 1 to 4, killed at any moment, go on as if nothing had happened."""

import csv
import os
import signal
import subprocess
import time

import numpy as np
import pytest

from tests.helpers import MPIEXEC, ROOT, TINY, call_here, children, command, step_here
from utils.run import episodes
from utils.run.episodes import Rollout

FIVE = "05_train_controller.py"


def start(script, runs, *overrides) -> subprocess.Popen:
    arguments = ("--config", str(TINY), f"runs_folder={runs}", *overrides)
    return subprocess.Popen(
        command(script, *arguments), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def log_rows(path) -> list[dict]:
    with open(path, newline="") as file:
        timed = ("per_second", "step_seconds")
        return [{name: value for name, value in row.items() if name not in timed} for row in csv.DictReader(file)]


def test_encoding_goes_on_after_a_kill(copy_of_trained, trained):
    runs = copy_of_trained()
    for path in (runs / "tiny/series").glob("*.npz"):
        path.unlink()
    process = start("03_generate_rnn_data.py", runs)
    wait_for(lambda: (runs / "tiny/series/episode_00001.npz").exists())
    process.kill()
    process.wait()
    assert step_here("03_generate_rnn_data.py", runs).returncode == 0
    for path in sorted((trained / "tiny/series").glob("*.npz")):
        with np.load(path) as theirs, np.load(runs / "tiny/series" / path.name) as ours:
            np.testing.assert_allclose(ours["mu"], theirs["mu"], atol=1e-5)


def test_random_kills_of_step_1_lose_nothing(tmp_path):
    arguments = ("--kills", "3", "--steps", "1", "--config", TINY)
    done = call_here("benchmarks.chaos", tmp_path, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills; nothing lost, nothing left behind" in done.stdout


@pytest.mark.parametrize("victim", ["parent", "child", "children", "ctrl-c"])
def test_collecting_survives_a_kill(tmp_path, victim, trained):
    rollouts = tmp_path / "tiny/rollouts"
    process = start("01_generate_data.py", tmp_path, "max_trials=60")
    wait_for(lambda: len(list(rollouts.glob("episode_*.npz"))) >= 4)
    workers = children(process.pid)
    if victim in ("child", "children"):
        for worker in workers[-1 if victim == "child" else 0 :]:
            os.kill(int(worker), signal.SIGKILL)
        assert process.wait(20) == 2
        (line,) = process.stderr.read().splitlines()
        assert "killed" in line
    elif victim == "parent":
        process.kill()
        process.wait()
    else:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    wait_for(lambda: not any(os.path.exists(f"/proc/{worker}/exe") for worker in workers), 10)
    kept = {path: path.stat().st_mtime_ns for path in rollouts.glob("episode_*.npz")}
    assert 4 <= len(kept) < 120
    assert step_here("01_generate_data.py", tmp_path, "max_trials=60").returncode == 0
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert len(list(rollouts.glob("episode_*.npz"))) == 120
    assert not list(rollouts.glob(".[0-9]*"))
    for index in range(6):  # the same episodes as in a run that was never stopped
        ours = episodes.load(rollouts / f"episode_{index:05d}.npz", Rollout)
        theirs = episodes.load(trained / f"tiny/rollouts/episode_{index:05d}.npz", Rollout)
        np.testing.assert_array_equal(ours.obs, theirs.obs)


def test_mpi_ranks_collect_the_same_episodes_and_go_on_after_a_kill(tmp_path, trained):
    """As on several hosts."""
    rollouts = tmp_path / "tiny/rollouts"
    words = command("01_generate_data.py", "--config", TINY, f"runs_folder={tmp_path}", prefix=(MPIEXEC, "-n", "3"))
    process = subprocess.Popen(
        [*words, "max_trials=60"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: len(list(rollouts.glob("episode_*.npz"))) >= 4)
    (manager,) = children(process.pid)
    os.kill(int(children(int(manager))[-1]), signal.SIGKILL)
    assert process.wait(20) != 0
    kept = {path: path.stat().st_mtime_ns for path in rollouts.glob("episode_*.npz")}
    assert 4 <= len(kept) < 120
    as_in_srun = os.environ | {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "3"}
    done = subprocess.run(
        [*words, "max_trials=60"], cwd=ROOT, env=as_in_srun, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert f"120 episodes, 4800 frames in {rollouts}" in done.stdout
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    for index in range(6):
        name = f"episode_{index:05d}.npz"
        assert (rollouts / name).read_bytes() == (trained / "tiny/rollouts" / name).read_bytes()
    refused = subprocess.run([*words, "max_trials=-1"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize(("script", "arguments"), [("01_generate_data.py", ()), (FIVE, ("--workers", "1"))])
def test_output_that_nobody_reads_ends_a_script_with_a_line(copy_of_trained, script, arguments):
    runs = copy_of_trained()
    ours, theirs = os.pipe()
    os.close(ours)
    started = command(script, "--config", TINY, f"runs_folder={runs}", *arguments)
    done = subprocess.run(started, cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(theirs)
    assert done.returncode == 141
    (line,) = done.stderr.splitlines()
    assert "its output was closed" in line


@pytest.mark.parametrize(
    ("script", "folder", "longer"),
    [("02_train_vae.py", "vae", "vae_num_epoch=4"), ("04_train_rnn.py", "rnn", "rnn_num_steps=200")],
)
def test_training_goes_on_after_a_kill_as_if_nothing_had_happened(copy_of_trained, script, folder, longer):
    whole, killed = copy_of_trained("whole"), copy_of_trained("killed")
    assert step_here(script, whole, longer).returncode == 0
    state = killed / f"tiny/{folder}/state.npz"
    began = state.stat().st_mtime_ns
    process = start(script, killed, longer, "checkpoint_seconds=0.2")
    wait_for(lambda: state.stat().st_mtime_ns > began)
    process.kill()
    process.wait()
    with np.load(state) as stopped:
        steps = int(stopped["step"])
    done = step_here(script, killed, longer)
    assert done.returncode == 0, done.stderr
    theirs, ours = (log_rows(runs / f"tiny/{folder}/log.csv") for runs in (whole, killed))
    assert 0 < steps < int(ours[-1]["step"])
    assert ours == theirs
