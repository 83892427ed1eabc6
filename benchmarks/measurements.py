"""The rows of `benchmarks.speed`. Each function measures one row and returns items per second.

python -m benchmarks.measurements NAME RUN      prints one number
"""

import inspect
import time
from pathlib import Path

import numpy as np

from benchmarks.report import command
from utils.agent.rollouts import Job, Policy, rollout_episodes
from utils.environments import get_spec
from utils.environments.car_racing.reference import driven_actions
from utils.run import cli, config
from utils.run.folder import RunFolder
from utils.system import compute

CONFIG = "config/carracing.yaml"
CAR = "WorldModels/CarRacing-v3"
NUM_ENVS = 64  # controller_num_lane in config/carracing.yaml


def _actions(seed: int = 0, steps: int = 1000) -> np.ndarray:
    return driven_actions(get_spec(CAR).make(), seed, steps)


def per_second(items: int, work) -> float:
    began = time.perf_counter()
    work()
    return items / (time.perf_counter() - began)


def measure_one(name: str, spec: str | None, module: dict) -> None:
    """Runs the function that the command line of benchmarks.NAME names, and prints its result."""
    functions = {
        key: value
        for key, value in module.items()
        if inspect.isfunction(value) and value.__module__ == "__main__" and key[0] != "_"
        and list(inspect.signature(value).parameters) in (["_"], ["run_folder"])
    }  # fmt: skip
    parser = command(name, spec)
    parser.add_argument("function", metavar="NAME", choices=functions, help=", ".join(functions))
    parser.add_argument("run", metavar="RUN", type=Path, help="run folder that has done steps 1 to 4")
    arguments = parser.parse_args()
    print(functions[arguments.function](arguments.run))


# The environment alone, one process, on one track -----------------------------------------------------------------


def _steps(env, actions, reset=True) -> float:
    def play():
        for action in actions:
            env.step(action)

    if reset:
        env.reset(seed=0)
    return per_second(len(actions), play)


def environment_stock(_) -> float:
    import gymnasium

    return _steps(gymnasium.make("CarRacing-v3"), _actions(steps=400))


def environment_envpool(_) -> float:
    """The same actions on EnvPool's own track."""
    import envpool

    env = envpool.make("CarRacing-v3", env_type="gymnasium", num_envs=1, num_threads=1, seed=0)
    env.reset()
    return _steps(env, _actions()[:, None], reset=False)


def environment_ours(_) -> float:
    env, actions = get_spec(CAR).make(), _actions()
    _steps(env, actions)  # fills the cache of drawn wheels
    return _steps(env, actions)


# V's encoder and the whole agent, one core -------------------------------------------------------------------------


def _agent(run_folder: Path, overrides: list[str] = ()):
    compute.start_tensorflow(threads=1)
    from utils.agent.agent import Agent

    return Agent(config.load(CONFIG, overrides), RunFolder(run_folder))


def encoder_predict(run_folder: Path) -> float:
    encoder = _agent(run_folder).vae.encode_mu_logvar
    image = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    encoder.predict(image, verbose=0)
    return per_second(100, lambda: [encoder.predict(image, verbose=0) for _ in range(100)])


def _encoder(run_folder: Path, precision: str, frames: int, frozen: bool = True) -> float:
    vae = _agent(run_folder, [f"vae_precision={precision}"]).vae  # before TensorFlow is imported: it sets the threads
    import tensorflow as tf

    from models.vae import frozen_encoder, images_from_obs

    called = frozen_encoder(vae) if frozen else lambda obs: vae.encode_mu_logvar(images_from_obs(obs), training=False)
    encode = tf.function(called, autograph=False)
    obs = np.random.default_rng(0).integers(0, 256, (frames, 64, 64, 3), np.uint8)
    encode(obs)
    repeats = 6400 // frames
    return per_second(repeats * frames, lambda: [encode(obs)[0].numpy() for _ in range(repeats)])


def encoder_called(run_folder: Path) -> float:
    return _encoder(run_folder, "auto", NUM_ENVS, frozen=False)


def encoder_float32(run_folder: Path) -> float:
    return _encoder(run_folder, "float32", NUM_ENVS)


def encoder_16_frames(run_folder: Path) -> float:
    return _encoder(run_folder, "auto", 16)


def encoder_ours(run_folder: Path) -> float:
    return _encoder(run_folder, "auto", NUM_ENVS)


