"""Finds what is wrong with an MPI installation before it hangs or aborts, and says it in one line.

A process manager, mpiexec or srun, tells an MPI library its rank. If the two use different protocols (PMI or PMIx),
each process believes that it is the only one, or its MPI_Init aborts.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType

from utils.system import shared_memory
from utils.system.errors import UsageError
from utils.system.processes import RANK_SIZES, rank_variables

_LARGEST_STEP = 0xFFFFFFEF  # larger numbers mean batch scripts and interactive shells of Slurm
_RANK_MEMORY = 1_100_000  # bytes of /dev/shm that a rank of MPICH needs; measured 1.06 MB
_AMPLE_RANK_MEMORY = 20_000_000  # UCX uses 4.2 MB a rank, Open MPI 16.8 MB


def load() -> ModuleType:
    """mpi4py's MPI, not initialized. Raises `UsageError` if mpi4py or the MPI library is missing."""
    try:
        import mpi4py

        mpi4py.rc(initialize=False, finalize=True)
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        reason = "; ".join(str(error).splitlines())
        raise UsageError(
            f"no MPI: {reason}; run `pip install mpi4py mpich`, see docs/cluster.md, or use --workers 0"
        ) from None
    return MPI


def initialize() -> ModuleType:
    """mpi4py's MPI, initialized in this rank.

    Raises `UsageError`, in the first rank only, if that fails or does not join the ranks.
    """
    with _first_rank_reports():
        MPI = load()
        if not _understands_manager(MPI):
            raise _alone(MPI)
        if shared_memory.free_bytes() < int(os.environ.get("MPI_LOCALNRANKS", 1)) * _AMPLE_RANK_MEMORY:
            os.environ.update(_spare_memory())
        MPI.Init_thread()
        if MPI.COMM_WORLD.Get_size() == 1 and not any(os.environ.get(size) == "1" for size in RANK_SIZES.values()):
            raise _alone(MPI)
    return MPI


@contextlib.contextmanager
def _first_rank_reports() -> Iterator[None]:
    """When all ranks meet the same error, the first one raises it and the others exit silently."""
    try:
        yield
    except UsageError:
        if any(os.environ.get(name, "0") != "0" for name in rank_variables() or ["SLURM_PROCID"]):
            time.sleep(1)
            sys.exit(2)
        raise


def _understands_manager(MPI: ModuleType) -> bool:
    """False if the library is known not to understand the process manager."""
    pmix = "PMIX_RANK" in os.environ
    pmi = any(name in os.environ for name in ("PMI_RANK", "PMI_FD", "PMI_PORT"))
    name, version = MPI.get_vendor()
    if name == "Open MPI":
        return pmix or not pmi or version < (5,)
    return pmi or not pmix or name != "MPICH" or "pmix" in MPI.Get_library_version().lower()


def _alone(MPI: ModuleType) -> UsageError:
    variable, *_ = rank_variables() or ["nothing"]
    found = "there is no mpiexec"
    if mpiexec := next(iter(mpiexecs()), None):
        found = f"{mpiexec} is of {_kind(mpiexec) or 'another MPI'}"
    return UsageError(
        f"{variable} says that mpiexec or srun has started this process, but {_library(MPI)} hears of no other rank; "
        f"{found}; use the mpiexec of that library, or none, as the script starts its own ranks; "
        f"if {variable} is left over from elsewhere, unset it"
    )


@_first_rank_reports()
def refuse_copies() -> None:
    """Raises `UsageError` if srun started several copies of this process without telling MPI: each would start its own
    ranks. A plain `python` in a batch script is no such copy."""
    step = os.environ.get("SLURM_STEP_ID", os.environ.get("SLURM_STEPID", ""))
    count = os.environ.get("SLURM_STEP_NUM_TASKS", os.environ.get("SLURM_NTASKS", "1"))
    if step.isdecimal() and int(step) <= _LARGEST_STEP and count.isdecimal() and int(count) > 1:
        raise UsageError(
            f"srun has started {count} copies of this script without an MPI that joins them ({_library(load())}); use "
            "`srun --mpi=pmi2` or what else `srun --mpi=list` offers and that library speaks; or start one copy, which "
            "starts --workers of its own"
        )


