"""When does the orchestrator become the bottleneck? Step 5 with simulated workers, up to 512 of them.

    python -m benchmarks.orchestrator --store

The orchestrator is the real one, with its CMA-ES, its files and its log. A simulated worker answers a task after the
time that its episodes take at `--steps-per-second` (one core of benchmarks/results/speed.json: 4,700), with a spread
of 20 %. Messages are pickled and unpickled as MPI does it, and carried by memory. A row says how long a generation
of 16 episodes of 1000 steps a candidate takes, what the workers alone would need, and how long a worker waits in it for
the orchestrator, which looks after the others; how long CMA-ES takes, while all wait; and how long the files and
pictures after an evaluation take, which a thread makes meanwhile. --folder is where the run folder is made: a shared
file system takes longer for a file than a local one.

`--messages N` measures what MPI adds: N messages of a task's size from one rank to another and back.
"""

import argparse
import heapq
import itertools
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.report import announce, command, store, with_store
from utils.evolution.tasks import Ready, Task, TaskResult
from utils.run import cli, config
from utils.run.folder import RunFolder

EPISODES, STEPS, GENERATIONS = 16, 1000, 5
# Workers, tasks, candidates in a task.
SIZES = [(8, 16, 4), (8, 64, 1), (64, 64, 1), (512, 512, 1), (512, 512, 8)]
ECHO = """
import pickle, sys, time
from mpi4py import MPI
comm, payload = MPI.COMM_WORLD, bytes(int(sys.argv[1]))
count = int(sys.argv[2])
if comm.rank == 0:
    began = time.perf_counter()
    for _ in range(count):
        comm.send(payload, dest=1)
        comm.recv(source=1)
    print((time.perf_counter() - began) / count)
else:
    for _ in range(count):
        comm.send(comm.recv(source=0), dest=0)
"""


class Answer(NamedTuple):
    due: float
    number: int
    rank: int
    message: bytes


class SimulatedRanks:
    """In place of `Ranks`: workers that only take time."""

    def __init__(self, num_workers: int, steps_per_second: float):
        self.workers = range(1, num_workers + 1)
        self._speed, self._rng = steps_per_second, np.random.default_rng(0)
        self._numbers = itertools.count()
        self.late = 0.0  # seconds that answers lay there, of all workers
        self.task_bytes = self.result_bytes = 0
        ready = pickle.dumps(("ready", Ready(0.0, "")))
        self._answers = [Answer(0.0, next(self._numbers), rank, ready) for rank in self.workers]

    def send(self, task: Task | None, rank: int) -> None:
        if task is None:
            heapq.heappush(self._answers, Answer(0.0, next(self._numbers), rank, pickle.dumps(("stopped", None))))
            return
        sent = pickle.dumps(task)
        self.task_bytes = max(self.task_bytes, len(sent))
        jobs = pickle.loads(sent).jobs
        seconds = len(jobs) * STEPS / self._speed * self._rng.uniform(0.8, 1.2)
        scores = self._rng.normal(0, 1, len(jobs)).tolist()
        message = pickle.dumps((task.name, TaskResult(scores, [STEPS] * len(jobs), seconds, 700.0)))
        self.result_bytes = len(message)
        heapq.heappush(self._answers, Answer(time.monotonic() + seconds, next(self._numbers), rank, message))

    def receive(self) -> tuple[int, Any]:
        answer = heapq.heappop(self._answers)
        wait = answer.due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        elif answer.due:
            self.late -= wait
        return answer.rank, pickle.loads(answer.message)


def measure(
    folder: Path | None, num_workers: int, tasks: int, trials: int, steps_per_second: float
) -> dict[str, float]:
    """A row: of a generation, the mean over those after the first."""
    from utils.evolution.log import EvolutionLog
    from utils.evolution.orchestrator import orchestrate

    settings = config.load(
        cli.ROOT / "config/carracing.yaml",
        [f"controller_num_worker={tasks}", f"controller_num_worker_trial={trials}", "controller_eval_steps=1000",
         f"controller_num_episode={EPISODES}", f"controller_num_generation={GENERATIONS}", "controller_eval_episode=1"],
    )  # fmt: skip
    ranks = SimulatedRanks(num_workers, steps_per_second)
    with tempfile.TemporaryDirectory(prefix="orchestrator_", dir=folder) as path:
        state = orchestrate(ranks, settings, RunFolder(Path(path)))
        log = EvolutionLog(settings, RunFolder(Path(path)))
        began = time.perf_counter()
        log.write_files(state)
        files_and_pictures = time.perf_counter() - began
    rows = state.rows[1:-1]  # the first one compiles, the last one is evaluated
    seconds = float(np.mean([row["generation_seconds"] for row in rows]))
    work = float(np.mean([row["worker_seconds"] for row in rows]))
    ask_and_tell = _cma_seconds(settings)
    return {
        "workers": num_workers, "tasks": tasks, "population": tasks * trials, "generation_seconds": round(seconds, 2),
        "workers_alone_seconds": round(work / num_workers, 2), "busy_share": round(work / num_workers / seconds, 3),
        "late_seconds_of_a_worker": round(ranks.late / GENERATIONS / num_workers, 4),
        "files_and_pictures_seconds": round(files_and_pictures, 3), "cma_seconds": round(ask_and_tell, 3),
        "task_kb": round(ranks.task_bytes / 1e3, 1),
        "result_kb": round(ranks.result_bytes / 1e3, 1),
    }  # fmt: skip


def _cma_seconds(settings: config.Config) -> float:
    """CMA-ES's own, of a generation."""
    from utils.evolution.state import EvolutionState

    state, rng = EvolutionState(settings, np.zeros(settings.controller.num_parameters)), np.random.default_rng(0)
    for count in range(4):
        if count == 1:
            began = time.perf_counter()
        candidates = state.ask()
        state.tell(candidates, rng.normal(0, 1, len(candidates)))
        state.generation += 1
    return (time.perf_counter() - began) / 3


def _message_seconds(size: int, count: int) -> float:
    mpiexec = str(Path(sys.executable).parent / "mpiexec")
    words = [mpiexec, "-n", "2", sys.executable, "-c", ECHO, str(size), str(count)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = with_store(command("orchestrator", __doc__))
    parser.add_argument("--steps-per-second", type=float, default=4700, help="of a worker (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the run folder is made (the system's for temporary files)")
    parser.add_argument("--messages", type=int, default=2000, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    announce(arguments)
    rows = []
    for size in SIZES:
        rows.append(measure(arguments.folder, *size, arguments.steps_per_second))
        print(rows[-1], flush=True)
    message = _message_seconds(round(1000 * rows[0]["task_kb"]), arguments.messages)
    print(f"a message of {rows[0]['task_kb']} KB there and back: {1e3 * message:.2f} ms")
    store(arguments, "orchestrator", {
        "steps_per_second": arguments.steps_per_second, "message_seconds": message, "rows": rows,
    })  # fmt: skip


if __name__ == "__main__":
    cli.call(main)
