"""A run that goes on from another: its rollouts, and where its V, M and C start."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import step, step_here
from utils.agent.checkpoints import load_controller
from utils.dreams import iterations
from utils.run import episodes
from utils.run.episodes import Rollout
from utils.run.export import ship
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system.errors import UsageError

SCRIPTS = ("01_generate_data", "02_train_vae", "03_generate_rnn_data", "04_train_rnn", "05_train_controller")


@pytest.fixture(scope="module")
def runs(evolved, tmp_path_factory):
    return Path(shutil.copytree(evolved, tmp_path_factory.mktemp("iterations") / "runs"))


def settings(runs, *more):
    return (f"previous_run={runs}/tiny", "exp_name=next", "rollout_policy=controller", "max_trials=4", *more)


def test_a_second_iteration_goes_on_from_the_first(runs):
    short = ("controller_num_generation=1", "controller_environment=dream", "vae_num_epoch=1")
    for script in SCRIPTS:
        run_step = step if script.startswith("05") else step_here
        done = run_step(f"{script}.py", runs, *settings(runs, *short))
        assert done.returncode == 0, done.stderr
    first, second = RunFolder(runs / "tiny"), RunFolder(runs / "next")
    assert "going on from" in done.stdout
    for index in range(6):
        assert first.rollout(index).read_bytes() == second.rollout(index).read_bytes()
    added = [episodes.load(second.rollout(index), Rollout) for index in (6, 7)]
    assert not second.rollout(8).exists()
    for rollout in added:
        assert rollout.obs.shape == (40, 64, 64, 3)
        assert (rollout.action >= [-1, 0, 0]).all()
        assert (rollout.action <= 1).all()
    # One epoch, one generation: close to where they came from, and not the same.
    before, after = (load_controller(run.read_config(), run)[0] for run in (first, second))
    assert 0 < np.abs(after - before).max() < 0.5

    learned_before = [row["reward_mean"] for row in first.log(Step.CONTROLLER)]
    ship(second, RunFolder(runs / "shipped"))
    for run in (second, RunFolder(runs / "shipped")):
        assert [row["reward_mean"] for row in run.earlier_log()] == learned_before
    assert first.earlier_log() == []
    assert RunFolder(runs / "shipped").read_config().previous_run is None  # can be built upon without it

    (point,) = iterations.curve(second)
    assert point["generation"] == 1
    (row,) = iterations.compare([second], 2)
    assert row["run"] == "next"
    assert row["episodes"] == 8
    assert row["controller"] == "latest mean, generation 1"
    iterations.save_table([row], [[point]], runs / "iterations.csv")
    assert (runs / "iterations.csv").read_text().splitlines()[1].startswith("next,8,1.0,")
    assert (runs / "iterations.png").stat().st_size > 10000
    with pytest.raises(UsageError, match="no evaluation in a dream"):
        iterations.curve(first)


def test_mistakes_are_a_line(runs, trained, tmp_path):
    for more, expected in (
        (("max_trials=2", "exp_name=fewer"), "taken over"),
        (("z_size=8", "exp_name=other"), "z_size: 6, not 8"),
        (("previous_run=null", "exp_name=nobody"), "whose?"),
        ((f"previous_run={tmp_path}", "exp_name=nowhere"), "no run folder"),
        ((f"previous_run={trained}/tiny", "exp_name=early"), "the controller is not trained yet"),
    ):
        done = step_here("01_generate_data.py", runs, *settings(runs), *more)
        assert done.returncode == 2
        assert expected in done.stderr
        assert len(done.stderr.splitlines()) == 1
