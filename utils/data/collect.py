"""Step 1's work: processes that play exploring episodes and write each to a file of its own."""

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait

import numpy as np

from utils.agent.rollouts import ExplorationPolicy, Job, Outcome, Policy, run
from utils.environments import get_spec
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Rollout
from utils.run.folder import RunFolder, previous
from utils.system import compute, seeding
from utils.system.errors import UsageError
from utils.system.files import atomic_write, link_or_copy
from utils.system.processes import end_with_parent
from utils.system.progress import Progress
from utils.system.resources import check_disk

FIRST_EPISODES = 8  # how large they are tells how much room all will need
NUM_ENVS = 16  # episodes that a process plays at once when an agent drives


def collect(config: Config, folder: RunFolder, progress: Progress) -> int:
    """Plays the episodes that are not there yet. Returns how many frames there are in the end.

    Raises `UsageError` when a process dies; what it had finished stays.
    """
    todo = [i for i in range(config.num_episodes) if not episodes.is_whole(folder.rollout(i), Rollout)]
    if todo and (before := previous(config)):
        taken = _take_over(before, folder)
        todo = [i for i in todo if i not in taken]
    if not todo:
        print(f"{folder.rollouts}: all episodes are there already, nothing to do")
    else:
        progress.start(len(todo))
        num_envs = NUM_ENVS if config.rollout_policy == "controller" else 1  # V is fastest when it sees many at once
        groups = [todo[begin : begin + num_envs] for begin in range(0, len(todo), num_envs)]
        try:
            _share_out(config, folder, groups, num_envs, progress)
        finally:
            progress.close()
    return sum(
        len(episodes.load(folder.rollout(i), Rollout, only=("reward",)).reward) for i in range(config.num_episodes)
    )


def _share_out(config: Config, folder: RunFolder, groups: list[list[int]], num_envs: int, progress: Progress) -> None:
    """Starts processes that play `groups` of episodes; each gets the next group as soon as it is free. Raises the error
    of a process, `UsageError` if one is killed.

    They talk through pipes. A ProcessPoolExecutor's queues need Python's resource tracker, which is one more process
    that may be killed, and its successor prints a traceback for each queue.
    """
    spawn = multiprocessing.get_context("spawn")  # a forked child would carry the parent's locks and open files
    processes, playing, waiting = {}, {}, iter(groups)
    total, done, written, checked = sum(map(len, groups)), 0, 0, False

    def give(pipe: Connection) -> None:
        if group := next(waiting, None):
            pipe.send(group)
            playing[pipe] = len(group)

    try:
        for _ in range(min(config.parallel_processes, len(groups))):
            pipe, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(theirs, config, folder, num_envs, os.getpid()))
            process.start()
            processes[pipe] = process
            theirs.close()
            give(pipe)
        while playing:
            for pipe in wait(list(playing)):
                answer = pipe.recv()
                if isinstance(answer, Exception):
                    raise answer
                episodes_played = playing.pop(pipe)
                written, done = written + answer, done + episodes_played
                progress.advance(episodes_played)
                if not checked and done >= min(FIRST_EPISODES, total):
                    check_disk(folder.rollouts, written / done * (total - done), "fewer max_trials")
                    checked = True
                give(pipe)
    except (EOFError, ConnectionError):
        for process in processes.values():
            process.terminate()
        raise UsageError(
            "a process that collects rollouts was killed; what is finished is kept: run the same command again"
        ) from None
    finally:
        for pipe in processes:
            pipe.close()
        for process in processes.values():
            process.join()  # it plays the episodes in flight to their end


def _take_over(before: RunFolder, folder: RunFolder) -> range:
    """The rollouts of an earlier run become the first ones of this one: the same files, where the disk allows it.

    Returns their numbers.
    """
    if not before.has_rollouts():
        print(f"{before.path} was shipped without its rollouts: all episodes are new", flush=True)
        return range(0)
    paths = before.rollout_paths(before.read_config())
    before.require_episodes(paths, Rollout, 1)
    for index, path in enumerate(paths):
        if not episodes.is_whole(folder.rollout(index), Rollout):
            with atomic_write(folder.rollout(index)) as aside:
                link_or_copy(path, aside)
    return range(len(paths))


def _serve(pipe: Connection, config: Config, folder: RunFolder, num_envs: int, parent: int) -> None:
    """Takes groups of episodes from `pipe` until the other end closes. Plays each and answers how many bytes it has
    written, or an exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    end_with_parent(parent)
    try:
        envs, policy = _players(config, num_envs)
        while True:
            try:
                group = pipe.recv()
            except EOFError:
                break
            pipe.send(_play(envs, policy, config, folder, group))
    except ConnectionError:  # the other end closed while this one played
        pass
    except Exception as error:
        error.add_note(traceback.format_exc())
        pipe.send(error)


def _players(config: Config, num_envs: int) -> tuple[list, Policy]:
    """The environments, and the policy that plays in them."""
    spec = get_spec(config.env_name)
    envs = [spec.make() for _ in range(num_envs)]
    if config.rollout_policy == "explore":
        return envs, ExplorationPolicy(spec.explorations[config.exploration_policy], num_envs)
    compute.start_tensorflow(threads=1)
    from utils.agent.agent import Agent, NoisyPolicy
    from utils.agent.checkpoints import load_without_selection

    before = previous(config)
    agent = Agent(before.read_config(), before)
    policy = agent.policy(num_envs)
    policy.candidates = load_without_selection(agent.config, before, agent.num_parameters)[0][None]
    return envs, NoisyPolicy(policy, num_envs, spec.action_size, config.rollout_noise)


def _play(envs: list, policy: Policy, config: Config, folder: RunFolder, indices: list[int]) -> int:
    """Plays and writes episodes. Returns how many bytes they take. What explorers do depends on (seed, index) alone; of
    an agent's episode the last digits depend on those it shares its batch with."""
    jobs = [
        Job(
            env_seed=seeding.integer(config.draw_seed, "rollout track", index),
            draw_seed=seeding.integer(config.draw_seed, "rollout actions", index),
        )
        for index in indices
    ]
    record(
        envs, policy, jobs, config.max_frames,
        lambda job, rollout: episodes.save(folder.rollout(indices[job]), rollout),
    )  # fmt: skip
    return sum(folder.rollout(index).stat().st_size for index in indices)


def record(
    envs: list, policy, jobs: list[Job], max_steps: int, on_end: Callable[[int, Rollout], None]
) -> list[Outcome]:
    """As `rollouts.run`, and hands each job's number and what happened in it to `on_end`."""
    steps = {}

    def begin(job):
        steps[job] = []

    def keep(env_index, job, obs, action, reward, terminated):
        steps[job].append((obs.copy(), action, reward, terminated))

    def end(job, outcome):
        obs, action, reward, done = zip(*steps.pop(job))
        rollout = Rollout(
            np.stack(obs), np.stack(action).astype(np.float32), np.array(reward, np.float32), np.array(done, bool)
        )
        on_end(job, rollout)

    return run(envs, policy, jobs, max_steps, on_step=keep, on_end=end, on_begin=begin)
