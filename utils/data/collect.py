"""Step 1's work: processes play episodes, random or the controller's, and write each to a file of its own.

Step 3 lets them play as well, for episodes of which no frame is kept (`encode.py`). Under mpiexec or srun the other MPI
ranks are these processes, on as many hosts as MPI has.
"""

import multiprocessing
import os
import signal
import traceback
from concurrent.futures import Executor, as_completed
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import cast

import gymnasium

from utils.agent.rollouts import ExplorationPolicy, Job, Policy, Recorder, rollout_episodes
from utils.environments import get_spec
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Rollout
from utils.run.folder import RunFolder
from utils.run.lineage import previous
from utils.run.steps import Step
from utils.system import compute, seeding
from utils.system.errors import UsageError
from utils.system.processes import end_with_parent
from utils.system.progress import Progress
from utils.system.resources import check_disk

FIRST_EPISODES = 8  # their size tells how much room all episodes need
NUM_ENVS = 16  # of a process, when an agent plays: V is fastest with many frames at once
EPISODES_PER_TASK = 16  # of an MPI rank, which makes its environments anew for each task
EPISODES_PER_ENV = 4  # of an agent, one after another, so that no environment waits for the longest episode of all


def collect(config: Config, run: RunFolder, progress: Progress, ranks: Executor | None = None) -> int:
    """Plays the episodes that are missing. Returns how many frames the run then has.

    ranks: who plays, in place of `parallel_processes` processes.
    Raises `UsageError` when a process dies. Finished episodes stay.
    """
    todo = [i for i in range(config.num_episodes) if not episodes.is_whole(run.rollout(i), Rollout)]
    if todo and (before := previous(config)):
        taken = _take_over(before, run)
        todo = [i for i in todo if i not in taken]
    if not todo:
        run.say_done(f"{run.rollouts}: all episodes are there")
    else:
        play(Rollouts(config, run), todo, progress, ranks)
    return sum(len(episodes.load(run.rollout(i), Rollout, only=("reward",)).reward) for i in range(config.num_episodes))


def _take_over(before: RunFolder, run: RunFolder) -> range:
    """Makes the rollouts of an earlier run the first ones of this run. Returns their numbers.

    They are the same files, if the file system has hard links.
    """
    if not before.has_rollouts():
        print(f"{before.path} was shipped without its rollouts: all episodes are new", flush=True)
        return range(0)
    paths = before.rollout_paths(before.read_config())
    before.require_episodes(paths, Rollout, Step.ROLLOUTS)
    for index, path in enumerate(paths):
        episodes.take_over(path, run.rollout(index), Rollout)
    return range(len(paths))


class Rollouts:
    """What the processes of step 1 are told: how to play episodes, and how to save each.

    what: names their random draws.
    """

    what, remedy = "rollout", "fewer max_trials"

    def __init__(self, config: Config, run: RunFolder):
        self.config, self.run = config, run
        plays = config.rollout_policy == "controller"
        self.num_envs, self.group_size = (NUM_ENVS, NUM_ENVS * EPISODES_PER_ENV) if plays else (1, 1)

    def path(self, index: int) -> Path:
        return self.run.rollout(index)

    def envs_and_policy(self) -> tuple[list[gymnasium.Env], Policy]:
        config, spec = self.config, get_spec(self.config.env_name)
        envs = [spec.make() for _ in range(self.num_envs)]
        before = previous(config)
        if config.rollout_policy == "explore" or before is None:
            return envs, ExplorationPolicy(spec.explorations[config.exploration_policy], self.num_envs)
        compute.start_tensorflow(threads=1)
        from utils.agent.agent import Agent, NoisyPolicy
        from utils.agent.controllers import load_checked_controller

        agent = Agent(before.read_config(), before)
        parameters, _ = load_checked_controller(agent.config, before)
        policy = agent.policy(self.num_envs, parameters[None])
        return envs, NoisyPolicy(policy, self.num_envs, spec.action_size, config.rollout_noise)

    def save(self, index: int, rollout: Rollout) -> None:
        episodes.save(self.path(index), rollout)


