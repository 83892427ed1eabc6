"""Runs step 5: starts the MPI ranks, or acts as one of them if MPI started this process."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from utils.evolution import ranks as mpi
from utils.evolution.alone import Alone
from utils.evolution.tasks import Messenger
from utils.evolution.worker import RolloutWorker, worker_loop
from utils.run import cli, provenance
from utils.run.config import Config
from utils.run.folder import RunFolder, has_begun, opened
from utils.run.steps import Step
from utils.run.summaries import of_controller
from utils.system import mpi_setup
from utils.system.errors import UsageError
from utils.system.files import user_path, write_json
from utils.system.processes import inside_mpi, usable_cores

if TYPE_CHECKING:
    from utils.evolution.state import EvolutionState


def worker_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=int, metavar="N",
        help=f"worker processes to start beside the orchestrator (the cores: {usable_cores()} here); 0: one process "
        "does it all, without MPI; no effect on the results, nor under mpiexec or srun",
    )  # fmt: skip
    parser.add_argument(
        "--hosts", type=user_path, metavar="FILE",
        help="start them on several hosts by ssh, which see the same files: a line `name:cores` for each host",
    )  # fmt: skip


def read_hosts(path: Path | None) -> dict[str, int]:
    """How many ranks each host takes, by its name. Raises `UsageError` if a line of the file says something else."""
    hosts: dict[str, int] = {}
    for number, line in enumerate(path.read_text().splitlines() if path else (), 1):
        if not (words := line.partition("#")[0].split()):
            continue
        name, _, count = words[0].partition(":")
        if len(words) > 1 or not name or not (count or "1").isdecimal():
            raise UsageError(f"{path}, line {number}: {line!r} is no host: a line looks like node1:16")
        hosts[name] = hosts.get(name, 0) + int(count or 1)
    return hosts


def evolve(parser: argparse.ArgumentParser) -> int:
    """Does step 5 for the command line. Inside MPI this process is one rank, otherwise it starts the ranks.

    With `--workers 0` it does all the work itself.

    Returns the exit code. Raises `UsageError` for bad input, in the first rank only.
    """
    if inside_mpi():
        _take_part(parser)
        return 0
    mpi_setup.refuse_copies()
    config, arguments = cli.configured(parser)
    hosts = read_hosts(arguments.hosts)
    cli.check_at_least(1 if hosts else 0, arguments, "workers")
    workers = arguments.workers or sum(hosts.values()) or usable_cores()
    with opened(config, Step.CONTROLLER) as run:  # locked for the checks only, then by the orchestrator
        if _check(config, run, arguments.brief):
            return 0
        if arguments.workers == 0:
            cli.announce(config, Step.CONTROLLER, parser.description, arguments.brief)
            _orchestrate(Alone(RolloutWorker(config, run, gpu=config.controller_gpu)), config, run, arguments.brief)
            return 0
    return mpi.launch(workers, run.controller / "ranks.json", hosts)


def _take_part(parser: argparse.ArgumentParser) -> None:
    ranks = mpi.Ranks()
    pids = ranks.exchange_pids()
    if ranks.rank == 0:
        _lead(ranks, pids, parser)
        return
    _, start = ranks.receive()
    if start is None:  # the orchestrator prints why
        ranks.stop_beating()
        return
    ranks.abort_on_error(lambda: worker_loop(ranks, *start))


def _lead(ranks: mpi.Ranks, pids: dict[int, tuple[str, int]], parser: argparse.ArgumentParser) -> None:
    started = False
    try:
        if not ranks.workers:
            raise UsageError("started with 1 rank; the orchestrator needs at least one worker beside it: mpiexec -n 2")
        config, arguments = cli.configured(parser)
        with opened(config, Step.CONTROLLER) as run:
            if _check(config, run, arguments.brief):
                return

            def lead() -> None:
                cli.announce(config, Step.CONTROLLER, parser.description, arguments.brief)
                write_json(run.controller / "ranks.json", pids)
                for rank in ranks.workers:
                    ranks.send((config, run), rank)
                _orchestrate(ranks, config, run, arguments.brief)

            started = True
            ranks.abort_on_error(lead)
    finally:
        if not started:
            for rank in ranks.workers:
                ranks.send(None, rank)


def _orchestrate(ranks: Messenger, config: Config, run: RunFolder, brief: bool) -> None:
    from utils.evolution.orchestrator import orchestrate

    with run.timed(Step.CONTROLLER):
        state = orchestrate(ranks, config, run)
    cli.summarise(run, Step.CONTROLLER, _results(state, config, run), brief)


def _check(config: Config, run: RunFolder, brief: bool) -> bool:
    """Whether all generations are done. Raises `UsageError` if an earlier step is missing or was done again."""
    provenance.check(config, run, Step.CONTROLLER)
    if not has_begun(run, Step.CONTROLLER):
        return False
    from utils.evolution.beginning import stopped  # imports cma

    state = stopped(config, run)
    if state is None or state.generation < config.controller_num_generation:
        return False
    from utils.evolution.log import EvolutionLog

    EvolutionLog(config, run).write_files(state)  # the run may have been killed before it wrote them
    print(
        f"{run.controller}: {state.generation} generations are done already, nothing to do; raise "
        "controller_num_generation to go on"
    )
    cli.summarise(run, Step.CONTROLLER, _results(state, config, run), brief)
    return True


def _results(state: "EvolutionState", config: Config, run: RunFolder) -> dict[str, str]:
    from utils.agent.controllers import controller_path

    return {
        "C": f"{of_controller(state.rows, config.controller_eval_episode)}: {controller_path(config, run)}",
        "generations": f"{state.generation} of {config.population} candidates, sigma {state.rows[-1]['sigma']:.3f}",
        "how it learned": str(run.controller / "learning_curve.png"),
        "its score": "render_agent.py scores it in 16 other episodes, and the report in others again. "
        "Neither has selected it, so both are fair, and differ as small samples do.",
    }
