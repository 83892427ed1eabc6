"""Doom: the configurations, the exploration, films, and all five steps."""

import csv
import os
import signal as signal_module
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT, all_steps_here, call_here, children
from utils.agent import evaluate
from utils.agent.agent import Agent
from utils.agent.controllers import load_checked_controller
from utils.agent.rollouts import ExplorationPolicy, Job, Observer, rollout_episodes
from utils.dreams import ends, foresight
from utils.dreams.evaluator import DreamEvaluator
from utils.environments import get_spec
from utils.run import config as configuration
from utils.run import episodes, rounds
from utils.run.episodes import Series
from utils.run.folder import RunFolder
from utils.system.progress import Progress

pytest.importorskip("vizdoom", reason="an optional extra: pip install '.[doom]'")


DOOM = get_spec("WorldModels/TakeCover-v0")


def test_a_film_of_an_episode_whose_game_died_is_of_the_second_time():
    class Doll:
        """Stays where it is; sees nothing."""

        config, spec, z = SimpleNamespace(controller_num_lane=2), DOOM, np.zeros((2, 1))

        def policy(self, num_envs, candidates):
            return self

        @property
        def codec(self):
            return self

        def begin(self, env_index, job):
            pass

        def rest(self, env_index):
            pass

        def act(self, obs, signal):
            self.steps += 1
            if self.steps == self.kill_at:
                for game in children(os.getpid()):
                    os.kill(int(game), signal_module.SIGKILL)
            return np.zeros((2, 1), np.float32)

        def decode(self, z):
            return np.zeros((1, 64, 64, 3), np.uint8)

    films = []
    for kill_at in (None, 30):
        doll = Doll()
        doll.steps, doll.kill_at = 0, kill_at
        films.append(evaluate.record_episode(doll, np.zeros(1), [Job(0, 0), Job(1, 1)], False, 60, Progress("", ""), 1))
    for frame, same in zip(*films, strict=True):
        assert (frame.step, frame.score) == (same.step, same.score)
        np.testing.assert_array_equal(frame.view, same.view)
    assert films[0][-1].score > 50


@pytest.mark.parametrize("name", ["doom_take_cover", "doom_laptop", "doom_laptop_next", "doom_quickstart"])
def test_the_controller_has_the_papers_1088_weights(name):
    config = configuration.load(ROOT / "config" / f"{name}.yaml")
    assert config.controller.num_parameters == 1088
    assert config.controller_temperature == 1.15


def test_a_sweep_turns_after_ways_of_about_the_same_length():
    paces = []
    for seed in range(20):
        explore = DOOM.explorations["sweep"](np.random.default_rng(seed))
        actions = np.array([explore(np.empty(0))[0] for _ in range(2100)])
        assert set(actions) == {-1, 1}
        ways = np.diff(np.flatnonzero(np.diff(actions)))
        assert ways.max() <= 1.5 * ways.min() + 1
        paces.append(ways.mean())
    assert min(paces) < 80
    assert max(paces) > 150
    assert 40 * 0.8 < min(paces) < max(paces) < 200 * 1.2


def test_mixed_is_each_of_the_others_in_turn():
    changes = []
    for seed in range(60):
        explore = DOOM.explorations["mixed"](np.random.default_rng(seed))
        actions = np.array([explore(np.empty(0))[0] for _ in range(1000)])
        changes.append((np.diff(actions) != 0).mean())
    for low, high in ((0.99, 1), (0.15, 0.25), (0, 0.03)):  # uniform, held, sweep or a slow roam
        assert 8 <= sum(low <= change <= high for change in changes) <= 30


def test_roaming_also_stands_still_and_at_the_wall():
    seen = {}
    for name in ("held", "roam"):
        env, positions = DOOM.make(), []
        policy = ExplorationPolicy(DOOM.explorations[name], 1)

        class Tracker(Observer):
            def step(self, *_, env=env, positions=positions):
                positions.append(DOOM.position(env)[1])

        rollout_episodes([env], policy, [Job(seed, seed) for seed in range(30)], 300, [Tracker()])
        env.close()
        y = np.array(positions)
        seen[name] = np.mean((y < y.min() + 24) | (y > y.max() - 24))
    assert seen["roam"] > 2 * seen["held"]


SETTINGS = (
    "env_name=WorldModels/TakeCover-v0", "exp_name=doom", "exploration_policy=held", "controller_inputs=[z,c,h]",
    "controller_bias=false", "controller_environment=dream", "max_frames=400", "vae_num_epoch=0.2",
    "controller_num_generation=1",
)  # fmt: skip