def agent_predict(run_folder: Path) -> float:
    """The stock environment, and Keras's `predict` for each frame and each step of M, as in reference code."""
    import keras

    agent = _agent(run_folder)
    size, inputs = agent.rnn.rnn_size, agent.rnn.input_size
    x, h, c = keras.Input((1, inputs)), keras.Input((size,)), keras.Input((size,))
    cell = keras.layers.LSTM(size, return_state=True)
    memory = keras.Model([x, h, c], cell(x, initial_state=[h, c])[1:])
    cell.set_weights(agent.rnn.lstm.get_weights())
    weights = np.zeros((inputs - 4 + size, 3), np.float32)
    actions, env = _actions(steps=130), agent.spec.make_stock()
    obs, reward, state = env.reset(seed=0)[0], 0.0, [np.zeros((1, size), np.float32)] * 2
    for step, scripted in enumerate(actions):
        if step == 10:
            began = time.perf_counter()
        mu, logvar = agent.vae.encode_mu_logvar.predict(obs[None] / 255, verbose=0)
        z = mu + np.exp(logvar / 2) * np.random.standard_normal(mu.shape)
        np.tanh(np.concatenate([z, state[0]], 1) @ weights)  # the controller; its action is not used
        obs, reward, *_ = env.step(scripted)
        row = np.concatenate([z, scripted[None], [[reward]]], 1)
        state = memory.predict([row[None].astype(np.float32), *state], verbose=0)
    return (len(actions) - 10) / (time.perf_counter() - began)


class _Driven(Policy):
    """An agent that computes its actions, but takes scripted ones, so that it measures driving on a track."""

    def __init__(self, policy, actions: list[np.ndarray]):
        self._policy, self._actions, self._step = policy, actions, np.zeros(len(actions), int)

    def begin(self, env_index: int, job: Job) -> None:
        self._policy.begin(env_index, job)
        self._step[env_index] = 0

    def act(self, obs, reward_or_done):
        self._policy.act(obs, reward_or_done)
        actions = [script[step] for script, step in zip(self._actions, self._step)]
        self._step += 1
        return np.stack(actions)


def agent_ours(run_folder: Path) -> float:
    """Whole episodes in 64 environments, with resets."""
    agent = _agent(run_folder)
    policy = agent.policy(NUM_ENVS, np.zeros((1, agent.controller.num_parameters), np.float32))
    scripts = [_actions(seed) for seed in range(NUM_ENVS)]
    steps = min(len(script) for script in scripts)
    envs = [agent.spec.make() for _ in range(NUM_ENVS)]
    jobs = [Job(seed, seed) for seed in range(NUM_ENVS)]
    rollout_episodes(envs, _Driven(policy, scripts), jobs, 60)
    return per_second(steps * NUM_ENVS, lambda: rollout_episodes(envs, _Driven(policy, scripts), jobs, steps))


def dream(run_folder: Path, configuration: str, precision: str, steps: int = 300) -> float:
    """32 candidates in 16 dreams each, as a task of config/carracing_dream.yaml. No dream ends early."""
    compute.start_tensorflow(threads=1)
    from utils.agent.agent import Agent
    from utils.dreams.evaluator import DreamEvaluator

    run = RunFolder(run_folder)
    agent = Agent(config.load(configuration, [f"rnn_precision={precision}"]), run)
    if agent.spec.predicts == "done":
        agent.rnn.mdn.bias.assign(np.r_[agent.rnn.mdn.bias.numpy()[:-1], -1e3])  # the last one is the logit of the end
    evaluator = DreamEvaluator.of_run(agent, run)
    candidates = np.random.default_rng(0).normal(0, 0.1, (32, agent.controller.num_parameters)).astype(np.float32)
    jobs = [Job(seed, seed) for _ in candidates for seed in range(16)]
    evaluator.score(candidates, jobs, steps)
    return per_second(len(jobs) * steps, lambda: evaluator.score(candidates, jobs, steps))


def dream_float32(run_folder: Path) -> float:
    return dream(run_folder, CONFIG, "float32")


def dream_ours(run_folder: Path) -> float:
    return dream(run_folder, CONFIG, "auto")


def _dreams_of_an_environment(env, steps: int) -> float:
    """Calls of `step` a second, each with its `info`."""
    action = env.action_space.sample()
    compute.start_tensorflow(threads=1)
    env.reset(seed=0)
    _steps(env, [action] * 20, reset=False)
    return _steps(env, [action] * steps, reset=False)


def dream_vector(run_folder: Path) -> float:
    import gymnasium

    return 512 * _dreams_of_an_environment(
        gymnasium.make_vec("WorldModels/Dream-v0", num_envs=512, run=run_folder), 280
    )


def dream_single(run_folder: Path) -> float:
    import gymnasium

    return _dreams_of_an_environment(gymnasium.make("WorldModels/Dream-v0", run=run_folder), 900)


def peak(_) -> float:
    return products_per_second(threads=1)


def products_per_second(threads: int | None) -> float:
    """Multiply-adds a second of one large product in bfloat16, the most that the processor does."""
    compute.start_tensorflow(threads)
    import tensorflow as tf

    size = 4096
    matrix = tf.cast(tf.random.normal((size, size)), tf.bfloat16)
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)))
    product()
    return max(per_second(size**3, lambda: product().numpy()) for _ in range(5))


if __name__ == "__main__":
    cli.call(lambda: measure_one("measurements", __doc__, globals()), timed=False)
