"""The orchestrator: asks CMA-ES for a population, has the workers score it, tells CMA-ES the scores.

Chapter, "Parallelizing CMA-ES", figure 12-15.
"""

import time
from collections import deque

import numpy as np

from utils.agent.checkpoints import load_without_selection
from utils.evolution.log import EvolutionLog
from utils.evolution.ranks import Ranks
from utils.evolution.state import EvolutionState, FinishedTasks
from utils.evolution.tasks import Task, TaskResult, evaluation_tasks, generation_tasks
from utils.run.config import Config
from utils.run.folder import RunFolder, previous
from utils.run.summaries import statistics
from utils.system.errors import UsageError
from utils.system.progress import Progress


class WorkerPool:
    """The workers, and who of them is free."""

    def __init__(self, ranks: Ranks):
        self._ranks = ranks
        self._free: list[int] = []
        self._ready_after: list[float] = []
        self.num_parameters = 0  # of a controller; the workers, who have V and M, know

    def wait_for_first(self) -> None:
        while not self._free:
            rank, (_, facts) = self._ranks.receive()
            self._greet(rank, facts)

    def _greet(self, rank: int, facts: dict) -> None:
        self.num_parameters = facts["num_parameters"]
        self._free.append(rank)
        self._ready_after.append(facts["seconds"])
        if len(self._ready_after) == len(self._ranks.workers):
            slowest = max(self._ready_after)
            print(f"{len(self._ready_after)} workers, the last one ready after {slowest:.1f} s", flush=True)

    def score(self, parts: list[Task], finished: FinishedTasks, what: str) -> list[TaskResult]:
        """Hands out the parts that are not finished yet, each to the next free worker. Results in their order.

        what: to call it while it lasts.
        """
        results = {part.name: finished.read(part.name) for part in parts}
        waiting = deque(part for part in parts if results[part.name] is None)
        missing = len(waiting)
        progress = Progress(what, "parts")
        progress.start(len(parts), len(parts) - missing)
        while missing:
            while waiting and self._free:
                self._ranks.send(waiting.popleft(), self._free.pop())
            rank, (name, result) = self._ranks.receive()
            if name == "ready":
                self._greet(rank, result)
                continue
            self._free.append(rank)
            finished.write(name, result)
            results[name] = result
            missing -= 1
            progress.advance()
        progress.close()
        return [results[part.name] for part in parts]

    def stop(self) -> None:
        for rank in self._ranks.workers:
            self._ranks.send(None, rank)


def orchestrate(ranks: Ranks, config: Config, run: RunFolder) -> EvolutionState:
    """Evolves the controller up to `controller_num_generation` generations. Returns what became of it."""
    crew, log = WorkerPool(ranks), EvolutionLog(config, run)
    log.open_tensorboard()  # takes seconds, in which the workers get ready
    crew.wait_for_first()
    state = EvolutionState.restore(run.controller)
    if state is None:
        start = np.zeros(crew.num_parameters)
        if before := previous(config):
            start, which = load_without_selection(before.read_config(), before, crew.num_parameters)
            run.remember_earlier(before)
            print(f"going on from {before.path}: {which}", flush=True)
        state = EvolutionState(config, start)
    else:
        log.write_files(state)  # the kill may have come before they were written
        print(f"going on after generation {state.generation}", flush=True)
    evaluations = {"evaluation": False}  # whether they are dreamed
    if config.controller_environment == "dream":
        evaluations["dream_evaluation"] = True
    began = time.monotonic()
    while state.generation < config.controller_num_generation:
        finished = FinishedTasks(run.controller, state.generation)
        candidates = state.ask()
        parts = generation_tasks(config, state.generation, np.float32(candidates))
        results = crew.score(parts, finished, f"generation {state.generation + 1}")
        episode_scores = np.concatenate([result.scores for result in results]).reshape(len(candidates), -1)
        scores = episode_scores.mean(axis=1)
        _refuse_unless_finite(scores, state.generation + 1, run)
        state.es.tell(list(candidates), list(-scores))  # CMA-ES minimises
        mean = np.float32(state.es.mean)

        row = {"generation": state.generation + 1} | _statistics("reward", scores)
        steps = [count for result in results for count in result.steps]
        row |= {
            "sigma": float(state.es.sigma),
            "rms_stdev": float(state.es.sigma * np.sqrt(np.mean(state.es.sm.variances))),
            "episodes": episode_scores.shape[1],
            "mean_steps": float(np.mean(steps)),
            "max_steps": int(max(steps)),
            "steps": int(sum(steps)),
            "worker_seconds": round(sum(result.seconds for result in results), 3),
        }
        evaluation = None
        last = state.generation + 1 == config.controller_num_generation
        if (state.generation + 1) % config.controller_eval_steps == 0 or last:
            evaluation = {}
            for name, dreamed in evaluations.items():
                evaluated = crew.score(evaluation_tasks(config, mean, dreamed), finished, name)
                evaluation |= _statistics(name, np.concatenate([result.scores for result in evaluated]))
                results += evaluated
        row |= evaluation or dict.fromkeys(key for name in evaluations for key in _statistics(name, np.zeros(1)))
        now = time.monotonic()
        row |= {
            "generation_seconds": round(now - began, 3),
            "seconds": round((state.rows[-1]["seconds"] if state.rows else 0.0) + now - began, 3),
            "worker_ranks": len(ranks.workers),
            "worker_memory_mb": round(max(result.memory_mb for result in results), 1),
            "cma_stop": " ".join(state.es.stop()),
        }
        began = now  # writing this generation down is part of the next one's time
        state.rows.append(row)
        state.fitness.append(scores.tolist())
        state.mean = mean
        state.generation += 1
        if evaluation and (state.best is None or evaluation["evaluation_mean"] > state.best["evaluation_mean"]):
            state.best = {"generation": state.generation, "parameters": mean, **evaluation}
        state.save(run.controller)
        log.write(state)
    crew.stop()
    return state


def _refuse_unless_finite(scores: np.ndarray, generation: int, run: RunFolder) -> None:
    """Raises `UsageError` that names the candidates without a score: CMA-ES would take NaN for a rank."""
    if lost := np.flatnonzero(~np.isfinite(scores)).tolist():
        raise UsageError(
            f"generation {generation}: candidate {', '.join(map(str, lost))} scored {scores[lost[0]]}; V or M gives no "
            f"finite numbers: train them again and delete {run.controller}. Generation {generation - 1} is kept"
        )


def _statistics(name: str, scores: np.ndarray) -> dict[str, float]:
    return {f"{name}_{key}": value for key, value in statistics(scores).items()}
