"""/dev/shm, through which processes share memory. Containers often have little of it, and a process that writes more
than there is dies of a bus error."""

import os
import re
from pathlib import Path

from utils.system.errors import UsageError

_FOLDER = Path("/dev/shm")


def free_bytes() -> float:
    """Free bytes. Infinite on systems without /dev/shm."""
    try:
        status = os.statvfs(_FOLDER)
    except OSError:
        return float("inf")
    return status.f_bavail * status.f_frsize


def require(needed: int, what: str) -> None:
    """Raises `UsageError` if less than `needed` bytes are left for `what`."""
    if (free := free_bytes()) < needed:
        raise UsageError(
            f"{_FOLDER} is too small: {what} need {needed / 1e6:.1f} MB of it, and {free / 1e6:.1f} MB are free; "
            "make it larger, in a container with `--shm-size=1g`"
        )


def unlink_mapped(prefix: str) -> None:
    """Deletes the names of the files there that begin with `prefix` and that this process has open.

    Their memory is then freed when the last process that uses it ends, even if it is killed.
    """
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return
    for path in set(re.findall(rf"{_FOLDER}/{prefix}\S*", maps)):
        Path(path).unlink(missing_ok=True)
