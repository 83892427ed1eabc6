"""Says how much disk or memory a step needs before it begins, if it is more than a gigabyte."""

import shutil
from pathlib import Path

from utils.system.errors import UsageError

GIGABYTE = 1e9


def check_disk(folder: Path, needed: float, fewer: str) -> None:
    """Prints how many bytes will be written into `folder`, which exists.

    fewer: what would make it less.
    Raises `UsageError` if the disk has less room.
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
