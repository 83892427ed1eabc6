"""Step 1's work: processes that play exploring episodes and write each to a file of its own."""

import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import numpy as np

from utils import episodes, seeding
from utils.config import Config
from utils.environments import describe
from utils.episodes import Rollout
from utils.errors import UsageError
from utils.processes import end_with_parent
from utils.progress import Progress
from utils.rollouts import ExplorationPolicy, Job, run
from utils.run_folder import RunFolder

_env = None  # one environment a process, made when the process starts


def collect(config: Config, folder: RunFolder, progress: Progress) -> int:
    """Plays the episodes that are not there yet. Returns how many frames there are in the end.

    Raises `UsageError` when a process dies; what it had finished stays.
    """
    todo = [i for i in range(config.num_episodes) if not episodes.is_whole(folder.rollout(i), Rollout)]
    if not todo:
        print(f"{folder.rollouts}: all episodes are there already, nothing to do")
    else:
        progress.start(len(todo) * config.max_frames)
        # spawn: a forked child would carry the parent's locks and open files.
        pool = ProcessPoolExecutor(
            min(config.parallel_processes, len(todo)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start,
            initargs=(config.env_name, os.getpid()),
        )
        try:
            pending = {pool.submit(_play, config, folder, index) for index in todo}
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    progress.advance(future.result())
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


def _start(env_name: str, parent: int) -> None:
    global _env
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    end_with_parent(parent)
    _env = describe(env_name).make()


def _play(config: Config, folder: RunFolder, index: int) -> int:
    """Plays and writes episode `index`; returns its length. The episode depends on (seed, index) alone."""
    explore = describe(config.env_name).explorations[config.exploration_policy]
    job = Job(
        env_seed=seeding.integer(config.seed, "rollout track", index),
        draw_seed=seeding.integer(config.seed, "rollout actions", index),
    )
    steps = []

    def keep(lane, job, obs, action, reward, terminated):
        steps.append((obs.copy(), action, reward, terminated))

    run([_env], ExplorationPolicy(explore, 1), [job], config.max_frames, on_step=keep)
    obs, action, reward, done = zip(*steps)
    rollout = Rollout(
        np.stack(obs), np.stack(action).astype(np.float32), np.array(reward, np.float32), np.array(done, bool)
    )
    episodes.save(folder.rollout(index), rollout)
    return len(reward)
