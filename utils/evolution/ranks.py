"""Starts the MPI ranks, passes messages between them and ends them together.

MPICH's blocking receive keeps a core busy while it waits, so ranks poll for a message and sleep in between.
"""

import argparse
import json
import os
import platform
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from utils.system import mpi_setup, shared_memory
from utils.system.errors import UsageError
from utils.system.files import disk_is_full
from utils.system.processes import end_with_parent, usable_cores

POLL_SECONDS = 0.002
START_SECONDS = 60.0  # within which all ranks must have started
_LAUNCHER = "WORLD_MODELS_LAUNCHER"  # host and pid of the process that called mpiexec


def launch(num_workers: int, ranks_file: Path) -> int:
    """Runs this command again under mpiexec, as an orchestrator and `num_workers` workers. Returns its exit code.

    ranks_file: where the orchestrator writes the host and pid of each rank.
    """
    environment = mpi_setup.environment_of_ranks(num_workers + 1)
    environment[_LAUNCHER] = f"{platform.node()} {os.getpid()}"
    mpiexec = mpi_setup.choose_mpiexec(environment)
    command = [mpiexec, "-n", str(num_workers + 1), sys.executable, "-u", *sys.argv]
    ranks_file.unlink(missing_ok=True)
    dead: list[str] = []
    threading.Thread(target=_watch, args=(ranks_file, dead), daemon=True).start()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", env=environment
    )  # mpiexec would read all of stdin, and be stopped by it in the background
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        _relay(process.stdout)
        code = process.wait()
    except (KeyboardInterrupt, BrokenPipeError) as error:
        process.send_signal(signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    if code not in (0, 2):  # 2: bad input, and a rank has printed the message
        who = dead[0] if dead else "a rank"
        script = Path(sys.argv[0]).name
        print(
            f"{script}: {who} died first, and mpiexec ended all others; run the same command again to go on",
            file=sys.stderr,
        )
    return code


def _watch(ranks_file: Path, dead: list[str]) -> None:
    """Appends the name of the rank that ends first to `dead`.

    mpiexec ends the others within milliseconds, before they can report anything, and MPICH's own report often names
    another rank. The kernel knows.
    """
    if not hasattr(os, "pidfd_open"):  # Linux has it
        return
    while not ranks_file.exists():
        time.sleep(0.05)
    poll, names = select.poll(), {}
    for rank, (host, pid) in json.loads(ranks_file.read_text()).items():
        if host != platform.node():
            continue
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            dead.append(f"rank {rank} (pid {pid})")
            return
        except OSError:  # a kernel before 5.3, or a container that forbids it
            return
        names[descriptor] = f"rank {rank} (pid {pid})"
        poll.register(descriptor, select.POLLIN)
    dead.extend(names[descriptor] for descriptor, _ in poll.poll())


def _relay(source: IO[str] | None) -> None:
    """Prints the output of the ranks, without the banner that MPICH prints when a rank died."""
    banner = False
    for line in source or ():
        banner |= line.startswith(("=" * 40, "YOUR APPLICATION TERMINATED"))
        if not banner:
            sys.stdout.write(line)
            sys.stdout.flush()


def _launcher_lives() -> bool:
    """False when the launcher on this host has ended. mpiexec would go on without it."""
    host, _, pid = os.environ.get(_LAUNCHER, "").partition(" ")
    if host != platform.node():
        return True
    try:
        os.kill(int(pid), 0)
    except OSError:  # it has ended, or another user's process has its number
        return False
    return True


class Ranks:
    """The ranks of this run, as one of them sees them."""

    def __init__(self) -> None:
        self._mpi = mpi_setup.initialize()
        self._comm = self._mpi.COMM_WORLD
        self.rank, self.size = self._comm.Get_rank(), self._comm.Get_size()
        self.workers = range(1, self.size)
        end_with_parent(os.getppid(), _launcher_lives)

    def send(self, message: Any, rank: int) -> None:
        self._comm.send(message, dest=rank)

    def receive(self) -> tuple[int, Any]:
        """Waits for the next message from any rank. Returns its sender and the message."""
        status = self._mpi.Status()
        while not self._comm.iprobe(source=self._mpi.ANY_SOURCE, status=status):
            time.sleep(POLL_SECONDS)
        source = status.Get_source()
        return source, self._comm.recv(source=source)

    def exchange_pids(self) -> dict[int, tuple[str, int]]:
        """Tells every rank the host and pid of each of them."""
        late = threading.Timer(START_SECONDS, self.abort, ["not all ranks came up"])
        late.daemon = True
        late.start()
        me = (self._mpi.Get_processor_name(), os.getpid())
        if self.rank != 0:
            self.send(me, 0)
            _, places = self.receive()
        else:
            places = {0: me}
            while len(places) < self.size:
                rank, place = self.receive()
                places[rank] = place
            for rank in self.workers:
                self.send(places, rank)
        late.cancel()
        shared_memory.unlink_mapped("mpich_shm")  # all ranks have opened it; MPICH leaves it behind when killed
        return places

    def abort(self, reason: str, code: int = 1) -> None:
        """Ends all ranks at once with exit code `code`."""
        line = f"{Path(sys.argv[0]).name}: rank {self.rank}: {reason}; all ranks are stopped"
        print(line, file=sys.stderr, flush=True)
        time.sleep(0.3)  # mpiexec has to print it before it ends the ranks
        self._comm.Abort(code)

    def abort_on_error(self, work: Callable[[], None]) -> None:
        """Runs `work()`. An error in it ends all ranks with a message that names this one."""
        try:
            work()
        except UsageError as error:
            self.abort(str(error), code=2)
        except KeyboardInterrupt:
            self.abort("stopped; run the same command again to go on", code=130)
        except Exception as error:
            if disk_is_full(error):
                self.abort("the disk is full; free some space and run the same command again", code=2)
            traceback.print_exc()
            self.abort("failed with the error above")


def worker_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=int, default=usable_cores(), metavar="N",
        help="worker processes to start beside the orchestrator (this machine's cores: %(default)s); "
        "no effect on the results, nor under mpiexec or srun",
    )  # fmt: skip
