"""A run that goes on from another: its rollouts, and where its V, M and C start."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import TINY, all_steps_here, call_here, step_here
from utils.agent.agent import Agent
from utils.agent.checkpoints import build_rnn, load_rnn
from utils.agent.controllers import load_checked_controller, load_controller
from utils.agent.rollouts import Job
from utils.dreams import iterations
from utils.dreams.evaluator import DreamEvaluator
from utils.evolution.state import EvolutionState
from utils.evolution.tasks import evaluation_tasks, screening_tasks
from utils.run import episodes, rounds
from utils.run.episodes import Rollout
from utils.run.export import ship
from utils.run.folder import RunFolder
from utils.run.provenance import dreaming_runs, judging_run
from utils.run.steps import Step
from utils.system.errors import UsageError


@pytest.fixture(scope="module")
def runs(evolved, tmp_path_factory):
    return Path(shutil.copytree(evolved, tmp_path_factory.mktemp("iterations") / "runs"))


def settings(runs, *more):
    """One process plays, and loads TensorFlow, in place of two."""
    played = ("rollout_policy=controller", "parallel_processes=1", "max_trials=8")
    return (f"previous_run={runs}/tiny", "exp_name=next", *played, *more)


def test_a_second_iteration_goes_on_from_the_first(runs):
    short = ("controller_num_generation=1", "controller_environment=dream", "vae_num_epoch=1")
    done = all_steps_here(runs, *settings(runs, *short))
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

    (point,) = rounds.curve(second)
    assert point["generation"] == 1
    (row,) = iterations.compare([second], 2)
    assert row["run"] == "next"
    assert row["episodes"] == 8
    assert row["controller"] == "latest mean, generation 1"
    iterations.save_table([row], [[point]], runs / "iterations.csv")
    assert (runs / "iterations.csv").read_text().splitlines()[1].startswith("next,8,1.0,")
    assert (runs / "iterations.png").stat().st_size > 10000
    with pytest.raises(UsageError, match="no evaluation in a dream"):
        rounds.curve(first)


def test_c_goes_on_where_it_fails(evolved, tmp_path):
    runs = Path(shutil.copytree(evolved, tmp_path / "runs"))
    hard = ("controller_hard_fraction=0.5", "controller_screened_episode=16", "controller_num_generation=2")
    hard += ("controller_num_mean=2", "controller_eval_steps=2")
    done = all_steps_here(runs, *settings(runs, "vae_num_epoch=0", "rnn_num_steps=0", *hard))
    assert "on 16 tracks; its hard ones are the worst 1, up to" in done.stdout
    run = RunFolder(runs / "next")
    state = EvolutionState.restore(run.controller)
    screened = [job.env_seed for task in screening_tasks(run.read_config(), state.means[0]) for job in task.jobs]
    assert len(state.hard_tracks) == 1
    assert set(state.hard_tracks) < set(screened)
    assert "(the average of 2 means)" in done.stdout
    parameters, which = load_controller(run.read_config(), run)
    assert which == "best mean by evaluation, generation 2"
    np.testing.assert_array_equal(parameters, np.mean(state.means[1:], axis=0, dtype=np.float64).astype(np.float32))
    assert len(state.means) == 3
    ship(run, RunFolder(runs / "shipped"))
    shipped = RunFolder(runs / "shipped").read_config()
    assert shipped.controller_hard_fraction == 0  # it has no C to fail first
    assert shipped.controller_num_mean == 1


def test_another_c_learns_with_an_m_that_was_never_trained(evolved, tmp_path):
    """The ablations: V of another run, M as it is drawn, C with hidden units and other inputs."""
    runs = Path(shutil.copytree(evolved, tmp_path / "runs"))
    mine = (f"previous_run={runs}/tiny", "exp_name=ablation", "max_trials=3", "vae_num_epoch=0", "rnn_num_steps=0")
    mine += ("controller_start=zero", "controller_inputs=[z]", "controller_hidden=4", "controller_num_generation=1")
    refused = step_here("01_generate_data.py", runs, *mine, "controller_start=previous")
    assert refused.returncode == 2
    assert "has controller_inputs: ['z', 'h'], not ['z']" in refused.stderr
    all_steps_here(runs, *mine, "rnn_start=random")
    first, second = RunFolder(runs / "tiny"), RunFolder(runs / "ablation")
    assert first.vae_weights.read_bytes() == second.vae_weights.read_bytes()
    assert [row["step"] for row in second.log(Step.RNN)] == [0]
    config = second.read_config()
    trained, untrained = (load_rnn(config, run).lstm.get_weights()[0] for run in (first, second))
    np.testing.assert_array_equal(untrained, build_rnn(config).lstm.get_weights()[0])
    assert np.abs(trained - untrained).max() > 1e-3
    assert load_controller(config, second)[0].size == config.controller.num_parameters
    drawn = call_here("utils.figures", str(second.path), "controller", "rnn_losses", "architecture")
    assert drawn.returncode == 0, drawn.stderr


def test_a_run_with_the_same_v_takes_its_series_over_and_deals_dreams_among_both_ms(evolved, tmp_path):
    runs = Path(shutil.copytree(evolved, tmp_path / "runs"))
    more = (
        "max_trials=6", "vae_num_epoch=0", "encoded_trials=4", "rnn_num_steps=2", "controller_environment=dream",
        "controller_num_generation=3",
    )  # fmt: skip
    judge = ("controller_judge_run=" + str(runs / "tiny"), "controller_judge_episode=5", "controller_eval_steps=1")
    again = ("controller_start=zero", "controller_num_rnn=2", "controller_dream_start=anywhere", *judge)
    done = all_steps_here(runs, *settings(runs, *more), *again)
    first, second = RunFolder(runs / "tiny"), RunFolder(runs / "next")
    assert "going on from" not in done.stdout
    assert not second.earlier.exists()
    for index in range(6):
        assert first.encoded(index).read_bytes() == second.encoded(index).read_bytes()
    assert len({second.played(index).read_bytes() for index in range(4)}) == 4  # by C
    config = second.read_config()
    mine, theirs = (load_rnn(config, run) for run in dreaming_runs(config, second))
    agent, jobs = Agent(config, second), [Job(seed, seed) for seed in range(5)]
    candidates = np.random.default_rng(0).normal(0, 1, (2, config.controller.num_parameters))
    alone, other, dealt = (
        [outcome.score for outcome in DreamEvaluator(agent, second, rnns).score(candidates, jobs * 2, 20)]
        for rnns in ([mine], [theirs], [mine, theirs])
    )
    assert dealt == pytest.approx([(alone, other)[i % 5 % 2][i] for i in range(10)], rel=1e-4, abs=1e-6)
    assert alone != pytest.approx(other, rel=1e-2)

    rows = second.log(Step.CONTROLLER)
    chosen = max(rows, key=lambda row: row["judge_evaluation_mean"])
    parameters, which = load_checked_controller(config, second)
    assert which == f"best mean by the dream of another M, generation {chosen['generation']:.0f}"
    assert f"the best of 3 in the dream of another M, {chosen['judge_evaluation_mean']:.1f}" in done.stdout
    jobs = evaluation_tasks(config, parameters, "judge_evaluation")[0].jobs
    scores = [
        o.score for o in DreamEvaluator(agent, second, [theirs]).score(parameters[None], jobs, agent.spec.max_steps)
    ]
    assert np.mean(scores) == pytest.approx(chosen["judge_evaluation_mean"], rel=1e-3)

    shutil.rmtree(second.controller)
    for changed, expected in (
        (("controller_num_rnn=3", "controller_num_episode=4"), "this run goes on from 1 others"),
        (("controller_num_rnn=3",), "controller_num_episode gives a candidate only 2 dreams"),
        (("controller_environment=real",), "only dreams are dealt"),
    ):
        done = step_here("05_train_controller.py", runs, *settings(runs, *more), *again, *changed)
        assert (done.returncode, expected in done.stderr) == (2, True)
    first.vae_weights.write_bytes(first.vae_weights.read_bytes() + b"0")
    with pytest.raises(UsageError, match="has another V, so that its M dreams of another z"):
        dreaming_runs(config, second)
    with pytest.raises(UsageError, match=r"controller_judge_run: .* has another V"):
        judging_run(config, second)


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


def test_rounds_are_one_command_that_goes_on(runs, tmp_path):
    begun, following = tmp_path / "first.yaml", tmp_path / "next.yaml"
    begun.write_text(f"extends: {TINY}\nparallel_processes: 1\nmax_trials: 6\n")
    following.write_text(
        f"extends: {begun}\nrollout_policy: controller\nmax_trials: 2\nvae_num_epoch: 0\n"
        "rnn_num_steps: 2\ncontroller_start: zero\n"
    )
    short = ("controller_environment=dream", "controller_num_generation=2", "controller_eval_steps=1")
    overrides = (f"runs_folder={runs}", *short, "exp_name=alone")
    arguments = (str(begun), str(following), *overrides, "--workers", "0")
    planned = rounds.plan([str(begun), *[str(following)] * 2], [*overrides, "encoded_trials=1"])
    counts = [(config.max_trials, config.encoded_trials) for *_, config in planned]
    assert counts == [(6, 1), (8, 2), (10, 3)]
    shutil.copytree(runs / "tiny", runs / "alone")
    shutil.rmtree(runs / "alone/controller")
    # As if it had been stopped after the first round.
    done = step_here("05_train_controller.py", runs, *overrides)
    assert done.returncode == 0, done.stderr
    done = call_here("iterate.py", *arguments)
    assert done.returncode == 0, done.stderr
    assert "round 1 of 2" not in done.stdout
    for told in ("round 1, ", "round 2 of 2", "round 2, "):
        assert told in done.stdout
    first, second = RunFolder(runs / "alone"), RunFolder(runs / "alone_2")
    config = second.read_config()
    assert (config.num_episodes, config.previous_run) == (8, str(first.path))
    with open(first.path / "rounds.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == ["alone", "alone_2"]
    assert 0 < float(rows[0]["minutes"]) < float(rows[1]["minutes"])
    last = second.log(Step.CONTROLLER)[-1]
    assert float(rows[1]["real_mean"]) == last["evaluation_mean"]
    assert (first.path / "rounds.png").stat().st_size > 10_000

    written = (second.controller / "mean.npz").stat().st_mtime_ns
    again = call_here("iterate.py", *arguments)
    assert again.returncode == 0, again.stderr
    assert "round 2 of 2" not in again.stdout
    assert (second.controller / "mean.npz").stat().st_mtime_ns == written
    for wrong, expected in ((("--rounds", "0"), "at least 1"), (("parallel_processes=x",), "parallel_processes")):
        done = call_here("iterate.py", *arguments, *wrong)
        assert (done.returncode, expected in done.stderr) == (2, True)
