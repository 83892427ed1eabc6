"""Step 5 in one process, without MPI."""

from collections import deque
from time import monotonic
from typing import Any

from utils.evolution.single_thread_blas import STARTED
from utils.evolution.worker import RolloutWorker


class Alone:
    """In place of `Ranks`: the only worker is this process, which does a task when it is sent."""

    workers = range(1, 2)

    def __init__(self, worker: RolloutWorker):
        self._worker = worker
        self._answers: deque[tuple[str, Any]] = deque([("ready", monotonic() - STARTED)])

    def send(self, task: Any, rank: int) -> None:
        """task: None to stop."""
        if task is None:
            self._worker.close()
        self._answers.append(("stopped", None) if task is None else (task.name, self._worker.play(task)))

    def receive(self) -> tuple[int, Any]:
        """As `Ranks.receive`."""
        return self.workers[0], self._answers.popleft()
