"""Random policies for Doom: Take Cover."""

from collections.abc import Callable

import numpy as np

from utils.environments.spec import Explorer


def _uniform(rng: np.random.Generator) -> Explorer:
    """A new action at each step: the usual random policy, and the baseline of trained agents."""
    return lambda obs: rng.uniform(-1, 1, 1).astype(np.float32)


def _holding(draw: Callable[[], np.ndarray], steps: Callable[[], int]) -> Explorer:
    """Holds each action of draw() for steps() steps."""
    action, hold = np.zeros(1, np.float32), 0

    def act(obs: np.ndarray) -> np.ndarray:
        nonlocal action, hold
        if hold == 0:
            action, hold = draw(), steps()
        hold -= 1
        return action

    return act


def _held(rng: np.random.Generator) -> Explorer:
    """Holds each action for 1 to 10 steps, 5.5 on average, so that it sees more of the room.

    The original code draws a new action where the step is a multiple of a number from 1 to 10, and a new number then:
    3.6 steps on average.
    """
    return _holding(lambda: rng.uniform(-1, 1, 1).astype(np.float32), lambda: int(rng.integers(1, 11)))


def _roam(rng: np.random.Generator) -> Explorer:
    """Each episode has its own pace, 3 to 60 steps for an action on average, and its own preferred side.

    Unlike `held`, it also stands still, and at a wall, for long. In a dream of a policy that never does, a controller
    believes that no fireballs fly there.
    """
    pace, leaning = np.exp(rng.uniform(np.log(3), np.log(60))), rng.uniform(-0.7, 0.7)
    return _holding(
        lambda: np.clip(rng.uniform(-1, 1, 1) + leaning, -1, 1).astype(np.float32),
        lambda: 1 + int(rng.exponential(pace)),
    )


def _sweep(rng: np.random.Generator) -> Explorer:
    """To and fro without looking: 40 to 200 steps a way in an episode, each way up to a fifth shorter or longer.

    The room is about 105 steps wide: some turn before a wall, others wait at it. Monsters aim at where the agent is, so
    these are the longest random lives.
    """
    pace, side = rng.uniform(40, 200), rng.choice((-1.0, 1.0))

    def turn() -> np.ndarray:
        nonlocal side
        side = -side
        return np.full(1, side, np.float32)

    return _holding(turn, lambda: int(pace * rng.uniform(0.8, 1.2)))


def _mixed(rng: np.random.Generator) -> Explorer:
    """Each episode is one of the other policies': dodging, standing still and waiting at a wall all occur."""
    return (_uniform, _held, _roam, _sweep)[rng.integers(4)](rng)


EXPLORATIONS = {"held": _held, "mixed": _mixed, "roam": _roam, "sweep": _sweep, "uniform": _uniform}
