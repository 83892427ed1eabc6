"""TensorBoard's log, written without TensorFlow, which takes seconds to load."""

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class EventLog:
    """What a step logs. Tags begin with the name of the step's folder.

    Each process writes a new file in `folder`/tensorboard. TensorBoard shows all files of a folder as one log.
    """

    def __init__(self, folder: Path):
        self._prefix, folder = folder.name, folder / "tensorboard"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{platform.node()}.{os.getpid()}"
        self._writer = RecordWriter(open(folder / name, "ab"))
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        """values: by their names. None is left out."""
        for name, value in values.items():
            if value is not None:
                self._write(step, Summary.Value(tag=f"{self._prefix}/{name}", simple_value=value))

    def image(self, step: int, png: Path) -> None:
        """png: the picture. Its name is that of the file."""
        with Image.open(png) as picture:
            width, height = picture.size
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png.read_bytes())
        self._write(step, Summary.Value(tag=f"{self._prefix}/{png.stem}", image=image))

    def flush(self) -> None:
        self._writer.flush()

    def _write(self, step: int, value: Summary.Value) -> None:
        self._add(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))

    def _add(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())
