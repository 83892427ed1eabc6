"""What `benchmarks.speed` measures, each in a process of its own: functions that return so many a second.

python -m benchmarks.measurements NAME RUN      prints one number
"""

import inspect
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.report import command
from utils.agent.rollouts import Job, rollout_episodes
from utils.environments import get_spec
from utils.environments.car_racing.reference import driven_actions
from utils.run import cli, config
from utils.run.folder import RunFolder
from utils.system import compute

CONFIG = "config/carracing.yaml"
CAR = "WorldModels/CarRacing-v3"
NUM_ENVS = 64  # environments of a worker in config/carracing.yaml


def _actions(seed: int = 0, steps: int = 1000) -> np.ndarray:
    return driven_actions(get_spec(CAR).make(), seed, steps)


def per_second(items: int, work) -> float:
    began = time.perf_counter()
    work()
    return items / (time.perf_counter() - began)


def measure_one(name: str, spec: str | None, module: dict) -> None:
    """Reads the command line of benchmarks.NAME, and prints what the function that it names returns."""
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


# The environment alone, one process, driving along one track ------------------------------------------------------


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
    """The same actions on a track of its own making."""
    import envpool

    env = envpool.make("CarRacing-v3", env_type="gymnasium", num_envs=1, num_threads=1, seed=0)
    env.reset()
    return _steps(env, _actions()[:, None], reset=False)


def environment_ours(_) -> float:
    env, actions = get_spec(CAR).make(), _actions()
    _steps(env, actions)  # draws the wheels that are kept
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
    """The stock environment, and Keras's `predict` for a frame and for a step of M, as reference code does it."""
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
        np.tanh(np.concatenate([z, state[0]], 1) @ weights)  # the controller: its answer is not the one that counts
        obs, reward, *_ = env.step(scripted)
        row = np.concatenate([z, scripted[None], [[reward]]], 1)
        state = memory.predict([row[None].astype(np.float32), *state], verbose=0)
    return (len(actions) - 10) / (time.perf_counter() - began)


class _Driven:
    """An agent that does all its work and is then driven by the script: what is measured is driving."""

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
    """Whole episodes of 64 environments, resets and all."""
    agent = _agent(run_folder)
    policy = agent.policy(NUM_ENVS, np.zeros((1, agent.controller.num_parameters), np.float32))
    scripts = [_actions(seed) for seed in range(NUM_ENVS)]
    steps = min(len(script) for script in scripts)
    envs = [agent.spec.make() for _ in range(NUM_ENVS)]
    jobs = [Job(seed, seed) for seed in range(NUM_ENVS)]
    rollout_episodes(envs, _Driven(policy, scripts), jobs, 60)
    return per_second(steps * NUM_ENVS, lambda: rollout_episodes(envs, _Driven(policy, scripts), jobs, steps))


def dream_ours(run_folder: Path) -> float:
    """Rollouts of 32 candidates in 16 dreams each, as a part of config/carracing_dream.yaml."""
    agent = _agent(run_folder)
    from utils.dreams.evaluator import DreamEvaluator

    evaluator = DreamEvaluator(agent, RunFolder(run_folder))
    candidates = np.random.default_rng(0).normal(0, 0.1, (32, agent.controller.num_parameters)).astype(np.float32)
    jobs = [Job(seed, seed) for _ in candidates for seed in range(16)]
    evaluator.score(candidates, jobs, 300)
    return per_second(len(jobs) * 300, lambda: evaluator.score(candidates, jobs, 300))


# Training, all cores -------------------------------------------------------------------------------------------------


def _training(batches, train_step, steps: int, items: int) -> float:
    import tensorflow as tf

    for step, batch in enumerate(batches):
        if step == 3:  # the first ones compile
            began = time.perf_counter()
        float(train_step(batch, tf.constant(step, tf.int64))["loss"])
        if step == steps + 2:
            return steps * items / (time.perf_counter() - began)
    raise ValueError("too few batches")


def _vae(run_folder: Path, in_memory: bool) -> float:
    compute.start_tensorflow()
    from models.vae import build_vae
    from utils.data.frames import FrameStream, prefetched
    from utils.training.train_vae import make_train_step

    settings = config.load(CONFIG)
    train_step, _ = make_train_step(build_vae(32, compute.precision("auto"), 0), settings)
    paths = sorted((run_folder / "rollouts").glob("*.npz"))
    batches = prefetched(FrameStream(paths, settings.vae_batch_size, 5000, 0).batches(0, 100), depth=8)
    if in_memory:
        batches = itertools.repeat(next(batches))
    return _training(batches, train_step, 80, settings.vae_batch_size)


def _rnn(run_folder: Path, in_memory: bool) -> float:
    compute.start_tensorflow()
    from utils.agent.checkpoints import build_rnn
    from utils.data.frames import prefetched
    from utils.data.sequences import SequenceSet
    from utils.training.train_rnn import make_steps

    settings = config.load(CONFIG)
    train_step, *_ = make_steps(build_rnn(settings), settings)
    sequences = SequenceSet(sorted((run_folder / "series").glob("episode_*.npz")), settings)
    batches = prefetched(sequences.batches(0, settings.rnn_batch_size, 0), depth=4)
    if in_memory:
        batches = itertools.repeat(next(batches))
    return _training(batches, train_step, 12, settings.rnn_batch_size * sequences.time)


def vae_in_memory(run_folder: Path) -> float:
    return _vae(run_folder, in_memory=True)


def vae_streamed(run_folder: Path) -> float:
    return _vae(run_folder, in_memory=False)


def rnn_in_memory(run_folder: Path) -> float:
    return _rnn(run_folder, in_memory=True)


def rnn_dealt(run_folder: Path) -> float:
    return _rnn(run_folder, in_memory=False)


# Steps 1 and 3, all cores, from the first process to the last file -------------------------------------------------


def rollouts_two_processes(_) -> float:
    from utils.data.collect import collect
    from utils.system.progress import Progress

    settings = config.load(CONFIG, ["parallel_processes=2", "max_trials=60"])
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        return collect(settings, RunFolder(Path(folder)), Progress("rollouts", "episodes")) / (
            time.perf_counter() - began
        )


def encoder_all_cores(run_folder: Path) -> float:
    compute.start_tensorflow()
    from models.vae import FrameCodec
    from utils.agent.checkpoints import load_vae

    codec = FrameCodec(load_vae(config.load(CONFIG), RunFolder(run_folder)))
    obs = np.random.default_rng(0).integers(0, 256, (codec.BATCH * 10, 64, 64, 3), np.uint8)
    codec.encode(obs[: codec.BATCH])
    return per_second(len(obs), lambda: codec.encode(obs))


def series_written(run_folder: Path) -> float:
    """What step 3 does once TensorFlow is there: 400 episodes, the run's 40 under ten names."""
    compute.start_tensorflow()
    from utils.data.encode import encode_rollouts
    from utils.system.progress import Progress

    settings = config.load(CONFIG, ["parallel_processes=2", "max_trials=200"])
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        run.vae.symlink_to(run_folder / "vae")
        run.rollouts.mkdir()
        rollouts = sorted((run_folder / "rollouts").glob("*.npz"))
        for index in range(settings.num_episodes):
            run.rollout(index).symlink_to(rollouts[index % len(rollouts)])
        began = time.perf_counter()
        frames = encode_rollouts(settings, run, Progress("series", "episodes"))
        return frames / (time.perf_counter() - began)


if __name__ == "__main__":
    cli.call(lambda: measure_one("measurements", __doc__, globals()), timed=False)