def hosts_option(hosts: Mapping[str, int]) -> list[str]:
    """The words by which the mpiexec of the library learns how many ranks each host takes."""
    option = "--host" if load().get_vendor()[0] == "Open MPI" else "-hosts"
    return [option, ",".join(f"{name}:{count}" for name, count in hosts.items())]


def mpiexecs() -> list[str]:
    """All mpiexec programs: first in the virtual environment, then in PATH."""
    folders = str(Path(sys.executable).parent), os.environ.get("PATH", "")
    return list(dict.fromkeys(filter(None, (shutil.which("mpiexec", path=folder) for folder in folders))))


def choose_mpiexec(environment: Mapping[str, str]) -> str:
    """The mpiexec of the library that the ranks will load. Raises `UsageError` if there is none."""
    MPI, found = load(), mpiexecs()
    if not found:
        raise UsageError(
            "no MPI: there is no mpiexec; run `pip install mpich`, load your cluster's MPI module, or use --workers 0"
        )
    ours = MPI.get_vendor()[0] == "Open MPI"
    for mpiexec in found:
        kind = _kind(mpiexec)
        if kind is None or (kind == "Open MPI") == ours:
            return mpiexec
    for mpiexec in found:  # an MPICH that was built for PMIx runs under Open MPI's
        if _works(mpiexec, environment):
            return mpiexec
    raise UsageError(
        f"{found[0]} is of {_kind(found[0])}, but mpi4py loads {_library(MPI)}, and the two do not work together; put "
        "the mpiexec of that library into PATH, or run `pip install mpich`"
    )


def _kind(mpiexec: str) -> str | None:
    """The MPI that an mpiexec belongs to. None if it is unknown."""
    try:
        said = _output([mpiexec, "--version"], os.environ)
    except (OSError, subprocess.TimeoutExpired):
        return None
    for words, kind in (("Open MPI|OpenRTE|PRRTE|prte", "Open MPI"), ("Intel", "Intel MPI"), ("HYDRA|MPICH", "MPICH")):
        if re.search(words, said):
            return kind
    return None


def _works(mpiexec: str, environment: Mapping[str, str]) -> bool:
    """Tries whether an mpiexec joins two ranks."""
    size = "from mpi4py import MPI; print(MPI.COMM_WORLD.size)"
    try:
        return _output([mpiexec, "-n", "2", sys.executable, "-c", size], environment).split() == ["2", "2"]
    except (OSError, subprocess.TimeoutExpired):
        return False


def _output(command: list[str], environment: Mapping[str, str]) -> str:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=environment, timeout=30
    ).stdout


def _library(MPI: ModuleType) -> str:
    """Name and version of an MPI library, and its file if that is known."""
    name, version = MPI.get_vendor()
    text = f"{name} {'.'.join(map(str, version))}"
    try:
        files = re.findall(r"/\S*/libmpi\S*", Path("/proc/self/maps").read_text())
    except OSError:
        files = []
    return f"{text} ({files[0]})" if files else text


def environment_of_ranks(ranks: int) -> dict[str, str]:
    """The environment for an mpiexec that starts `ranks` ranks here. Raises `UsageError` if they cannot run."""
    shared_memory.require(ranks * _RANK_MEMORY, f"{ranks} ranks of MPI")
    environment = {
        # Open MPI counts the orchestrator, which sleeps, as a core in use.
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    if os.geteuid() == 0:  # as in a container, where Open MPI would refuse to start
        allowed = ("ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM")
        environment |= {f"{prefix}_{name}": "1" for prefix in ("OMPI", "PRTE") for name in allowed}
    if shared_memory.free_bytes() < ranks * _AMPLE_RANK_MEMORY:
        environment |= _spare_memory()
    return os.environ | environment


def _spare_memory() -> dict[str, str]:
    """Makes UCX and Open MPI share memory without /dev/shm, unless the user chose a way."""
    choices = {"UCX_TLS": "^posix", "OMPI_MCA_btl_sm_backing_directory": tempfile.gettempdir()}
    return {name: value for name, value in choices.items() if name not in os.environ}