def play(work: Rollouts, indices: list[int], progress: Progress, ranks: Executor | None = None) -> None:
    """Plays the episodes with these numbers in `parallel_processes` processes, or on `ranks`.

    Raises `UsageError` when a process dies. Finished episodes stay.
    """
    size = min(work.group_size, -(-len(indices) // work.config.parallel_processes))
    groups = [indices[begin : begin + size] for begin in range(0, len(indices), size)]
    progress.start(len(indices))
    if ranks:
        _play_on_ranks(ranks, work, groups, progress)
        progress.close()
        return
    pool = _Pool(work, progress)
    try:
        pool.play(groups)
    finally:
        pool.close()
        progress.close()


def _play_on_ranks(ranks: Executor, work: Rollouts, groups: list[list[int]], progress: Progress) -> None:
    at_once = max(1, EPISODES_PER_TASK // work.group_size)
    tasks = [groups[begin : begin + at_once] for begin in range(0, len(groups), at_once)]
    playing = {ranks.submit(_play_task, work, task): sum(map(len, task)) for task in tasks}
    try:
        for future in as_completed(playing):
            future.result()
            progress.advance(playing[future])
    finally:
        ranks.shutdown(wait=False, cancel_futures=True)


def _play_task(work: Rollouts, groups: list[list[int]]) -> None:
    """What a rank does. It keeps nothing, so that any rank may play any task."""
    envs, policy = work.envs_and_policy()
    try:
        for group in groups:
            _play(envs, policy, work, group)
    finally:
        for env in envs:
            env.close()


class _Pool:
    """Processes that play groups of episodes. Each gets the next group as soon as it is free.

    They talk through pipes. The queues of a ProcessPoolExecutor need Python's resource tracker, which is one more
    process that may be killed, and its successor prints a traceback for each queue.
    """

    def __init__(self, work: Rollouts, progress: Progress):
        self._work, self._progress = work, progress
        self._processes: dict[Connection, BaseProcess] = {}
        self._playing: dict[Connection, int] = {}  # the number of episodes that each process plays now

    def play(self, groups: list[list[int]]) -> None:
        """Plays all groups. Raises the error of a process, `UsageError` if one is killed."""
        waiting, total = iter(groups), sum(map(len, groups))
        done = written = 0
        checked = False
        try:
            for _ in range(min(self._work.config.parallel_processes, len(groups))):
                self._give(self._start(), next(waiting, None))
            while self._playing:
                for pipe in cast(list[Connection], wait(list(self._playing))):
                    answer = pipe.recv()
                    if isinstance(answer, Exception):
                        raise answer
                    num_episodes = self._playing.pop(pipe)
                    written, done = written + answer, done + num_episodes
                    self._progress.advance(num_episodes)
                    if not checked and done >= min(FIRST_EPISODES, total):
                        check_disk(self._work.path(0).parent, written / done * (total - done), self._work.remedy)
                        checked = True
                    self._give(pipe, next(waiting, None))
        except (EOFError, ConnectionError):
            for process in self._processes.values():
                process.terminate()
            raise UsageError(
                "a process that collects rollouts was killed; what is finished is kept: run the same command again"
            ) from None

    def _start(self) -> Connection:
        spawn = multiprocessing.get_context("spawn")  # a forked child would have the parent's locks and open files
        pipe, theirs = spawn.Pipe()
        arguments = theirs, self._work, os.getpid()
        process = spawn.Process(target=_play_groups, args=arguments)
        process.start()
        self._processes[pipe] = process
        theirs.close()
        return pipe

    def _give(self, pipe: Connection, group: list[int] | None) -> None:
        if group:
            pipe.send(group)
            self._playing[pipe] = len(group)

    def close(self) -> None:
        for pipe in self._processes:
            pipe.close()
        for process in self._processes.values():
            process.join()  # it finishes its episodes


def _play_groups(pipe: Connection, work: Rollouts, parent: int) -> None:
    """What a process does: takes groups of episodes from `pipe` until the other end closes.

    Answers each with the number of bytes written, or with an exception.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    end_with_parent(parent)
    try:
        envs, policy = work.envs_and_policy()
        while True:
            try:
                group = pipe.recv()
            except EOFError:
                break
            pipe.send(_play(envs, policy, work, group))
    except ConnectionError:  # the other end closed during a group
        pass
    except Exception as error:
        error.add_note(traceback.format_exc())
        pipe.send(error)


def _play(envs: list[gymnasium.Env], policy: Policy, work: Rollouts, indices: list[int]) -> int:
    """Plays and writes the episodes with these numbers. Returns the number of bytes.

    An explored episode depends on (seed, index) alone. The last digits of an agent's episode depend on its batch.
    """
    seed = work.config.draw_seed
    jobs = [
        Job(
            env_seed=seeding.integer(seed, f"{work.what} track", index),
            draw_seed=seeding.integer(seed, f"{work.what} actions", index),
        )
        for index in indices
    ]
    recorder = Recorder(lambda job, rollout: work.save(indices[job], rollout))
    rollout_episodes(envs, policy, jobs, work.config.max_frames, [recorder])
    return sum(work.path(index).stat().st_size for index in indices)
