"""Step 5 in one process, without MPI."""

from collections import deque
from typing import Any

from utils.evolution.worker import RolloutWorker


class Alone:
    """In place of `Ranks`: the only worker is this process, which does a task when it is sent."""

    workers = range(1, 2)

    def __init__(self, worker: RolloutWorker):
        self._worker = worker
        self._answers: deque[tuple[str, Any]] = deque([worker.ready()])

    def send(self, message: Any, rank: int) -> None:
        self._answers.append(self._worker.answer(message))

    def receive(self) -> tuple[int, Any]:
        return self.workers[0], self._answers.popleft()
