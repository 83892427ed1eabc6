"""What a process has from the one that started it: a life no longer than that one's, and its standard streams."""

import os
import resource
import select
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


def open_standard_streams() -> None:
    """Opens each closed standard stream (`>&-`) on /dev/null. Otherwise the next files that are
    opened get their numbers, and what is printed is written into them."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))


def stdout_is_gone() -> bool:
    """Whether nobody reads stdout any more, as after `| head`. What is printed from now on is then dropped."""
    poll = select.poll()
    poll.register(sys.stdout, 0)  # tells of errors alone
    gone = bool(poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone
