"""Where an evolution begins: the state that a stopped run left, or a new one."""

import numpy as np

from utils.agent.controllers import load_checked_controller
from utils.evolution.state import EvolutionState
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.lineage import previous


def stopped(config: Config, run: RunFolder) -> EvolutionState | None:
    """The state that a stopped run left, None if there is none. Without resume.pkl, its tables lead there.

    Raises `UsageError` if what is left is damaged or does not agree.
    """
    state = EvolutionState.restore(run.controller)
    if state is None and (run.controller / "fitness.csv").exists():
        print(f"no resume.pkl in {run.controller}: CMA-ES is told the scores in fitness.csv again", flush=True)
        state = EvolutionState.replayed(config, start(config, run), run.controller)
        state.save(state.frozen(), run.controller)
    return state


def start(config: Config, run: RunFolder) -> np.ndarray:
    """The controller of the previous run if there is one, else zeros, (num_parameters,)."""
    if not (before := previous(config)) or config.controller_start != "previous":
        return np.zeros(config.controller.num_parameters)
    parameters, which = load_checked_controller(before.read_config(), before)
    run.remember_earlier(before)
    print(f"going on from {before.path}: {which}", flush=True)
    return parameters
