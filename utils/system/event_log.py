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
    """A new file in `folder`, beside those of earlier processes. TensorBoard shows them as one."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{platform.node()}.{os.getpid()}"
        self._writer = RecordWriter(open(folder / name, "ab"))
        self._write(file_version="brain.Event:2")

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """values: by their tags."""
        for tag, value in values.items():
            self._write(step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)]))

    def image(self, step: int, tag: str, png: Path) -> None:
        with Image.open(png) as picture:
            width, height = picture.size
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png.read_bytes())
        self._write(step, summary=Summary(value=[Summary.Value(tag=tag, image=image)]))

    def flush(self) -> None:
        self._writer.flush()

    def _write(self, step: int = 0, **what: object) -> None:
        self._writer.write(Event(wall_time=time.time(), step=step, **what).SerializeToString())
