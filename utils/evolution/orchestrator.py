"""The orchestrator: asks CMA-ES for a population, has the workers score it, tells CMA-ES the scores.

Chapter, "Parallelizing CMA-ES", figure 12-15.
"""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from utils.evolution.beginning import start, stopped
from utils.evolution.log import EvolutionLog
from utils.evolution.state import EvolutionState, FinishedTasks
from utils.evolution.tasks import (
    Messenger,
    Ready,
    ScheduledTask,
    Task,
    TaskResult,
    evaluation_tasks,
    evaluations,
    generation_tasks,
    hard_tracks,
    screening_tasks,
)
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.summaries import STATISTICS, statistics
from utils.system.errors import UsageError
from utils.system.progress import Progress

KEPT_POPULATIONS = 60  # at most about so many, for a figure; of a longer evolution every second, third ...


class WorkerPool:
    """The workers, and which of them are free."""

    def __init__(self, ranks: Messenger):
        self._ranks = ranks
        self._free: list[int] = []
        self._ready: list[Ready] = []
        self.schedule: list[ScheduledTask] = []  # of the tasks that were scored last

    def wait_for_first(self) -> Ready:
        rank, (_, ready) = self._ranks.receive()
        self._welcome(rank, ready)
        return ready

    def _welcome(self, rank: int, ready: Ready) -> None:
        self._free.append(rank)
        self._ready.append(ready)
        if len(self._ready) == len(self._ranks.workers):
            slowest = max(ready.seconds for ready in self._ready)
            count = len(self._ready)
            print(f"{count} worker{'s' * (count > 1)}, the last one ready after {slowest:.1f} s", flush=True)

    def score(self, tasks: list[Task], finished: FinishedTasks, title: str) -> list[TaskResult]:
        """Hands each task that is not finished to the next free worker. Results in the order of the tasks.

        title: of the progress bar.
        """
        results = {task.name: result for task in tasks if (result := finished.read(task.name))}
        waiting = deque(task for task in tasks if task.name not in results)
        progress = Progress(title, "tasks")
        progress.start(len(tasks), len(results), at_once=len(self._ranks.workers))
        began, sent = time.monotonic(), dict[int, float]()
        self.schedule = []
        # A thread writes: the disk of a cluster may take as long for a file as hundreds of workers for a task together.
        with ThreadPoolExecutor(max_workers=1) as writer:
            writes = deque[Future]()
            while len(results) < len(tasks):
                while waiting and self._free:
                    sent[self._free[-1]] = time.monotonic() - began
                    self._ranks.send(waiting.popleft(), self._free.pop())
                rank, (name, answer) = self._ranks.receive()
                if name == "ready":
                    self._welcome(rank, answer)
                    continue
                self._free.append(rank)
                writes.append(writer.submit(finished.write, name, answer))
                while writes and writes[0].done():
                    writes.popleft().result()  # or raises what went wrong
                results[name] = answer
                times = (round(at, 3) for at in (sent[rank], time.monotonic() - began))
                self.schedule.append(ScheduledTask(name, rank, *times))
                progress.advance()
        for write in writes:
            write.result()
        progress.close()
        return [results[task.name] for task in tasks]

    def stop(self) -> None:
        """Returns when no worker will send anything more."""
        for rank in self._ranks.workers:
            self._ranks.send(None, rank)
        left = len(self._ranks.workers)
        while left:
            _, (name, _) = self._ranks.receive()
            left -= name == "stopped"


def orchestrate(ranks: Messenger, config: Config, run: RunFolder) -> EvolutionState:
    """Evolves the controller for `controller_num_generation` generations. Returns the last state."""
    pool, log = WorkerPool(ranks), EvolutionLog(config, run)
    _say_who_works(len(ranks.workers), config, pool.wait_for_first().dreams_in)
    state = _begin(config, run, log)
    if config.controller_hard_fraction and not state.hard_tracks:
        state.hard_tracks = _screen(pool, state, config, run)
    began = time.monotonic()
    # A thread writes files and draws while the workers have the next population: this takes as long as hundreds of them
    # for a good part of a generation.
    with ThreadPoolExecutor(max_workers=1) as writer:
        written: Future | None = None
        while state.generation < config.controller_num_generation:
            row, memory_mb = _generation(pool, state, config, run, log, written)
            now = time.monotonic()
            row |= {
                "generation_seconds": round(now - began, 3),
                "seconds": round((state.rows[-1]["seconds"] if state.rows else 0.0) + now - began, 3),
                "worker_ranks": len(ranks.workers),
                "worker_memory_mb": round(memory_mb, 1),
                "cma_stop": " ".join(state.es.stop()),
            }
            began = now  # saving this generation counts for the next one
            state.complete(row)
            print(log.line(state), flush=True)
            written = writer.submit(_write, state, state.frozen(), run, log)
        pool.stop()
        if written:
            written.result()
    return state


