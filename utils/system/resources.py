"""What a step will need, said before it takes it: room on disk and memory, where that is more than a gigabyte."""

import shutil
from pathlib import Path

from utils.system.errors import UsageError

GIGABYTE = 1e9


def check_disk(folder: Path, needed: float, fewer: str) -> None:
    """Says how many bytes will be written into `folder`, which exists, where that is more than a gigabyte.

    fewer: what makes it less. Raises `UsageError` when the disk has not the room.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"{folder}: {free / GIGABYTE:.1f} GB free, {needed / GIGABYTE:.1f} GB needed: {fewer}, or another "
            "runs_folder"
        )
    if needed > GIGABYTE:
        print(f"{folder}: {needed / GIGABYTE:.1f} GB will be written, {free / GIGABYTE:.0f} GB are free", flush=True)


def say_memory(what: str, needed: float) -> None:
    """needed: bytes."""
    if needed > GIGABYTE:
        print(f"{what} will take {needed / GIGABYTE:.1f} GB of memory", flush=True)
