"""The runs that a run goes on from: `previous_run`, its `previous_run`, and so on."""

from collections.abc import Iterator
from pathlib import Path

from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.system.errors import UsageError

SAME_M = ("env_name", "z_size", "rnn_size", "rnn_num_mixture")  # keys that give M its shape


def previous(config: Config) -> RunFolder | None:
    """The run that this one goes on from, if any. Raises `UsageError` if it is no run, or does not fit this one."""
    if config.previous_run is None:
        return None
    run = RunFolder(Path(config.previous_run))
    theirs = run.read_config()
    if run.path.absolute().name == config.exp_name:
        raise UsageError(
            f"previous_run: {run.path} has the name of this run, exp_name: {config.exp_name}; draws are named by both: "
            "choose another exp_name"
        )
    # Its held-out episodes have to stay held out.
    run.require_same("previous_run", config, *SAME_M, "held_out_fraction")
    if config.controller_start == "previous":
        run.require_same("previous_run", config, "controller_inputs", "controller_bias", "controller_hidden")
    if run.has_rollouts() and theirs.num_episodes > config.num_episodes:
        raise UsageError(
            f"previous_run: {run.path} has {theirs.num_episodes} episodes, which are taken over; max_trials x "
            f"parallel_processes is {config.num_episodes} in all"
        )
    return run


def earlier(config: Config) -> Iterator[RunFolder]:
    """The runs that this one goes on from, the latest first. Raises `UsageError` as `previous` does."""
    while before := previous(config):
        yield before
        config = before.read_config()
