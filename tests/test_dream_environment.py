"""The dream as a Gymnasium environment."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import utils.environments  # noqa: F401  registers the ids
from tests.helpers import ROOT
from utils.agent.agent import Agent
from utils.dreams.noise import InitialLatents
from utils.run.folder import RunFolder
from utils.system.errors import UsageError

DREAM = "WorldModels/Dream-v0"
Z, RNN = 6, 12


@pytest.fixture(scope="module")
def run(trained):
    return trained / "tiny"


def test_gymnasiums_checker_is_content(run):
    env = gymnasium.make(DREAM, run=run, render_mode="rgb_array")
    check_env(env.unwrapped)
    env.reset(seed=0)
    assert env.render().shape == (64, 64, 3)
    assert env.observation_space.shape == (Z + RNN,)
    assert env.action_space == gymnasium.make("WorldModels/CarRacing-v3").action_space


def episode(env, steps=15):
    obs = [env.reset(seed=3)[0]]
    rewards = []
    actions = np.random.default_rng(0).uniform(0, 1, (steps, 3)).astype(np.float32)
    for action in actions:
        seen, reward, *_ = env.step(action)
        obs.append(seen)
        rewards.append(reward)
    return np.stack(obs), rewards


def test_a_dream_is_repeatable_and_hotter_ones_are_livelier(run):
    obs, rewards = episode(gymnasium.make(DREAM, run=run))
    again, rewards_again = episode(gymnasium.make(DREAM, run=run))
    np.testing.assert_array_equal(obs, again)
    assert rewards == rewards_again
    moves = [
        np.abs(np.diff(episode(gymnasium.make(DREAM, run=run, temperature=t))[0][1:, :Z], axis=0)).mean()
        for t in (0.01, 1.0, 3.0)
    ]
    assert moves[0] < moves[1] < moves[2]


def test_a_vector_of_dreams_is_single_dreams(copy_of_trained):
    run = copy_of_trained() / "tiny"
    settings = (run / "config.yaml").read_text()  # a single dream does not round what the products read
    (run / "config.yaml").write_text(settings.replace("rnn_precision: auto", "rnn_precision: float32"))
    envs = gymnasium.make_vec(DREAM, num_envs=3, run=run)
    assert type(envs).__name__ == "DreamVectorEnv"
    singles = [gymnasium.make(DREAM, run=run) for _ in range(3)]
    obs, _ = envs.reset(seed=5)
    expected = [env.reset(seed=5 + i)[0] for i, env in enumerate(singles)]
    rng = np.random.default_rng(0)
    for _ in range(10):
        np.testing.assert_allclose(obs, expected, atol=1e-3)
        actions = rng.uniform(0, 1, (3, 3)).astype(np.float32)
        obs, rewards, *_ = envs.step(actions)
        expected, single_rewards, *_ = zip(*(env.step(action) for env, action in zip(singles, actions)))
        np.testing.assert_allclose(rewards, single_rewards, atol=1e-3)
    assert envs.observation_space.shape == (3, Z + RNN)


def test_a_vector_begins_anew_at_the_step_after_the_end(run):
    envs = gymnasium.make_vec(DREAM, num_envs=2, run=run)
    envs.unwrapped._dreams.max_steps = 4
    envs.reset(seed=0)
    told = [envs.step(np.zeros((2, 3), np.float32))[1:4] for _ in range(10)]
    assert [bool(truncated.all()) for *_, truncated in told] == [False, False, False, True, False] * 2
    assert [bool((rewards == 0).all()) for rewards, *_ in told] == [False] * 4 + [True] + [False] * 4 + [True]


def test_stable_baselines3_learns_in_it(run):
    sb3 = pytest.importorskip("stable_baselines3", reason="an optional extra: pip install '.[sb3]'")
    model = sb3.PPO("MlpPolicy", gymnasium.make(DREAM, run=run), n_steps=64, batch_size=32, device="cpu", seed=0)
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(256)
    assert model.num_timesteps == 256
    assert any((old != new).any() for old, new in zip(before, model.policy.parameters()))


def test_a_reset_takes_a_start_and_a_temperature(run):
    env = gymnasium.make(DREAM, run=run)
    obs, info = env.reset(seed=0, options={"start": 2})
    np.testing.assert_array_equal(obs[:Z], InitialLatents(RunFolder(run), Z).mu[2])
    np.testing.assert_array_equal(info["z"], obs[:Z])
    z = np.linspace(-1, 1, Z)
    np.testing.assert_array_equal(env.reset(seed=0, options={"start": z})[0][:Z], z.astype(np.float32))
    frame = gymnasium.make("WorldModels/CarRacing-v3").reset(seed=1)[0]
    agent = Agent(RunFolder(run).read_config(), RunFolder(run))
    np.testing.assert_array_equal(env.reset(options={"start": frame})[0][:Z], agent.codec.encode(frame[None])[0][0])

    def entropy(**options) -> float:
        env.reset(seed=0, options={"start": 0, **options})
        return env.step(np.zeros(3, np.float32))[4]["mixture_entropy"]

    cool, usual, hot = entropy(temperature=0.1), entropy(), entropy(temperature=3.0)
    assert cool < usual < hot <= np.log(5)
    assert entropy() == usual  # a temperature holds until the next reset
    for wrong, expected in (
        ({"start": 10_000}, "takes a whole number from 0 to"), ({"start": np.zeros(Z - 1)}, "takes a whole number"),
        ({"start": np.full(Z, np.nan)}, "takes a whole number"), ({"temperature": 0}, "must be a number above 0"),
        ({"temperature": "hot"}, "must be a number above 0"), ({"heat": 1}, "only start and temperature"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=expected):
            env.reset(options=wrong)
    env.step(np.zeros(3, np.float32))  # a refused reset leaves the dream as it was


def test_a_vector_tells_of_each_dream(run):
    envs = gymnasium.make_vec(DREAM, num_envs=3, run=run)
    obs, info = envs.reset(seed=0, options={"start": 1, "temperature": 0.5})
    np.testing.assert_array_equal(obs[0], obs[2])
    envs.unwrapped._dreams.max_steps = 3
    envs.unwrapped._steps[1] = 1  # as if it had begun a step earlier
    for ended in ([], [], [1], [0, 2]):  # whose next dreams begin at this step
        obs, _, _, _, info = envs.step(np.zeros((3, 3), np.float32))
        np.testing.assert_array_equal(info["z"], obs[:, :Z])
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(info["mixture_entropy"])), ended)


ELSEWHERE = """
import json, sys
from pathlib import Path