def _write(state: EvolutionState, frozen: bytes, run: RunFolder, log: EvolutionLog) -> None:
    """Keeps a generation. Meanwhile `state.ask` may draw the next population, so what it changes is frozen."""
    state.save(frozen, run.controller)
    log.write(state)


def _say_who_works(workers: int, config: Config, dreams_in: str) -> None:
    """Prints in what dreams are computed, and the setting that would keep all workers busy if this one does not."""
    if config.controller_environment == "dream":
        gpu = "; the first worker of each host on its GPU" if config.controller_gpu else ""
        print(f"each worker dreams on one core, {dreams_in}{gpu}", flush=True)
    tasks, population = config.controller_num_worker, config.population
    if workers > tasks:
        wanted = next((count for count in range(workers, population) if population % count == 0), population)
        better = f"controller_num_worker={wanted} controller_num_worker_trial={population // wanted}"
        remedy = f"; in a new run {better} would keep {min(wanted, workers)} busy" if wanted > tasks else ""
        print(
            f"{workers} workers, and a generation has {tasks} tasks: {workers - tasks} have nothing to do{remedy}",
            flush=True,
        )


def _begin(config: Config, run: RunFolder, log: EvolutionLog) -> EvolutionState:
    """The state that a stopped run left, or a new one."""
    state = stopped(config, run)
    if state is None:
        return EvolutionState(config, start(config, run))
    log.write_files(state)  # the run may have been killed before it wrote them
    print(f"going on after generation {state.generation}", flush=True)
    return state


def _screen(pool: WorkerPool, state: EvolutionState, config: Config, run: RunFolder) -> list[int]:
    """The seeds of the tracks on which C, as it is before it learns on, does worst."""
    tasks = screening_tasks(config, state.means[0])
    results = pool.score(tasks, FinishedTasks(run.controller, state.generation), "screening")
    scores = np.concatenate([result.scores for result in results])
    hard = hard_tracks(tasks, scores)
    told = f"C scored {scores.mean():.1f} +- {scores.std():.1f} on {len(scores)} tracks"
    worst = np.sort(scores)[len(hard) - 1]
    print(f"{told}; its hard ones are the worst {len(hard)}, up to {worst:.1f}", flush=True)
    return hard


def _generation(
    pool: WorkerPool,
    state: EvolutionState,
    config: Config,
    run: RunFolder,
    log: EvolutionLog,
    written: Future | None,
) -> tuple[dict, float]:
    """Scores a population, updates CMA-ES and evaluates its mean, or an average of its last ones, if it is time to.

    written: the files of the generation before, whose writing may have failed.
    Returns columns of the log, and the memory of the largest worker in MB.
    """
    number = state.generation + 1
    finished = FinishedTasks(run.controller, state.generation)
    candidates = state.ask()
    tasks = generation_tasks(config, state.generation, candidates.astype(np.float32), state.hard_tracks)
    results = pool.score(tasks, finished, f"generation {number}")
    scores = np.concatenate([result.scores for result in results]).reshape(len(candidates), -1)
    _refuse_unless_finite(scores.mean(axis=1), number, run)
    if written:
        written.result()
    state.tell(candidates, scores.mean(axis=1))
    steps = [count for result in results for count in result.steps]
    row: dict[str, Any] = {"generation": number} | statistics(scores.mean(axis=1), "reward_")
    row |= {
        "sigma": float(state.es.sigma),
        "rms_stdev": float(state.es.sigma * np.sqrt(np.mean(state.es.sm.variances))),
        "episodes": scores.shape[1],
        "mean_steps": float(np.mean(steps)),
        "max_steps": int(max(steps)),
        "steps": int(sum(steps)),
        "worker_seconds": round(sum(result.seconds for result in results), 3),
        "averaged_means": min(config.controller_num_mean, number),
    }
    due = number % config.controller_eval_steps == 0 or number == config.controller_num_generation
    if number == 1 or number % -(-config.controller_num_generation // KEPT_POPULATIONS) == 0:
        log.write_generation(state, candidates, pool.schedule)
    for name in evaluations(config):
        if due:
            mean = state.averaged(row["averaged_means"])
            evaluated = pool.score(evaluation_tasks(config, mean, name), finished, name)
            row |= statistics(np.concatenate([result.scores for result in evaluated]), f"{name}_")
            results += evaluated
        else:
            row |= {f"{name}_{key}": None for key in STATISTICS}
    return row, max(result.memory_mb for result in results)


def _refuse_unless_finite(scores: np.ndarray, generation: int, run: RunFolder) -> None:
    """Raises `UsageError` that names the candidates without a score: CMA-ES would rank NaN like a number."""
    if lost := np.flatnonzero(~np.isfinite(scores)).tolist():
        raise UsageError(
            f"generation {generation}: candidate {', '.join(map(str, lost))} scored {scores[lost[0]]}; V or M gives no "
            f"finite numbers: train them again and delete {run.controller}. Generation {generation - 1} is kept"
        )
