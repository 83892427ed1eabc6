import os
import shutil
import signal as signal_module
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from tests.helpers import ROOT, children, mounted
from utils.agent.rollouts import ExplorationPolicy, Job, Observer, Recorder, rollout_episodes
from utils.environments import get_spec
from utils.environments.take_cover import STOCK_SCREEN, TakeCover

pytest.importorskip("vizdoom", reason="an optional extra: pip install '.[doom]'")


DOOM = get_spec("WorldModels/TakeCover-v0")


def play(env, seed, actions):
    """Pictures and rewards of one episode; actions: a generator's draws until death."""
    pictures, rewards, dead = [env.reset(seed=seed)[0]], [], False
    while not dead:
        obs, reward, dead, _, _ = env.step(np.float32([actions()]))
        pictures.append(obs)
        rewards.append(reward)
    return np.stack(pictures), rewards


def test_gymnasiums_checker_is_content_and_the_registered_one_ends_at_2100_steps():
    check_env(DOOM.make(render_mode="rgb_array").unwrapped)
    env = DOOM.make()
    assert env.spec.max_episode_steps == DOOM.max_steps == 2100
    env.close()
    assert all(len(curve.points()) > 1 for curve in DOOM.published_curves)


def test_an_episode_is_its_seed_whatever_was_played_before_and_on_whatever_screen():
    ours, other, large = TakeCover(), TakeCover(), TakeCover(screen=STOCK_SCREEN)
    try:
        play(ours, 5, np.random.default_rng(1).normal)
        pictures, rewards = play(ours, 3, np.random.default_rng(0).normal)
        again, _ = play(other, 3, np.random.default_rng(0).normal)
        on_a_large_screen, as_long = play(large, 3, np.random.default_rng(0).normal)
    finally:
        for env in (ours, other, large):
            env.close()
    np.testing.assert_array_equal(pictures, again)
    assert rewards == as_long == [1.0] * len(rewards)
    assert np.abs(pictures.astype(int) - on_a_large_screen).mean() < 8
    assert len(np.unique(pictures, axis=0)) > 0.9 * len(rewards)


def test_no_file_of_the_users_changes_the_game(tmp_path, monkeypatch):
    import vizdoom

    env, other = TakeCover(), TakeCover()
    try:
        pictures, _ = play(env, 1, np.random.default_rng(0).normal)
        (tmp_path / "_vizdoom.cfg").write_text("episode_timeout = 30")
        (tmp_path / "doom2.wad").symlink_to(Path(vizdoom.__file__).with_name("freedoom1.wad"))
        monkeypatch.chdir(tmp_path)
        again, _ = play(other, 1, np.random.default_rng(0).normal)
    finally:
        env.close()
        other.close()
    np.testing.assert_array_equal(pictures, again)
    assert Path.cwd() == tmp_path


def test_a_time_out_is_no_death():
    env, rollouts = TakeCover(), []
    try:
        env.reset(seed=0)
        env._game.set_episode_timeout(30)
        policy = ExplorationPolicy(DOOM.explorations["held"], 1)
        rollout_episodes([env], policy, [Job(0, 0)], 100, [Recorder(lambda job, rollout: rollouts.append(rollout))])
    finally:
        env.close()
    assert 20 < len(rollouts[0].done) < 40
    assert not rollouts[0].done.any()


PLAY = (
    "import numpy, pathlib; from utils.system.errors import UsageError\n"
    "from utils.environments.take_cover import TakeCover\n"
    "env = TakeCover()\n"
    "try: env.reset(seed=0); print(*env.step(numpy.float32([0]))[1:4])\n"
    "except UsageError as error: print(error)\n"
    "finally: env.close()\n"
)


