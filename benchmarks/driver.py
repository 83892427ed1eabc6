"""A driver that knows CarRacing's track, for measurements and tests. No network learns from it."""

import cv2
import numpy as np
from gymnasium.envs.box2d import car_racing as stock


def steer_towards(env, dx: float, dy: float) -> float:
    error = (np.arctan2(-dx, dy) - env.unwrapped.car.hull.angle + np.pi) % (2 * np.pi) - np.pi
    return np.clip(-1.5 * error, -1, 1)


def drive(env, rng: np.random.Generator, noise: float = 0.3) -> np.ndarray:
    """The next action along the track, float32 (3,), at about 60 units per second.

    noise: standard deviation of the steering.
    """
    unwrapped = env.unwrapped
    centre = np.array(unwrapped.track)[:, 2:4]
    nearest = np.argmin(((centre - np.array(unwrapped.car.hull.position)) ** 2).sum(1))
    steer = steer_towards(env, *(centre[(nearest + 5) % len(centre)] - unwrapped.car.hull.position))
    speed = np.hypot(*unwrapped.car.hull.linearVelocity)
    return np.float32([np.clip(steer + rng.normal(0, noise), -1, 1), 0.6 * (speed < 55), 0.3 * (speed > 70)])


def driven_actions(env, seed: int, steps: int) -> np.ndarray:
    """The actions of `drive` on the track `seed`, float32 (up to steps, 3). The same in stock as in ours."""
    rng, actions = np.random.default_rng(seed), []
    env.reset(seed=seed)
    for _ in range(steps):
        actions.append(drive(env, rng))
        _, _, terminated, truncated, _ = env.step(actions[-1])
        if terminated or truncated:
            break
    return np.stack(actions)


class StockSometimesDrawn(stock.CarRacing):
    """Gymnasium's own environment, but it draws only when asked, not at each step."""

    def _render(self, mode: str):
        return None

    def picture(self) -> np.ndarray:
        """The current observation of the agent: stock's without the status bar, resized, uint8 (64, 64, 3)."""
        return cv2.resize(super()._render("state_pixels")[:84], (64, 64), interpolation=cv2.INTER_AREA)
