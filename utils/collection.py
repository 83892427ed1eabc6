"""Step 1's work: processes that play exploring episodes and write each to a file of its own."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import numpy as np

from utils import compute, episodes, seeding
from utils.config import Config
from utils.environments import describe
from utils.episodes import Rollout
from utils.errors import UsageError
from utils.files import written_aside
from utils.needs import check_disk
from utils.processes import end_with_parent
from utils.progress import Progress
from utils.rollouts import ExplorationPolicy, Job, Outcome, run
from utils.run_folder import RunFolder, previous

FIRST_EPISODES = 8  # how large they are tells how much room all will need
LANES = 16  # episodes that a process plays at once when an agent drives

_envs, _policy = [], None  # of a process, made when it starts


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
        lanes = LANES if config.rollout_policy == "controller" else 1  # V is fastest when it sees many at once
        groups = [todo[begin : begin + lanes] for begin in range(0, len(todo), lanes)]
        # spawn: a forked child would carry the parent's locks and open files.
        pool = ProcessPoolExecutor(
            min(config.parallel_processes, len(groups)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(config, lanes, os.getpid()),
        )
        try:
            played = {pool.submit(_play, config, folder, group): len(group) for group in groups}
            pending, written, done, checked = set(played), 0, 0, False
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    written += future.result()
                    done += played[future]
                    progress.advance(played[future])
                if not checked and done >= min(FIRST_EPISODES, len(todo)):
                    check_disk(folder.rollouts, written / done * (len(todo) - done), "fewer max_trials")
                    checked = True
        except BrokenProcessPool:
            raise UsageError(
                "a process that collects rollouts was killed; what is finished is kept: run the same command again"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)  # waits for the episodes in flight
            progress.close()
    return sum(
        len(episodes.load(folder.rollout(i), Rollout, only=("reward",)).reward) for i in range(config.num_episodes)
    )


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
            with written_aside(folder.rollout(index)) as aside:
                try:
                    os.link(path, aside)
                except OSError:
                    shutil.copyfile(path, aside)
    return range(len(paths))


def _start(config: Config, lanes: int, parent: int) -> None:
    global _envs, _policy
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    end_with_parent(parent)
    description = describe(config.env_name)
    _envs = [description.make() for _ in range(lanes)]
    if config.rollout_policy == "explore":
        _policy = ExplorationPolicy(description.explorations[config.exploration_policy], lanes)
        return
    compute.start_tensorflow(threads=1)
    from utils.agent import Agent, PushedPolicy
    from utils.agent_file import load_unchosen

    before = previous(config)
    agent = Agent(before.read_config(), before)
    policy = agent.policy(lanes)
    policy.candidates = load_unchosen(agent.config, before, agent.num_parameters)[0][None]
    _policy = PushedPolicy(policy, lanes, description.action_size, config.rollout_noise)


def _play(config: Config, folder: RunFolder, indices: list[int]) -> int:
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
        _envs, _policy, jobs, config.max_frames,
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

    def keep(lane, job, obs, action, reward, terminated):
        steps[job].append((obs.copy(), action, reward, terminated))

    def end(job, outcome):
        obs, action, reward, done = zip(*steps.pop(job))
        rollout = Rollout(
            np.stack(obs), np.stack(action).astype(np.float32), np.array(reward, np.float32), np.array(done, bool)
        )
        on_end(job, rollout)

    return run(envs, policy, jobs, max_steps, on_step=keep, on_end=end, on_begin=begin)
