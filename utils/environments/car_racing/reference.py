"""For tests and benchmarks only: a driver that knows the track, and the stock environment without its pictures."""

from typing import Any

import cv2
import gymnasium
import numpy as np
from gymnasium.envs.box2d import car_racing as stock


def steer_towards(env: gymnasium.Env, dx: float, dy: float) -> float:
    """The steering that turns the car into the direction (dx, dy) of the world."""
    error = (np.arctan2(-dx, dy) - env.get_wrapper_attr("car").hull.angle + np.pi) % (2 * np.pi) - np.pi
    return float(np.clip(-1.5 * error, -1, 1))


def drive(env: gymnasium.Env, rng: np.random.Generator, noise: float = 0.3) -> np.ndarray:
    """The next action, float32 (3,): along the track at about 60 units a second, more or less steadily."""
    unwrapped: Any = env.unwrapped
    centre = np.array(unwrapped.track)[:, 2:4]
    nearest = np.argmin(((centre - np.array(unwrapped.car.hull.position)) ** 2).sum(1))
    steer = steer_towards(env, *(centre[(nearest + 5) % len(centre)] - unwrapped.car.hull.position))
    speed = np.hypot(*unwrapped.car.hull.linearVelocity)
    action = np.clip(steer + rng.normal(0, noise), -1, 1), 0.6 * (speed < 55), 0.3 * (speed > 70)
    return np.array(action, np.float32)


def driven_actions(env: gymnasium.Env, seed: int, steps: int) -> np.ndarray:
    """The actions of `drive` on the track `seed`, float32 (up to steps, 3): the same in stock and in ours."""
    rng = np.random.default_rng(seed)
    actions: list[np.ndarray] = []
    env.reset(seed=seed)
    for _ in range(steps):
        actions.append(drive(env, rng))
        _, _, terminated, truncated, _ = env.step(actions[-1])
        if terminated or truncated:
            break
    return np.stack(actions)


class StockSometimesDrawn(stock.CarRacing):
    """Gymnasium's own environment, which draws only when `picture` is called."""

    def _render(self, mode: str) -> None:
        return None

    def picture(self) -> np.ndarray:
        """The present stock picture as the agent sees it: without the bar, resized, uint8 (64, 64, 3)."""
        return cv2.resize(super()._render("state_pixels")[:84], (64, 64), interpolation=cv2.INTER_AREA)