def test_a_game_that_must_not_be_run_runs_or_is_named_and_leaves_stdin_alone(tmp_path):
    code, temporary = tmp_path / "code", tmp_path / "temporary"
    shutil.copytree(ROOT / "utils", code / "utils")
    temporary.mkdir()
    (code / "utils/environments/take_cover_game.sh").chmod(0o600)  # as out of a zip file

    def said(*prefix: str) -> str:
        following.seek(0)
        done = subprocess.run(
            [*prefix, sys.executable, "-c", PLAY], cwd=code, capture_output=True, text=True, stdin=following,
            env=os.environ | {"TMPDIR": str(temporary)},
        )  # fmt: skip
        assert following.read() == "the next one\n"
        return done.stdout.strip()

    (tmp_path / "list").write_text("the next one\n")
    with open(tmp_path / "list") as following:
        assert said() == "1.0 False False"
        line = said(*mounted(temporary, "noexec"))
        assert "take_cover_game.sh is not executable" in line
        assert str(temporary) in line
        assert "/dev/shm is too small" in said(*mounted("/dev/shm", "size=100k"))


def after(env, action, steps=20):
    env.reset(seed=3)
    for _ in range(steps):
        obs, *_ = env.step(np.float32([action]))
    return obs.tobytes()


def test_thirds_of_the_action_are_left_stay_and_right():
    env = TakeCover()
    try:
        seen = {action: after(env, action) for action in (-1, -0.34, -0.32, 0, 0.32, 0.34, 1)}
    finally:
        env.close()
    assert seen[-1] == seen[-0.34]
    assert seen[-0.32] == seen[0] == seen[0.32]
    assert seen[0.34] == seen[1]
    assert len(set(seen.values())) == 3


def test_the_world_moves_left_for_someone_who_moves_right():
    env, moved = TakeCover(), {}
    try:
        for name, keys in (("left", (True, False)), ("right", (False, True))):
            before, _ = env.reset(seed=3)
            for _ in range(12):
                after, *_ = env.step(DOOM.keyboard_action(*keys, False, False))
            row = slice(24, 36)  # the far wall
            fits = {
                shift: np.abs(after[row, 12:-12].astype(int) - before[row, 12 + shift : 52 + shift]).mean()
                for shift in range(-10, 11)
            }
            moved[name] = min(fits, key=fits.get)
    finally:
        env.close()
    assert moved["left"] < 0 < moved["right"]


def test_an_episode_whose_game_died_is_played_again():
    envs = [DOOM.make() for _ in range(3)]
    jobs = [Job(seed, seed) for seed in range(5)]
    begun, steps = [], []

    class Killer(Observer):
        def begin(self, job):
            begun.append(job)

        def step(self, *_):
            steps.append(None)
            if len(steps) in (100, 400):
                os.kill(int(children(os.getpid())[-1]), signal_module.SIGKILL)

    try:
        expected = rollout_episodes(envs, ExplorationPolicy(DOOM.explorations["held"], 3), jobs, 2100)
        outcomes = rollout_episodes(envs, ExplorationPolicy(DOOM.explorations["held"], 3), jobs, 2100, [Killer()])
    finally:
        for env in envs:
            env.close()
    assert outcomes == expected
    assert len(begun) == len(jobs) + 2
    assert set(begun) == set(range(len(jobs)))


def test_games_end_with_whoever_played_them_even_if_killed():
    play = (
        "import os, time; from utils.environments import get_spec\n"
        "env = get_spec('WorldModels/TakeCover-v0').make(); env.reset(seed=0)\n"
        "print(flush=True); time.sleep(60)\n"
    )
    player = subprocess.Popen([sys.executable, "-c", play], cwd=ROOT, stdout=subprocess.PIPE)
    player.stdout.readline()
    (game,) = children(player.pid)
    fields = [line.split() for line in Path(f"/proc/{game}/maps").read_text().splitlines()]
    shared = {Path(field[5]) for field in fields if len(field) > 5 and field[5].startswith("/dev/shm/ViZDoom")}
    assert shared
    player.kill()
    player.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{game}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{game}").exists()
    assert not [path for path in shared if path.exists()]


def test_someone_who_moves_lives_longer_than_someone_who_stays():
    env = gymnasium.make(DOOM.env_id)
    try:
        lives = {
            name: [len(play(env.unwrapped, seed, act)[1]) for seed in range(12)]
            for name, act in (("still", lambda: 0.0), ("random", np.random.default_rng(0).normal))
        }
    finally:
        env.close()
    assert 100 < np.mean(lives["still"]) < np.mean(lives["random"]) < 400
