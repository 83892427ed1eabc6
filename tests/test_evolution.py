"""Step 5 with real ranks: the same results however many workers, and after any kill."""

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import MPIEXEC, ROOT, TINY, children, command, step, step_here
from utils.evolution.orchestrator import _refuse_unless_finite
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system import compute
from utils.system.errors import UsageError

SCRIPT = "05_train_controller.py"
LONG = "controller_num_generation=8"


def fitness(runs) -> bytes:
    return (runs / "tiny/controller/fitness.csv").read_bytes()


@pytest.fixture(scope="module")
def uninterrupted(trained, tmp_path_factory):
    """A run of eight generations with two workers that nobody disturbed."""
    runs = Path(shutil.copytree(trained, tmp_path_factory.mktemp("evolution") / "runs"))
    done = step(SCRIPT, runs, LONG, "--workers", "2")
    assert done.returncode == 0, done.stderr
    return runs


def test_what_is_left_behind(uninterrupted):
    folder = uninterrupted / "tiny/controller"
    with open(folder / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["generation"]) for row in rows] == list(range(1, 9))
    assert [int(row["generation"]) for row in rows if row["evaluation_mean"]] == [5, 8]
    with open(folder / "fitness.csv", newline="") as file:
        scores = list(csv.reader(file))[1:]
    for row, candidates in zip(rows, scores):
        values = np.array(candidates[1:], float)
        assert len(values) == 6
        assert float(row["reward_mean"]) == pytest.approx(values.mean())
        assert float(row["reward_max"]) == values.max()
    best = max((row for row in rows if row["evaluation_mean"]), key=lambda row: float(row["evaluation_mean"]))
    with np.load(folder / "best.npz", allow_pickle=False) as file:
        assert file["parameters"].shape == ((6 + 12) * 3 + 3,)
        assert int(file["generation"]) == int(best["generation"])
        assert float(file["evaluation_mean"]) == float(best["evaluation_mean"])
        assert str(file["gymnasium"]) == metadata.version("gymnasium")
    with np.load(folder / "means.npz") as means, np.load(folder / "mean.npz") as last:
        assert means["means"].shape == (9, 57)
        np.testing.assert_array_equal(means["means"][0], np.zeros(57))
        np.testing.assert_array_equal(means["means"][-1], last["parameters"])
    assert sorted(path.name for path in folder.glob("populations/*")) == [f"{number:06}.npz" for number in range(1, 9)]
    with np.load(folder / "populations/000005.npz") as population:
        assert population["candidates"].shape == (6, 57)
        assert population["scores"].tolist() == [float(score) for score in scores[4][1:]]
    with open(folder / "schedule.csv", newline="") as file:
        schedule = list(csv.DictReader(file))
    assert sorted(row["task"] for row in schedule) == [f"training_2_{number:04d}" for number in range(3)]
    assert {row["rank"] for row in schedule} <= {"1", "2"}
    assert all(0 <= float(row["begin"]) < float(row["end"]) for row in schedule)
    assert (folder / "learning_curve.png").stat().st_size > 1000
    assert list((folder / "tensorboard").glob("events*"))
    assert not list((folder / "parts").glob("*"))


def test_the_number_of_workers_changes_nothing(uninterrupted, evolved, copy_of_trained):
    reference = fitness(uninterrupted).splitlines()[:3]
    assert fitness(evolved).splitlines() == reference[:2]  # by one worker
    by_hand = copy_of_trained("by_hand")
    done = step(SCRIPT, by_hand, "controller_num_generation=2", prefix=(MPIEXEC, "-n", "4"))
    assert done.returncode == 0, done.stderr
    assert fitness(by_hand).splitlines() == reference


