"""Processes that must not outlive the one that started them."""

import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path


def end_with_parent(parent: int, wanted: Callable[[], bool] = lambda: True) -> None:
    """From now on ends this process, with exit code 1, once `parent` is gone or nobody wants it any more: a killed
    parent cannot tell its children."""

    def watch() -> None:
        while os.getppid() == parent and wanted():
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def memory_mb() -> float:
    """What this process holds in memory, in MB; where there is no /proc (macOS), the most that it ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
