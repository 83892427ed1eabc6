"""The MPI ranks that play for steps 1 and 3, if mpiexec or srun started these."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import cast

from utils.system import mpi_setup
from utils.system.processes import inside_mpi


@contextmanager
def ranks_that_play() -> Iterator[tuple[bool, Executor | None]]:
    """Yields whether this process does the step, and who plays for it: the other MPI ranks, if there are any.

    These play inside this function, until the first rank leaves its `with`.
    """
    if not inside_mpi():
        mpi_setup.refuse_copies()
        yield True, None
        return
    comm = mpi_setup.initialize().COMM_WORLD
    if comm.Get_size() == 1:
        yield True, None
        return
    from mpi4py.futures import MPICommExecutor

    with MPICommExecutor(comm, root=0) as executor:
        yield executor is not None, cast(Executor | None, executor)
