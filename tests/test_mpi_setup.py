"""Step 5 on machines whose MPI, process manager or shared memory is not as it should be."""

import errno
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import MPIEXEC, ROOT, command, mounted, run_ranks, step
from utils.evolution import ranks, session
from utils.run.folder import same_arguments
from utils.system import mpi_setup
from utils.system.errors import UsageError

SCRIPT = "05_train_controller.py"
ONE_GENERATION = ("controller_num_generation=1", "--workers", "1")


def copies(count: int, variables: list[str]) -> list[tuple[int, str]]:
    """Exit codes and errors of processes as a process manager starts them that the MPI library does not hear of.
    variables: NAME=value, with {RANK} and {SIZE} in the value."""
    processes = []
    for rank in range(count):
        told = [variable.replace("{RANK}", str(rank)).replace("{SIZE}", str(count)) for variable in variables]
        started = command(SCRIPT, prefix=("env", *told))
        processes.append(subprocess.Popen(started, cwd=ROOT, stderr=subprocess.PIPE, text=True))
    return [(process.wait(60), process.stderr.read()) for process in processes]


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        (["PMIX_RANK={RANK}", "OMPI_COMM_WORLD_SIZE={SIZE}"], ["PMIX_RANK", "mpiexec"]),
        (["PMI_RANK={RANK}", "PMI_SIZE={SIZE}"], ["PMI_RANK", "mpiexec"]),
        (["SLURM_PROCID={RANK}", "SLURM_NTASKS={SIZE}", "SLURM_STEP_ID=0"], ["srun", "2 copies", "--mpi"]),
    ],
)
def test_copies_that_mpi_does_not_join_end_and_the_first_says_why(variables, names):
    (first, said), (second, silence) = copies(2, variables)
    assert (first, second) == (2, 2)
    assert len(said.splitlines()) == 1
    for name in (*names, "MPICH"):
        assert name in said
    assert silence == ""


def test_a_variable_left_over_from_elsewhere_is_a_line():
    ((code, said),) = copies(1, ["PMIX_RANK=0"])
    assert code == 2
    assert len(said.splitlines()) == 1
    for name in ("PMIX_RANK", "unset", MPIEXEC, "MPICH"):
        assert name in said


def test_a_batch_script_and_an_interactive_shell_of_slurm_are_no_copies(monkeypatch):
    monkeypatch.setattr(mpi_setup, "load", lambda: pytest.fail("it was taken for a copy"))
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "3", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    mpi_setup.refuse_copies()
    monkeypatch.setenv("SLURM_STEP_ID", "4294967290")
    mpi_setup.refuse_copies()
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    mpi_setup.refuse_copies()


def test_the_mpiexec_of_the_library_is_chosen_and_where_there_is_none_both_are_named(tmp_path):
    foreign = tmp_path / "mpiexec"
    foreign.write_text("#!/bin/sh\n[ $1 = --version ] && echo 'mpiexec (Open MPI) 5.0.8'\n")
    foreign.chmod(0o700)
    choose = (
        "import os, sys; from utils.system.errors import UsageError; from utils.system import mpi_setup\n"
        "for found in (sys.argv[1:], sys.argv[1:2]):\n"
        "    mpi_setup.mpiexecs = lambda: found\n"
        "    try: print(mpi_setup.choose_mpiexec(os.environ))\n"
        "    except UsageError as error: print(error)\n"
    )
    arguments = [sys.executable, "-c", choose, str(foreign), MPIEXEC]
    chosen, line = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
    assert chosen == MPIEXEC
    for name in (str(foreign), "Open MPI", "MPICH", "libmpi"):
        assert name in line


def test_little_shared_memory_no_output_and_an_stdin_of_others_are_enough(copy_of_trained, tmp_path):
    little = (*mounted("/dev/shm", "size=4m"), "sh", "-c", '"$@" >&- 2>&-', "sh")
    runs, following = copy_of_trained(), tmp_path / "list"
    following.write_text("the next configuration\n")
    with open(following) as stdin:
        done = step(SCRIPT, runs, *ONE_GENERATION, stdin=stdin, prefix=little)
        assert stdin.read() == "the next configuration\n"
    assert done.returncode == 0
    assert (runs / "tiny/controller/log.csv").exists()
    done = step(SCRIPT, runs, "controller_num_generation=2", prefix=mounted("/dev/shm", "size=1m"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "/dev/shm is too small" in done.stderr
    assert "MB" in done.stderr


def test_killed_ranks_leave_no_shared_memory_behind():
    mapped = (
        "from utils.evolution.ranks import Ranks\n"
        "ranks = Ranks(); ranks.exchange_pids()\n"
        "if ranks.rank: ranks.send(None, 0)\n"
        "else: ranks.receive(); print(*(l for l in open('/proc/self/maps') if 'mpich_shm' in l), sep='')\n"
    )
    done = run_ranks(2, mapped)
    assert done.returncode == 0, done.stderr
    assert all("(deleted)" in line for line in done.stdout.split("\n") if line)


def test_systems_that_cannot_watch_processes_are_no_error(tmp_path, monkeypatch):
    file, dead = tmp_path / "ranks.json", []
    file.write_text(json.dumps({0: (platform.node(), os.getpid())}))

    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse, raising=False)
    ranks._watch(file, dead, None)
    assert dead == []


def test_a_worker_that_falls_silent_ends_all_ranks_with_a_line():
    """As one whose host is lost: MPI itself would wait for it for ever."""
    done = run_ranks(
        3,
        "import os, signal\n"
        "from utils.evolution import ranks as module\n"
        "module.BEAT_SECONDS, module.SILENT_SECONDS = 0.1, 1.5\n"
        "ranks = module.Ranks(); ranks.exchange_pids()\n"
        "if ranks.rank == 2: os.kill(os.getpid(), signal.SIGSTOP)\n"
        "ranks.receive()\n",
    )
    assert done.returncode == 2
    assert re.search(r"rank 0: rank 2 on \S+ has not been heard of for 2 s; run again to go on", done.stderr)


def test_a_proposed_command_has_what_that_script_takes(monkeypatch):
    words = ["05_train_controller.py", "--hosts", "hosts", "--workers=2", "--brief", "--config", "mine.yaml", "seed=1"]
    monkeypatch.setattr(sys, "argv", words)
    assert same_arguments() == ["--config", "mine.yaml", "seed=1"]


def test_hosts_are_read_from_a_file(tmp_path):
    file = tmp_path / "hosts"
    file.write_text("# ours\nnode1:16\nnode2\n\nnode1:2  # once more\n")
    assert session.read_hosts(file) == {"node1": 18, "node2": 1}
    assert session.read_hosts(None) == {}
    file.write_text("node1 slots=16\n")
    with pytest.raises(UsageError, match=r"hosts, line 1: 'node1 slots=16' is no host"):
        session.read_hosts(file)


@pytest.mark.skipif(shutil.which("prterun") is None, reason="no Open MPI 5 in PATH")
def test_open_mpi_runs_the_same_steps_even_as_root_and_in_little_shared_memory(copy_of_trained):
    library = Path(shutil.which("prterun")).parents[1] / "lib/libmpi.so.40"
    environment = os.environ | {"MPI4PY_LIBMPI": str(library)}
    done = step(SCRIPT, copy_of_trained(), *ONE_GENERATION, env=environment, prefix=mounted("/dev/shm", "size=8m"))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
