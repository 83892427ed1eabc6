"""What training V and training M have in common: a loop that can be killed at any moment and goes on."""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from utils.figures.style import PICTURE_SECONDS
from utils.run.folder import read_log
from utils.system.errors import UsageError
from utils.system.files import UNREADABLE, atomic_write, write_csv, write_json, write_npz
from utils.system.progress import Progress


class Training:
    """Steps, log and resumable state of one network, in `folder`.

    state.npz   every variable of network and optimiser, the step, the log so far, sums for the log's next row
    log.csv     `num_logs` rows in all; the same goes to TensorBoard
    NAME.png    what pictures[NAME] draws of the network now and then and at the end; the same goes to TensorBoard
    """

    def __init__(
        self, folder: Path, variables: list, num_logs: int, checkpoint_seconds: float,
        pictures: dict[str, Callable[[Path], None]],
    ):  # fmt: skip
        self._folder, self._variables, self._num_logs = folder, variables, num_logs
        self._pictures = {folder / f"{name}.png": draw for name, draw in pictures.items()}
        self._checkpoint_seconds = checkpoint_seconds
        self._path = folder / "state.npz"
        self.rows: list[dict[str, float]] = []
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
                if "sums" in state:  # else an older version has written it
                    self._sums, self._count = json.loads(str(state["sums"])), int(state["count"])
                for index, variable in enumerate(self._variables):
                    variable.assign(state[f"variable_{index}"])
        except UNREADABLE as error:
            raise UsageError(
                f"{self._path} is no training state of this network ({error}); delete it to begin again"
            ) from None

    def save(self, drawing: bool) -> None:
        """State first, as one file; tables, pictures and TensorBoard only show what is in it."""
        arrays = {f"variable_{index}": np.asarray(v) for index, v in enumerate(self._variables)}
        sums = {"sums": json.dumps(self._sums), "count": self._count}
        write_npz(self._path, step=self.step, rows=json.dumps(self.rows), **sums, **arrays)
        self._write_table()
        with self._writer.as_default():
            for row in self.rows[self._logged :]:
                for name, value in row.items():
                    if name != "step":
                        tf.summary.scalar(f"{self._folder.name}/{name}", value, step=row["step"])
            if drawing:
                self._draw()
                for path in self._pictures:
                    png = tf.io.decode_png(path.read_bytes(), channels=3)
                    tf.summary.image(f"{self._folder.name}/{path.stem}", png[None], step=self.step)
        self._writer.flush()
        self._logged = len(self.rows)

    def _draw(self) -> None:
        for path, draw in self._pictures.items():
            draw(path)

    def _outdated(self, path: Path) -> bool:
        return not path.exists() or path.stat().st_mtime < self._path.stat().st_mtime

    def _write_table(self) -> None:
        if self.rows:
            write_csv(self._folder / "log.csv", self.rows[0], (row.values() for row in self.rows))

    def run(
        self,
        total_steps: int,
        batches: Iterable,
        train_step: Callable[..., dict[str, tf.Tensor]],
        held_out: Callable[[], dict[str, float]],
        progress: Progress,
        items_per_step: int,
    ) -> None:
        """Trains up to `total_steps`. train_step(batch, step) returns losses; held_out() returns losses."""
        if self.step >= total_steps:
            print(f"{self._folder}: trained for {self.step} steps already, nothing to do")
            self._write_table()  # the last kill may have come just before
            if any(self._outdated(path) for path in self._pictures):
                self._draw()
            return
        self._writer = tf.summary.create_file_writer(str(self._folder / "tensorboard"))
        progress.start(total_steps * items_per_step, self.step * items_per_step)
        first = self.step
        saved = drawn = began = time.monotonic()
        for batch in batches:
            losses = {name: float(v) for name, v in train_step(batch, tf.constant(self.step, tf.int64)).items()}
            if not all(math.isfinite(value) for value in losses.values()):
                raise UsageError(
                    f"training diverged after step {self.step}: {losses}; delete {self._folder} and begin this step "
                    "again with a lower learning rate"
                )
            self.step += 1
            self._count += 1
            for name, value in losses.items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            progress.advance(items_per_step, **losses)
            if self.step * self._num_logs // total_steps > (self.step - 1) * self._num_logs // total_steps:
                row = {name: round(total / self._count, 5) for name, total in self._sums.items()}
                row |= {f"held_out_{name}": round(value, 5) for name, value in held_out().items()}
                seconds = (time.monotonic() - began) / (self.step - first)
                row |= {"per_second": round(items_per_step / seconds, 1), "step_seconds": round(seconds, 5)}
                self.rows.append({"step": self.step, **row})
                self._sums, self._count, began, first = {}, 0, time.monotonic(), self.step
            last = self.step == total_steps
            if last or time.monotonic() - saved > self._checkpoint_seconds:
                drawing = last or time.monotonic() - drawn > PICTURE_SECONDS
                self.save(drawing)
                saved = time.monotonic()
                drawn = saved if drawing else drawn
            if last:
                break
        progress.close()

    def last_row(self) -> dict[str, float]:
        """The last row of the log. Raises `UsageError` when training ended before its first."""
        if not self.rows:
            raise UsageError(f"{self._folder}: {self.step} steps are too few for a log; train for longer")
        return self.rows[-1]

    def take_over(self, before: Path, weights: Path) -> dict[str, float]:
        """Copies weights and log from `before`, another run's folder of this step, without training.

        weights: this run's file. Returns the last row of the log.
        """
        for path in (weights, self._folder / "log.csv"):
            with atomic_write(path) as aside:
                shutil.copyfile(before / path.name, aside)
        write_json(weights.with_suffix(".json"), {"step": 0})
        self._draw()
        print(f"{self._folder}: taken over from {before} as it is")
        return read_log(self._folder / "log.csv")[-1]

    def keep_weights(self, model, path: Path) -> None:
        """Writes the trained weights to `path`, unless those of this very step are there already.

        Weights made from later belong to this file's content, so it is not written again for nothing.
        """
        note = path.with_suffix(".json")
        if path.exists() and note.exists() and json.loads(note.read_text())["step"] == self.step:
            return
        note.unlink(missing_ok=True)
        with atomic_write(path) as aside:
            model.save_weights(aside)
        write_json(note, {"step": self.step})


def load_weights(model, path: Path) -> None:
    """Raises `UsageError` when `path` holds no weights of this network."""
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{path} holds no weights of this {model.name} network: {reason}") from None
    if not all(np.isfinite(weights).all() for weights in model.get_weights()):
        raise UsageError(f"{path} holds weights that are not finite; delete its folder and train anew")
