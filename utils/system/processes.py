"""This process: its parent, its MPI rank, its cores, its memory and its standard streams."""

import os
import resource
import select
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path


def end_with_parent(parent: int, wanted: Callable[[], bool] = lambda: True) -> None:
    """Ends this process with exit code 1 when `parent` has ended or `wanted()` is false.

    A killed parent cannot tell its children.
    """

    def watch() -> None:
        while os.getppid() == parent and wanted():
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# Environment variables in which process managers put the rank, and those with the number of ranks: of MPICH, Intel MPI
# and Slurm; of PMIx; of Open MPI; of MVAPICH.
RANK_SIZES = {
    "PMI_RANK": "PMI_SIZE",
    "PMIX_RANK": "SLURM_STEP_NUM_TASKS",
    "OMPI_COMM_WORLD_RANK": "OMPI_COMM_WORLD_SIZE",
    "MV2_COMM_WORLD_RANK": "MV2_COMM_WORLD_SIZE",
}


def rank_variables() -> list[str]:
    """The set ones of RANK_SIZES: none if no process manager started this process."""
    return [name for name in RANK_SIZES if name in os.environ]


def inside_mpi() -> bool:
    return bool(rank_variables())


def usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_mb() -> float:
    """Memory of this process in MB. On systems without /proc (macOS) its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def open_standard_streams() -> None:
    """Opens each closed standard stream (`>&-`) on /dev/null. Otherwise the next open file gets its number, and prints
    are written into that file."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))


def stdout_is_gone() -> bool:
    """Whether the reader of stdout has ended, as after `| head`. Later prints are then dropped."""
    poll = select.poll()
    poll.register(sys.stdout, 0)  # reports errors only
    gone = bool(poll.poll(0))
    if gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return gone
