"""Starts the MPI ranks, passes messages between them and ends them together.

MPICH's blocking receive keeps a core busy while it waits, so ranks poll for a message and sleep in between.
"""

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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from utils.system import mpi_setup, shared_memory
from utils.system.errors import UsageError
from utils.system.files import disk_is_full
from utils.system.processes import end_with_parent

POLL_SECONDS = 0.002
START_SECONDS = 60.0  # within which all ranks must have started
BEAT_SECONDS = 5.0  # between two signs of life of a worker
SILENT_SECONDS = 300.0  # without one: its host is lost. On a busy machine TensorFlow's start alone may take 30
END_SECONDS = 15.0  # for mpiexec to end, when a rank of this host has ended
_ALIVE = "alive"
_LAUNCHER = "WORLD_MODELS_LAUNCHER"  # host and pid of the process that called mpiexec


def launch(num_workers: int, ranks_file: Path, hosts: Mapping[str, int] | None = None) -> int:
    """Runs this command again under mpiexec, as an orchestrator and `num_workers` workers. Returns its exit code.

    ranks_file: where the orchestrator writes the host and pid of each rank.
    hosts: how many ranks each host takes, by its name. None or empty: all run here.
    """
    environment = mpi_setup.environment_of_ranks(num_workers + 1)
    environment[_LAUNCHER] = f"{platform.node()} {os.getpid()}"
    mpiexec = mpi_setup.choose_mpiexec(environment)
    where = mpi_setup.hosts_option(hosts) if hosts else []
    command = [mpiexec, *where, "-n", str(num_workers + 1), sys.executable, "-u", *sys.argv]
    ranks_file.unlink(missing_ok=True)
    dead: list[str] = []
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace", env=environment
    )  # mpiexec would read all of stdin, and be stopped by it in the background
    threading.Thread(target=_watch, args=(ranks_file, dead, process), daemon=True).start()
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


def _watch(ranks_file: Path, dead: list[str], mpiexec: subprocess.Popen) -> None:
    """Appends the name of the rank of this host that ends first to `dead`.

    mpiexec ends the others within milliseconds, before they can report anything, and MPICH's own report often names
    another rank. The kernel knows. An mpiexec that cannot end, since it waits for a host that is lost, is killed.
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
    try:
        mpiexec.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        mpiexec.kill()


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
        self._heard: dict[int, float] = {}  # when each worker was last heard of, in the first rank
        self._places: dict[int, tuple[str, int]] = {}
        self._stopped = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        end_with_parent(os.getppid(), _launcher_lives)

    def send(self, message: Any, rank: int) -> None:
        self._comm.send(message, dest=rank)

    def receive(self) -> tuple[int, Any]:
        """Waits for the next message from any rank. Returns its sender and the message.

        Ends all ranks if a worker is silent for too long: MPI does not notice a host that is lost.
        """
        status = self._mpi.Status()
        while True:
            while not self._comm.iprobe(source=self._mpi.ANY_SOURCE, status=status):
                self._refuse_silence()
                time.sleep(POLL_SECONDS)
            source = status.Get_source()
            message = self._comm.recv(source=source)
            if source in self._heard:
                self._heard[source] = time.monotonic()
            if message != _ALIVE:
                return source, message

    def _refuse_silence(self) -> None:
        for rank, heard in self._heard.items():
            if time.monotonic() - heard > SILENT_SECONDS:
                host, _ = self._places[rank]
                self.abort(
                    f"rank {rank} on {host} has not been heard of for {SILENT_SECONDS:.0f} s; run again to go on",
                    code=2,
                )

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            self.send(_ALIVE, 0)

    def stop_beating(self) -> None:
        """Of a worker that is about to end."""
        self._stopped.set()
        if self._heart.is_alive():
            self._heart.join()

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
        self._places = places
        if self._mpi.Query_thread() == self._mpi.THREAD_MULTIPLE:  # messages from two threads are allowed
            if self.rank == 0:
                self._heard = dict.fromkeys(self.workers, time.monotonic())
            else:
                self._heart.start()
        shared_memory.unlink_mapped("mpich_shm")  # all ranks have opened it; MPICH leaves it behind when killed
        return places

    @property
    def first_worker_of_host(self) -> bool:
        """Whether no other worker of this host has a lower rank. Known after `exchange_pids`."""
        host, _ = self._places[self.rank]
        return self.rank == min(rank for rank in self.workers if self._places[rank][0] == host)

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
