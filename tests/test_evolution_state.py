"""The parts of the evolution: its tasks, its draws, its state."""

import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import ROOT, TINY
from utils.agent.controllers import save_controller
from utils.agent.rollouts import Patience
from utils.environments import get_spec
from utils.evolution.orchestrator import _say_who_works
from utils.evolution.state import EvolutionState, GenerationRng
from utils.evolution.tasks import evaluation_tasks, generation_tasks, hard_tracks, screening_tasks
from utils.run import config
from utils.run.folder import RunFolder
from utils.run.steps import Step
from utils.system import compute
from utils.system.errors import UsageError
from utils.system.files import write_csv, write_json


def test_a_diagonal_search_learns_scales_alone():
    for diagonal in (False, True):
        state = EvolutionState(config.load(TINY, [f"controller_diagonal={str(diagonal).lower()}"]), np.zeros(5))
        for generation in range(40):
            state.generation = generation
            candidates = state.ask()
            a, b, c, d, e = candidates.T
            state.es.tell(list(candidates), list((a - b) ** 2 + 1e4 * c**2 + d**2 + e**2))
        covariance = np.cov(np.array(state.es.ask(2000)).T)
        assert covariance[3, 3] > 100 * covariance[2, 2]  # both learn that the third one matters
        together = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        assert abs(together) < 0.1 if diagonal else together > 0.5


def test_parts_are_fixed_by_the_configuration():
    c = config.load(TINY)
    candidates = np.arange(6 * 57, dtype=np.float32).reshape(6, 57)
    parts = generation_tasks(c, 4, candidates)
    np.testing.assert_array_equal(np.concatenate([part.candidates for part in parts]), candidates)
    tracks = [[job.env_seed for job in part.jobs if job.candidate == k] for part in parts for k in range(2)]
    assert all(track == tracks[0] for track in tracks)  # common tracks
    assert len(set(tracks[0])) == 2
    draws = [job.draw_seed for part in parts for job in part.jobs]
    assert len(set(draws)) == len(draws)  # but each candidate's own draws
    assert {job.env_seed for part in generation_tasks(c, 5, candidates) for job in part.jobs}.isdisjoint(tracks[0])
    grown = config.load(TINY, ["controller_num_episode={1: 2, 4: 3, 6: 5}"])
    assert [len(generation_tasks(grown, g, candidates)[0].jobs) for g in range(7)] == [4, 4, 4, 6, 6, 10, 10]
    evaluation = evaluation_tasks(c, candidates[0], "evaluation")
    assert sum(len(part.jobs) for part in evaluation) == 2
    assert all(part.max_steps == get_spec(c.env_name).max_steps for part in evaluation)
    averaged = evaluation_tasks(config.load(TINY, ["controller_num_mean=3"]), candidates[0], "evaluation")
    assert {part.name for part in averaged}.isdisjoint(part.name for part in evaluation)  # results of another C
    patient = config.load(TINY, ["controller_patience=20"])
    assert {part.patience for part in generation_tasks(patient, 4, candidates)} == {Patience(20, -0.1)}
    assert {
        part.patience for part in [*parts, *evaluation, *evaluation_tasks(patient, candidates[0], "evaluation")]
    } == {None}


def test_half_of_the_episodes_are_on_the_tracks_that_went_worst():
    c = config.load(
        TINY,
        ["previous_run=runs/tiny", "controller_hard_fraction=0.5", "controller_num_episode=8"]
        + ["controller_screened_episode=48"],
    )
    candidates = np.zeros((6, 57), np.float32)
    tasks = screening_tasks(c, candidates[0])
    screened = [job.env_seed for task in tasks for job in task.jobs]
    assert len(set(screened)) == 48
    assert {(task.max_steps, task.patience) for task in tasks} == {(get_spec(c.env_name).max_steps, None)}
    scores = np.random.default_rng(0).permutation(48).astype(float)
    hard = hard_tracks(tasks, scores)
    assert hard == [screened[scores.tolist().index(score)] for score in (0, 1, 2)]
    played = [[job.env_seed for job in generation_tasks(c, g, candidates, hard)[0].jobs[:8]] for g in range(20)]
    plain = [[job.env_seed for job in generation_tasks(c, g, candidates)[0].jobs[:8]] for g in range(20)]
    assert all(set(tracks[:4]) == set(hard) for tracks in played)  # four of three: one twice
    assert [tracks[4:] for tracks in played] == [tracks[4:] for tracks in plain]
    assert len({tuple(tracks[:3]) for tracks in played}) > 3  # in another order each time
    assert set(hard).isdisjoint(seed for tracks in plain for seed in tracks)


def test_a_run_that_goes_on_has_draws_of_its_own():
    first = config.load(TINY)
    second = config.load(TINY, ["previous_run=runs/tiny", "exp_name=next"])
    candidates = np.zeros((6, 57), np.float32)
    seeds, perturbations = [], []
    for c in (first, second):
        training = {job.env_seed for g in range(50) for job in generation_tasks(c, g, candidates)[0].jobs}
        evaluation = {job.env_seed for part in evaluation_tasks(c, candidates[0], "evaluation") for job in part.jobs}
        dreamed = {job.env_seed for part in evaluation_tasks(c, candidates[0], "dream_evaluation") for job in part.jobs}
        assert dreamed == evaluation
        # Beyond all training, and all seeds that `render_agent.py` takes, in this run and in others.
        assert max(training) < 2**31 <= min(evaluation)
        assert max(evaluation) < 2**32
        seeds.append(training | evaluation)
        perturbations.append(EvolutionState(c, np.zeros(57)).ask())
    assert seeds[0].isdisjoint(seeds[1])
    assert not np.isclose(*perturbations).any()
    assert first.draw_seed == first.seed == second.seed != second.draw_seed


