"""How CarRacing is explored when nobody knows how to drive yet.

Whoever cannot see the road leaves it within a second or two and then films grass: V learns few roads, M never
learns what holding one is like. `wander` draws a new driver for each episode: how much it is drawn to the grey
it sees ahead (down to not at all), how restless its hands are, how heavy its foot. Of the seven kinds that
`python -m benchmarks.exploration` compares it was chosen because it is the fastest, covers the most road, keeps
it in view nine frames of ten at that, and still leaves it and comes back about once an episode. It knows
nothing of tracks, tiles or rewards. `blind` and `uniform` are there for who wants actions that do not look.
"""

import numpy as np

_COLUMN = np.linspace(-1, 1, 64)


def _uniform(rng: np.random.Generator):
    """New at each step, the usual random policy, and the baseline that a trained agent is compared with."""

    def act(observation):
        return np.array([rng.uniform(-1, 1), rng.uniform(), rng.uniform()], np.float32)

    return act


def _road_ahead(observation: np.ndarray) -> float | None:
    """Where the grey is in the rows ahead of the car, from -1 (left) to 1 (right); None where there is none."""
    band = observation[20:44].astype(np.int16)
    grey = (np.abs(band[..., 1] - band[..., 0]) < 12) & (band[..., 0] > 80)
    count = grey.sum()
    return float((grey @ _COLUMN).sum() / count) if count >= 12 else None


def _driver(rng: np.random.Generator, attraction: float):
    """Pushes off, then holds random steering and gas for 4 to 24 steps each, now and then braking briefly."""
    restlessness, foot = rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.6)
    push = int(rng.integers(10, 50))
    push_gas = rng.uniform(0.5, 1)
    steer, gas, brake, hold, road = 0.0, push_gas, 0.0, push, 0.0

    def act(observation):
        nonlocal steer, gas, brake, hold, road
        if hold == 0:
            hold = int(rng.integers(4, 25))
            steer = rng.normal(0, restlessness)
            gas, brake = np.clip(rng.normal(foot, 0.25), 0, 1), 0.0
            if rng.random() < 0.12:
                hold, gas, brake = min(hold, 8), 0.0, rng.uniform(0.1, 0.9)
        hold -= 1
        if attraction:
            seen = _road_ahead(observation)
            road = road if seen is None else seen
        return np.array([np.clip(steer + attraction * road, -1, 1), gas, brake], np.float32)

    return act


EXPLORATIONS = {
    "wander": lambda rng: _driver(rng, attraction=rng.uniform(0, 2)),
    "blind": lambda rng: _driver(rng, attraction=0.0),
    "uniform": _uniform,
}
