"""The training loop of V and M, which can be killed at any moment and goes on."""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from utils.run.folder import RunFolder, read_log
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.event_log import EventLog
from utils.system.files import UNREADABLE, atomic_write, write_csv, write_json, write_npz
from utils.system.progress import PICTURE_SECONDS, Progress


class Training:
    """Steps, log and resumable state of one network, in the folder of its step.

    state.npz   every variable of network and optimiser, the step, the log so far, sums for the next row of the log
    log.csv     `num_logs` rows in all, which TensorBoard shows as well
    NAME.png    drawn by pictures[NAME] now and then and at the end; TensorBoard shows them as well
    """

    def __init__(
        self, run: RunFolder, step: Step, variables: list[Any], num_logs: int, checkpoint_seconds: float,
        pictures: dict[str, Callable[[Path], None]],
    ):  # fmt: skip
        self._run, self._folder = run, (folder := run.step_folder(step))
        self._variables, self._num_logs = variables, num_logs
        self._pictures = {folder / f"{name}.png": draw for name, draw in pictures.items()}
        self._checkpoint_seconds = checkpoint_seconds
        self._path = folder / "state.npz"
        self.rows: list[dict[str, float | None]] = []
        self.step = 0
        self._sums: dict[str, float] = {}  # of each loss, over the `_count` steps since the last row
        self._count = 0
        if self._path.exists():
            self._restore()
        self._logged = len(self.rows)

    def _restore(self) -> None:
        try:
            with np.load(self._path, allow_pickle=False) as state:
                self.step, self.rows = int(state["step"]), json.loads(str(state["rows"]))
                if "sums" in state:  # an older version did not write it
                    self._sums, self._count = json.loads(str(state["sums"])), int(state["count"])
                for index, variable in enumerate(self._variables):
                    variable.assign(state[f"variable_{index}"])
        except UNREADABLE as error:
            raise UsageError(
                f"{self._path} is no training state of this network ({error}); delete it to begin again"
            ) from None

    def save(self, drawing: bool) -> None:
        """Writes the state as one file first. Table, pictures and TensorBoard only show what is in it."""
        arrays = {f"variable_{index}": np.asarray(v) for index, v in enumerate(self._variables)}
        sums = {"sums": json.dumps(self._sums), "count": self._count}
        write_npz(self._path, step=self.step, rows=json.dumps(self.rows), **sums, **arrays)
        self._write_table()
        for row in self.rows[self._logged :]:
            losses = dict(row)
            step = losses.pop("step")
            assert step is not None  # as a loss may be
            self._tensorboard.scalars(int(step), losses)
        if drawing:
            self._draw()
            for path in self._pictures:
                self._tensorboard.image(self.step, path)
        self._tensorboard.flush()
        self._logged = len(self.rows)

    @cached_property
    def _tensorboard(self) -> EventLog:
        return EventLog(self._folder)

    def _draw(self) -> None:
        for path, draw in self._pictures.items():
            draw(path)

    def _is_outdated(self, path: Path) -> bool:
        return not path.exists() or path.stat().st_mtime < self._path.stat().st_mtime

    def _write_table(self) -> None:
        if self.rows:
            write_csv(self._folder / "log.csv", self.rows[0], (row.values() for row in self.rows))

    def run(
        self, total_steps: int, batches: Iterable, train_step: Callable[..., dict[str, tf.Tensor]],
        held_out: Callable[[], dict[str, float]], progress: Progress, items: Callable[[int], int],
    ) -> None:  # fmt: skip
        """Trains up to `total_steps`.

        train_step: of a batch and the number of the step, to losses.
        held_out: returns losses.
        items: the number of items in the first n steps, which `progress` counts.
        """
        if self.step >= total_steps:
            self._run.say_done(f"{self._folder}: trained for {self.step} steps")
            self._write_table()  # the run may have been killed before it wrote the table
            if any(self._is_outdated(path) for path in self._pictures):
                self._draw()
            return
        progress.start(items(total_steps), items(self.step))
        first = self.step
        saved = drawn = began = time.monotonic()
        for batch in batches:
            losses = {name: float(v) for name, v in train_step(batch, tf.constant(self.step, tf.int64)).items()}
            self._count_step(losses)
            progress.advance(items(self.step) - items(self.step - 1), **losses)
            if self.step * self._num_logs // total_steps > (self.step - 1) * self._num_logs // total_steps:
                seconds = (time.monotonic() - began) / (self.step - first)
                self._log(held_out(), seconds, (items(self.step) - items(first)) / (self.step - first))
                began, first = time.monotonic(), self.step
            last = self.step == total_steps
            if last or time.monotonic() - saved > self._checkpoint_seconds:
                drawing = last or time.monotonic() - drawn > PICTURE_SECONDS
                self.save(drawing)
                saved = time.monotonic()
                drawn = saved if drawing else drawn
            if last:
                break
        progress.close()

    def _count_step(self, losses: dict[str, float]) -> None:
        if not all(math.isfinite(value) for value in losses.values()):
            raise UsageError(
                f"training diverged after step {self.step}: {losses}; delete {self._folder} and begin this step "
                "again with a lower learning rate"
            )
        self.step += 1
        self._count += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def _log(self, held_out: dict[str, float], seconds: float, items_per_step: float) -> None:
        """Adds a row. seconds: of a step."""
        row: dict[str, float | None] = {"step": self.step}
        row |= {name: round(total / self._count, 5) for name, total in self._sums.items()}
        row |= {f"held_out_{name}": round(value, 5) for name, value in held_out.items()}
        row |= {"per_second": round(items_per_step / seconds, 1), "step_seconds": round(seconds, 5)}
        self.rows.append(row)
        self._sums, self._count = {}, 0

    def leave_untrained(self, held_out: dict[str, float]) -> None:
        """Writes the state before any training, with its held-out losses as the only row of the log."""
        losses = {f"held_out_{name}": round(value, 5) for name, value in held_out.items()}
        self.rows = [{"step": 0, **dict.fromkeys(held_out), **losses}]
        self.save(drawing=True)

    def last_row(self) -> dict[str, float | None]:
        """The last row of the log. Raises `UsageError` when training ended before the first one."""
        if not self.rows:
            raise UsageError(f"{self._folder}: {self.step} steps are too few for a log; train for longer")
        return self.rows[-1]

    def take_over(self, before: Path, weights: Path) -> dict[str, float | None]:
        """Copies weights and log from `before`, another run's folder of this step. Returns the last row of the log.

        weights: this run's file.
        """
        for path in (weights, self._folder / "log.csv"):
            with atomic_write(path) as temporary:
                shutil.copyfile(before / path.name, temporary)
        write_json(weights.with_suffix(".json"), {"step": 0})
        self._draw()
        print(f"{self._folder}: taken over from {before} as it is")
        return read_log(self._folder / "log.csv")[-1]

    def keep_weights(self, model: keras.Model, path: Path) -> None:
        """Writes the trained weights to `path`, unless it holds the weights of this step already.

        Later steps remember this file's fingerprint, so it must not change without need.
        """
        note = path.with_suffix(".json")
        if path.exists() and note.exists() and json.loads(note.read_text())["step"] == self.step:
            return
        note.unlink(missing_ok=True)
        with atomic_write(path) as temporary:
            model.save_weights(temporary)
        write_json(note, {"step": self.step})