def test_what_m_expects_of_the_end_is_sorted_by_what_came():
    probability = np.array([0.0005, 0.002, 0.6, 0.0005, 0.5, 0.0001])
    left = np.array([60, 10, 0, np.inf, 0, 55])
    held_out = ends.Expected(probability, left)
    where = {row["where"]: row for row in ends.where_table(held_out, {"C": np.array([0.2, 0.01])})}
    assert where["at death"] == {
        "where": "at death", "steps": 2, "mean": pytest.approx(0.55), "median": pytest.approx(0.55), "ends_dream": 1.0,
    }  # fmt: skip
    assert where["10 steps before"]["mean"] == pytest.approx(0.002)
    assert "1 step before" not in where
    assert where["50 or more before"]["steps"] == 3  # one is of a game that was cut off
    assert where["in dreams, C"]["ends_dream"] == 0.5
    table = ends.calibration_table(held_out)
    assert [(row["steps"], row["died"]) for row in table] == [(1, 0.0), (2, 0.0), (1, 0.0), (2, 1.0)]
    assert table[-1]["expected"] == pytest.approx(0.55)


def test_the_area_under_the_roc_curve_counts_pairs():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 12, 200).astype(float), rng.random(200) < 0.3
    pairs = scores[positive][:, None] - scores[~positive][None]
    assert foresight.area_under_roc(scores, positive) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_the_same_five_steps_and_films_do_doom(tmp_path):
    all_steps_here(tmp_path, *SETTINGS)
    folder = RunFolder(tmp_path / "doom")
    series = [episodes.load(path, Series) for path in folder.series_paths(folder.read_config())]
    lengths = [len(episode.done) for episode in series]
    assert len(set(lengths)) > 1  # M's rows hold more than one
    for episode, length in zip(series, lengths):
        assert episode.done[:-1].sum() == 0
        assert episode.done[-1] or length == 400
        np.testing.assert_array_equal(episode.reward, np.ones(length))
    agent = Agent(folder.read_config(), folder)
    assert agent.controller.num_parameters == 6 + 12 + 12
    assert load_checked_controller(agent.config, folder)[0].any()
    (point,) = rounds.curve(folder)
    assert 30 < point["evaluation_mean"] <= 2100
    for more in ((), ("--dream",)):
        film = tmp_path / f"film{len(more)}.gif"
        arguments = ("--episodes", "1", "--steps", "30", "--film", film, *more)
        done = call_here("render_agent.py", folder.path, *arguments)
        assert done.returncode == 0, done.stderr
        with Image.open(film) as frames:
            assert 1 <= frames.n_frames <= 16
    done = call_here("study_dream.py", "ends", folder.path, "--episodes", "2", "--steps", "30")
    assert done.returncode == 0, done.stderr
    assert "held-out episodes; C: " in done.stdout
    with open(folder.path / "dream/ends_lives.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["policy"] for row in rows] == ["still", "left", "right", "random", "held out", "C"]
    assert all(1 <= float(row[name]) <= 30 for row in rows for name in ("real_mean", "dream_1_mean"))
    assert (folder.path / "dream/ends.png").stat().st_size > 10_000
    rows = foresight.foresight_table(ends.read(agent, series))
    died = sum(episode.done[-1] for episode in series)
    assert [(row["within"], row["steps"]) for row in rows] == [(n, n * died) for n in foresight.HORIZONS]
    assert all(0 < row[name] < 1 for row in rows for name in ("z", "mu", "h", "z and h"))
    for end, lives in ((1e3, 1), (-1e3, 50)):  # the last bias is the end's
        agent.rnn.mdn.bias.assign(np.r_[agent.rnn.mdn.bias.numpy()[:-1], end])
        evaluator = DreamEvaluator.of_run(agent, folder)  # copies the weights
        outcomes = evaluator.score(np.zeros((1, 30), np.float32), [Job(seed, seed) for seed in range(3)], 50)
        assert [(outcome.steps, outcome.score) for outcome in outcomes] == [(lives, lives)] * 3
    agent.rnn.mdn.bias.assign(np.r_[agent.rnn.mdn.bias.numpy()[:-1], 1e3])
    agent.rnn.save_weights(folder.rnn_weights)
    dream, dreams = (make("WorldModels/Dream-v0", run=folder.path) for make in (gymnasium.make, gymnasium.make_vec))
    assert dream.action_space == gymnasium.make(DOOM.env_id).action_space
    dream.reset(seed=0), dreams.reset(seed=0)
    *told, info = dream.step(dream.action_space.sample())[1:]
    assert (told, info["end_probability"]) == ([1.0, True, False], 1.0)
    over = [dreams.step(dreams.action_space.sample())[1:] for _ in range(3)]
    assert [(float(reward), bool(done)) for (reward,), (done,), *_ in over] == [(1, True), (0, False), (1, True)]
    np.testing.assert_array_equal([info["end_probability"][0] for *_, info in over], [1, np.nan, 1])