import gymnasium


ID = "utils.environments:WorldModels/Dream-v0"


def vector(num_envs, context=None):
    return gymnasium.make_vec(
        ID, num_envs=num_envs, vectorization_mode="async", vector_kwargs={"context": context}, run="agents/tiny"
    )


def lived(envs):
    obs, _ = envs.reset(seed=3)
    _, rewards, *_ = envs.step(envs.action_space.low)
    envs.close()
    return obs.tolist(), rewards.tolist()


if __name__ == "__main__":
    from utils.system.errors import UsageError

    found = {"forked": lived(vector(2))}
    found["single"] = []
    for seed in (3, 4):
        env = gymnasium.make(ID, run="agents/tiny")
        obs = env.reset(seed=seed)[0].tolist()
        found["single"].append((obs, env.step(env.action_space.low)[1]))
    found["pictures"] = "matplotlib" in sys.modules
    found["spawned"] = lived(vector(1, "spawn"))
    try:
        lived(vector(1))
    except UsageError as error:
        found["refused"] = str(error)

    from utils.run import config
    from utils.environments import get_spec

    found["curve"] = len(get_spec("WorldModels/CarRacing-v3").published_curves[0].points())
    found["extends"] = config.load(Path(sys.argv[1]) / "config/quickstart.yaml").env_name
    found["car"] = gymnasium.make("utils.environments:WorldModels/CarRacing-v3").reset(seed=0)[0].shape
    print(json.dumps(found))
"""


def elsewhere(folder, run, script) -> subprocess.CompletedProcess:
    """Runs a script of somebody else's project, in `folder`, with this one on PYTHONPATH alone. None of its processes
    outlives it, in case they hang."""
    (folder / "agents").mkdir()
    (folder / "agents/tiny").symlink_to(run)
    (folder / "theirs.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "theirs.py", str(ROOT)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **pipes) as process:
        try:
            output = process.communicate(timeout=100)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, *output)


def test_another_project_dreams_in_processes_of_its_own(run, tmp_path):
    done = elsewhere(tmp_path, run, ELSEWHERE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    obs, rewards = zip(*found["single"])
    np.testing.assert_allclose(found["forked"][0], obs, atol=1e-4)
    np.testing.assert_allclose(found["forked"][1], rewards, atol=1e-4)
    np.testing.assert_allclose(found["spawned"][0], obs[:1], atol=1e-4)
    np.testing.assert_allclose(found["spawned"][1], rewards[:1], atol=1e-4)
    assert not found["pictures"]  # Keras would import them, for a second
    # TensorFlow had run in the parent by then: forked from it, it would wait for ever.
    assert "forked from one in which" in found["refused"]
    assert 'gymnasium.make_vec("WorldModels/Dream-v0", num_envs=64, run=...)' in found["refused"]
    assert len(found["refused"].splitlines()) == 1
    assert (found["curve"] > 0, found["extends"], found["car"]) == (True, "WorldModels/CarRacing-v3", [64, 64, 3])


def test_stable_baselines3_dreams_in_processes_of_its_own(run, tmp_path):
    pytest.importorskip("stable_baselines3", reason="an optional extra: pip install '.[sb3]'")
    script = """
import gymnasium
from stable_baselines3.common.vec_env import SubprocVecEnv


def dream():
    return gymnasium.make("utils.environments:WorldModels/Dream-v0", run="agents/tiny")


if __name__ == "__main__":
    envs = SubprocVecEnv([dream, dream])
    print(envs.reset().shape)
    envs.close()
"""
    done = elsewhere(tmp_path, run, script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"(2, {Z + RNN})"


def test_mistakes_are_named(run, tmp_path):
    with pytest.raises(UsageError, match="no run folder"):
        gymnasium.make(DREAM, run=tmp_path)
    with pytest.raises(UsageError, match="temperature"):
        gymnasium.make(DREAM, run=run, temperature=0)
