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

import numpy as np

from utils.system.errors import UsageError

# What reading a truncated, damaged or foreign .npz may raise.
UNREADABLE = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)
# What a file system answers that cannot do what it was asked: many network file systems cannot lock or sync.
_UNABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)
_WARNED = "WORLD_MODELS_UNLOCKED"  # the folder that this process, or one that started it, has warned of


def user_path(text: str | Path) -> Path:
    """A path that somebody has typed: `~` is the home folder, which a shell does not expand behind an option's `=`."""
    return Path(os.path.expanduser(text))


def disk_is_full(error: BaseException) -> bool:
    """Whether that is what `error` is about; HDF5 and TensorFlow say it in words of their own."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to; renames it to `path` when the block succeeds.

    A kill at any moment leaves either the old file or the new one under `path`. Raises `UsageError` when the
    disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{os.getpid()}.{path.name}")  # keeps the suffix, which Keras and Pillow look at
    try:
        yield aside
        _sync(aside)
        os.replace(aside, path)
    except Exception as error:
        if not disk_is_full(error):
            raise
        raise UsageError(f"the disk is full: could not write {path}; free some space and run this again") from error
    finally:
        aside.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in _UNABLE:
                raise


def link_or_copy(source: Path, destination: Path) -> None:
    """Both paths name the same file, or two equal ones where the file system has no hard links."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)


def write_json(path: Path, content) -> None:
    with atomic_write(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n")


def write_npz(path: Path, **arrays) -> None:
    """Plain and uncompressed. `path` ends in .npz."""
    with atomic_write(path) as aside:
        np.savez(aside, **arrays)


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable]) -> None:
    with atomic_write(path) as aside, open(aside, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def remove_leftovers(folder: Path) -> None:
    """Deletes what a killed process had half written. Call it with the folder locked."""
    for path in folder.glob(".[0-9]*.*"):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(folder: Path, patience: float = 5.0) -> Iterator[None]:
    """Holds `folder` for this process alone; the system lets go of it when the process ends, however it ends.

    Waits up to `patience` seconds, since the ranks of a run that was just killed need a moment to end.
    Raises `UsageError` when another process holds it for longer. On a file system without locks it warns and goes on.
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


def _lock(file, folder: Path) -> bool:
    """Whether `file` is now this process's alone; warns, once, where the file system has no locks."""
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
                "nothing keeps a second process out, so run each step of a run only once at a time",
                file=sys.stderr,
            )
    return True