def test_the_average_of_the_last_means_is_evaluated_and_kept():
    c = config.load(TINY)
    state = EvolutionState(c, np.zeros(10))
    for generation in range(1, 13):
        candidates = state.ask()
        state.tell(candidates, -(candidates**2).sum(1))
        evaluated = 0.5 if generation == 9 else 0.0 if generation == 12 else None
        state.complete({"generation": generation, "averaged_means": 4, "evaluation_mean": evaluated})
    np.testing.assert_array_equal(state.averaged(1), state.mean)
    np.testing.assert_array_equal(state.averaged(100), state.averaged(12))  # without where it started
    assert (state.best["generation"], state.best["averaged_means"]) == (9, 4)
    np.testing.assert_allclose(state.best["parameters"], sum(state.means[6:10]) / 4, rtol=1e-5, atol=1e-7)


def test_a_restored_evolution_asks_and_learns_the_same(tmp_path):
    c = config.load(TINY)
    ours, theirs = EvolutionState(c, np.zeros(10)), EvolutionState(c, np.zeros(10))
    for generation in range(30):
        np.testing.assert_array_equal(ours.ask(), candidates := theirs.ask())
        scores = -(candidates**2).sum(1)
        for state in (ours, theirs):
            state.es.tell(list(candidates), list(-scores))
            state.generation += 1
        np.random.default_rng(generation).normal()
        theirs.save(theirs.frozen(), tmp_path)
        theirs = EvolutionState.restore(tmp_path)
    assert np.abs(theirs.es.mean).max() < 0.1
    draws = GenerationRng(0)
    draws.begin(3)
    first = draws(2, 3)
    draws.begin(3)
    np.testing.assert_array_equal(first, draws(2, 3))


def test_an_evolution_can_be_told_its_scores_again(tmp_path):
    """Without resume.pkl: a run whose machine was lost, of which log.csv and fitness.csv are left."""
    c = config.load(TINY, ["runs_folder=" + str(tmp_path)])
    run = RunFolder(tmp_path / c.exp_name)
    run.controller.mkdir(parents=True)
    ours = EvolutionState(c, np.zeros(c.controller.num_parameters))
    for generation in range(1, 8):
        ours.tell(candidates := ours.ask(), -(candidates**2).sum(1) + 1 / 3)
        score = float(-generation / 3) if generation % 3 == 0 else None
        row = {"generation": generation, "seconds": 0.1 * generation, "sigma": ours.es.sigma, "cma_stop": ""}
        row |= {"evaluation_mean": score, "evaluation_std": score, "reward_mean": 1 / 3, "averaged_means": 2}
        ours.complete(row)
    folder = run.controller
    save_controller(folder / "mean.npz", ours.mean, generation=7)
    write_csv(folder / "log.csv", ours.rows[0], (row.values() for row in ours.rows))
    write_csv(folder / "fitness.csv", ["generation", *range(6)], ([i, *s] for i, s in enumerate(ours.fitness, 1)))
    theirs = EvolutionState.replayed(c, np.zeros(c.controller.num_parameters), folder)
    assert theirs.rows == ours.rows
    assert theirs.best["generation"] == ours.best["generation"] == 3
    np.testing.assert_array_equal(theirs.best["parameters"], ours.best["parameters"])
    np.testing.assert_array_equal(theirs.means, ours.means)
    np.testing.assert_array_equal(theirs.ask(), ours.ask())
    write_json(run.path / "timings.json", {"5": 100.0})
    with run.timed(Step.CONTROLLER):
        pass
    assert run.timings()[Step.CONTROLLER] >= 100  # it goes on: what it took before counts
    with pytest.raises(UsageError, match=r"do not lead to the controller in mean.npz \(off by 0"):
        EvolutionState.replayed(config.load(TINY, ["seed=1"]), np.zeros(c.controller.num_parameters), folder)


def test_another_seed_of_c_is_another_evolution_with_the_same_evaluations():
    first, second = (config.load(TINY, [f"controller_seed={seed}"]) for seed in (0, 1))
    populations = [EvolutionState(c, np.zeros(c.controller.num_parameters)).ask() for c in (first, second)]
    assert np.abs(populations[0] - populations[1]).min() > 0
    seeds = [
        {job.env_seed for task in generation_tasks(c, 0, populations[0]) for job in task.jobs} for c in (first, second)
    ]
    assert not seeds[0] & seeds[1]
    evaluated = [evaluation_tasks(c, populations[0][0], "evaluation") for c in (first, second)]
    assert [task.jobs for task in evaluated[0]] == [task.jobs for task in evaluated[1]]


def test_workers_with_nothing_to_do_are_told_with_the_setting_that_would_keep_them_busy(capsys):
    _say_who_works(4, config.load(TINY), "float32")
    told = capsys.readouterr().out
    assert "4 workers, and a generation has 3 tasks: 1 have nothing to do" in told
    assert "controller_num_worker=6 controller_num_worker_trial=1 would keep 4 busy" in told
    _say_who_works(3, config.load(TINY), "float32")
    assert not capsys.readouterr().out


def test_an_evolution_in_the_dream_says_where_it_dreams(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(compute, "NVIDIA", str(tmp_path))  # as if it were the file of a GPU
    where = f"float32{compute.unusable_gpu()}"
    _say_who_works(3, config.load(TINY, ["controller_environment=dream"]), where)
    told = capsys.readouterr().out
    assert told.startswith("each worker dreams on one core, float32; ")
    assert "cannot use: make install TENSORFLOW=gpu" in told


def test_the_orchestrator_needs_no_tensorflow():
    code = "import sys, utils.evolution.session, utils.evolution.orchestrator; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