def test_a_dreamed_evolution_is_the_same_whoever_dreams_and_however_often_it_stops(copy_of_trained):
    whole, halves = copy_of_trained("whole"), copy_of_trained("halves")
    for runs, generations, workers in ((whole, 4, 2), (halves, 2, 0), (halves, 4, 0)):
        settings = ("controller_environment=dream", f"controller_num_generation={generations}")
        done = step(SCRIPT, runs, *settings, "--workers", "2") if workers else step_here(SCRIPT, runs, *settings)
        assert done.returncode == 0, done.stderr
        (halves / "tiny/controller/resume.pkl").unlink(missing_ok=True)
    assert "CMA-ES is told the scores in fitness.csv again" in done.stdout
    assert "going on after generation 2" in done.stdout
    assert "in the dream: " in done.stdout
    assert re.search("each worker dreams on one core, (float32|bfloat16)", done.stdout)
    assert fitness(whole) == fitness(halves)
    with np.load(whole / "tiny/controller/means.npz") as means, np.load(halves / "tiny/controller/means.npz") as others:
        np.testing.assert_array_equal(means["means"], others["means"])
    with open(whole / "tiny/controller/log.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["evaluation_mean"]) != float(last["dream_evaluation_mean"])


def test_a_finished_run_says_so_and_writes_what_is_missing(uninterrupted, tmp_path):
    runs = Path(shutil.copytree(uninterrupted, tmp_path / "runs"))
    table = runs / "tiny/controller/log.csv"
    whole = table.read_bytes()
    table.unlink()  # as if killed between the last state and its tables
    for left in ("resume.pkl", "fitness.csv"):
        done = step_here(SCRIPT, runs, "controller_num_generation=1")
        assert done.returncode == 0
        assert ("CMA-ES is told the scores" in done.stdout) == (left == "fitness.csv")
        assert "8 generations are done" in done.stdout
        assert "the best of 2 evaluations in the same 2 episodes" in done.stdout
        assert table.read_bytes() == whole
        (runs / "tiny/controller/resume.pkl").unlink()


def begin(runs, workers):
    """Step 5 under way: its process, and the pids of its ranks, once a generation's first part is done."""
    arguments = ("--config", TINY, f"runs_folder={runs}", LONG, "--workers", str(workers))
    process = subprocess.Popen(
        command(SCRIPT, *arguments), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    folder = runs / "tiny/controller"
    seen = set((folder / "parts").glob("*.json"))
    deadline = time.monotonic() + 60
    while not set((folder / "parts").glob("*.json")) - seen:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    ranks = json.loads((folder / "ranks.json").read_text())
    return process, [ranks[str(rank)][1] for rank in range(workers + 1)]


def gone(pids) -> bool:
    def alive(pid):
        try:
            return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return False

    return not any(alive(pid) for pid in pids)


def wait_until_gone(pids) -> None:
    deadline = time.monotonic() + 10
    while not gone(pids):
        assert time.monotonic() < deadline, "ranks outlived a dead one by ten seconds"
        time.sleep(0.05)


def test_any_process_may_be_killed_and_nothing_is_lost_or_done_twice(uninterrupted, copy_of_trained):
    runs = copy_of_trained()
    moments = random.Random(0)
    (runs / "tiny/controller/parts").mkdir(parents=True)
    (runs / "tiny/controller/parts/.1.000000_training_0000.json").write_text("half")  # of a process killed earlier
    for victim, workers in (("worker", 2), ("orchestrator", 1), ("launcher", 1), ("mpiexec", 1), ("ctrl-c", 1)):
        process, pids = begin(runs, workers)
        time.sleep(moments.random() * 0.3)
        if victim == "ctrl-c":
            process.send_signal(signal.SIGINT)
        else:
            victims = {"worker": pids[-1], "orchestrator": pids[0], "launcher": process.pid}
            victims["mpiexec"] = int(children(process.pid)[0])
            os.kill(victims[victim], signal.SIGKILL)
        wait_until_gone(pids)
        code, said = process.wait(10), process.stderr.read()
        if victim == "ctrl-c":
            assert code == 130
            assert "run the same command again" in said
        elif victim in ("worker", "orchestrator"):
            assert code not in (0, None)
            assert f"rank {2 if victim == 'worker' else 0} (pid" in said
    done = step_here(SCRIPT, runs, LONG)
    assert done.returncode == 0, done.stderr
    assert fitness(runs) == fitness(uninterrupted)


def test_too_few_ranks_and_no_mpi_are_a_line(trained, tmp_path, copy_of_trained):
    runs = copy_of_trained()
    done = step(SCRIPT, runs, prefix=(MPIEXEC, "-n", "1"))
    assert done.returncode == 2
    assert "started with 1 rank" in done.stderr
    done = step(SCRIPT, tmp_path, prefix=(MPIEXEC, "-n", "3"))  # no run there at all: said once, not three times
    assert done.returncode == 2
    assert done.stderr.count("01_generate_data.py") == 1
    hidden = tmp_path / "python"
    hidden.symlink_to(sys.executable)
    nowhere = (
        "import shutil, sys; shutil.which = lambda *_, **__: None; from utils.evolution import ranks\n"
        "from utils.system.errors import UsageError\n"
        "try: ranks.launch(2, None)\nexcept UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", nowhere], cwd=ROOT, capture_output=True, text=True)
    assert "no MPI" in done.stdout
    assert step(SCRIPT, runs, "--workers", "-1").returncode == 2


def test_scores_that_are_no_numbers_are_refused_and_equal_ones_are_said(trained, copy_of_trained):
    scores, run = np.array([1.0, np.nan, 2.0, np.inf]), RunFolder(trained / "tiny")
    with pytest.raises(UsageError, match=r"generation 7: candidate 1, 3 scored nan; .* Generation 6 is kept"):
        _refuse_unless_finite(scores, 7, run)
    _refuse_unless_finite(scores[[0, 2]], 7, run)
    runs = copy_of_trained()
    # So short that the reward of an episode cannot differ.
    settings = ("controller_max_frames=1", "controller_num_generation=24", "controller_eval_steps=100")
    done = step_here(SCRIPT, runs, *settings, "controller_num_episode=1")
    assert done.returncode == 0, done.stderr
    assert "all candidates scored the same" in done.stdout
    with open(runs / "tiny/controller/log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert "flat" in rows[-1]["cma_stop"]
    assert f"CMA-ES would stop here: {rows[-1]['cma_stop']}" in done.stdout
    assert all(20 < float(row["worker_memory_mb"]) < 4000 for row in rows)
    assert "the largest worker uses" in done.stdout
    assert RunFolder(runs / "tiny").log(Step.CONTROLLER)[-1]["generation"] == 24


@pytest.mark.skipif(Path(compute.NVIDIA).exists(), reason="for machines without a GPU")
def test_a_gpu_that_is_not_there_is_refused(copy_of_trained):
    done = step(SCRIPT, copy_of_trained(), "controller_gpu=true", "--workers", "2")
    assert done.returncode == 2
    assert done.stderr.count("controller_gpu: TensorFlow finds no GPU on") == 1  # of the first worker only
