"""How CarRacing is explored.

A policy that does not see the road leaves it within a second or two and then records grass: V learns few roads, and M
does not learn to follow one. `wander` draws a new driver for each episode: how strongly the grey ahead attracts it
(down to not at all), how much it steers at random, how much gas it gives. `python -m benchmarks.exploration` compares
seven kinds. `wander` is the fastest, covers the most road and keeps it in view in nine frames of ten, but still leaves
it and comes back about once an episode. It knows nothing of tracks, tiles or rewards. `blind` and `uniform` do not look
at all.
"""

from collections.abc import Callable

import numpy as np

from utils.environments.spec import Explorer

_COLUMN = np.linspace(-1, 1, 64)


def _uniform(rng: np.random.Generator) -> Explorer:
    """A new action at each step: the usual random policy, and the baseline of trained agents."""

    def act(obs: np.ndarray) -> np.ndarray:
        return np.array([rng.uniform(-1, 1), rng.uniform(), rng.uniform()], np.float32)

    return act


def _road_ahead(observation: np.ndarray) -> float | None:
    """Where the grey is in the rows ahead of the car, from -1 (left) to 1 (right). None if there is none."""
    band = observation[20:44].astype(np.int16)
    grey = (np.abs(band[..., 1] - band[..., 0]) < 12) & (band[..., 0] > 80)
    count = grey.sum()
    return float((grey @ _COLUMN).sum() / count) if count >= 12 else None


def _driver(rng: np.random.Generator, attraction: float) -> Explorer:
    """Accelerates, then holds random steering and gas for 4 to 24 steps each, and sometimes brakes briefly."""
    restlessness, foot = rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.6)
    start = int(rng.integers(10, 50))
    start_gas = rng.uniform(0.5, 1)
    steer, gas, brake, hold, road = 0.0, start_gas, 0.0, start, 0.0

    def act(obs: np.ndarray) -> np.ndarray:
        nonlocal steer, gas, brake, hold, road
        if hold == 0:
            hold = int(rng.integers(4, 25))
            steer = rng.normal(0, restlessness)
            gas, brake = np.clip(rng.normal(foot, 0.25), 0, 1), 0.0
            if rng.random() < 0.12:
                hold, gas, brake = min(hold, 8), 0.0, rng.uniform(0.1, 0.9)
        hold -= 1
        if attraction:
            seen = _road_ahead(obs)
            road = road if seen is None else seen
        return np.array([np.clip(steer + attraction * road, -1, 1), gas, brake], np.float32)

    return act


EXPLORATIONS: dict[str, Callable[[np.random.Generator], Explorer]] = {
    "wander": lambda rng: _driver(rng, attraction=rng.uniform(0, 2)),
    "blind": lambda rng: _driver(rng, attraction=0.0),
    "uniform": _uniform,
}
