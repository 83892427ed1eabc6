"""Files that appear whole or not at all."""

import contextlib
import csv
import errno
import fcntl
import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from utils.system.errors import UsageError

# What reading a truncated, damaged or foreign .npz may raise.
UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)
# Errors of file systems that cannot lock or sync, as many network file systems.
_UNABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
_WARNED = "WORLD_MODELS_UNLOCKED"  # the folder that this process or its parent has warned about


def user_path(text: str | Path) -> Path:
    """A path from the command line. Expands `~`, which a shell does not do behind `--option=`."""
    return Path(os.path.expanduser(text))


def disk_is_full(error: BaseException) -> bool:
    """Whether `error` means that the disk is full. HDF5 and TensorFlow have their own words for it."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, and renames it to `path` when the block succeeds.

    After a kill at any moment, `path` is either the old file or the new one. Raises `UsageError` when the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")  # keeps the suffix, which Keras and Pillow need
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except Exception as error:
        if not disk_is_full(error):
            raise
        raise UsageError(f"the disk is full: could not write {path}; free some space and run this again") from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _UNABLE:
                raise


def link_or_copy(source: str | Path, destination: str | Path) -> None:
    """Makes `destination` a hard link to `source`, or a copy if the file system has no hard links."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)


def write_json(path: Path, content: object) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")


def write_npz(path: Path, **arrays: Any) -> None:
    """Plain and uncompressed. `path` ends in .npz."""
    with atomic_write(path) as temporary:
        np.savez(temporary, **arrays)


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable]) -> None:
    with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def remove_leftovers(folder: Path) -> None:
    """Deletes temporary files of killed processes. Call it with the folder locked."""
    for path in folder.glob(".[0-9]*.*"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path, patience: float = 5.0) -> Iterator[None]:
    """Locks `folder` for this process. The system frees it when the process ends in any way.

    Waits up to `patience` seconds, since the ranks of a killed run need a moment to end. Warns and goes on if the file
    system has no locks.

    Raises `UsageError` when another process holds the lock for longer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a+") as file:
        deadline = time.monotonic() + patience
        while not _lock(file, folder):
            if time.monotonic() > deadline:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise UsageError(f"{folder} is in use by another process (pid {holder}); wait for it or stop it")
            time.sleep(0.1)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock(file: IO[str], folder: Path) -> bool:
    """Tries to lock `file`. Warns once if the file system has no locks, and returns True."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        if os.environ.get(_WARNED) != str(folder):
            os.environ[_WARNED] = str(folder)
            print(
                f"{Path(sys.argv[0]).name}: warning: the file system of {folder} has no locks ({error.strerror}); "
                "never run the same step of a run twice at the same time",
                file=sys.stderr,
            )
    return True
