"""The environment `WorldModels/CarRacing-v3`, and its spec."""

from typing import Any

import cv2
import gymnasium
import numpy as np
from gymnasium.envs.box2d import car_racing as stock

from utils.environments.car_racing import rule
from utils.environments.car_racing.camera import BAR_ROW, SIZE
from utils.environments.car_racing.car import Car
from utils.environments.car_racing.exploration import EXPLORATIONS
from utils.environments.car_racing.picture import Picture
from utils.environments.car_racing.track import TileListener, World
from utils.environments.spec import EnvironmentSpec, PublishedCurve

OBSERVATION_SPACE = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)


class CarRacing(stock.CarRacing):
    """Gymnasium's `CarRacing-v3` without the status bar, drawn at 64x64 at once.

    Observation: uint8 (64, 64, 3).
    Action: float32 (3,), steering in [-1, 1], gas and brake in [0, 1].
    `render()`: the stock 600x400 picture.
    Source: chapter, "The CarRacing Environment".

    Raises `UsageError` if the installed Gymnasium has another rule.
    """

    def __init__(self, render_mode: str | None = None, **kwargs: Any):
        rule.check()
        self.picture = Picture()
        super().__init__(render_mode=render_mode, **kwargs)
        self.observation_space = OBSERVATION_SPACE

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        # A new world for each episode: Box2D keeps the order of bodies and contacts over a reset, and an episode must
        # not depend on the one before it.
        self._release_world()
        self.world = World()
        self.road = None
        result = super().reset(seed=seed, options=options)
        if self.render_mode is None:  # pictures for people show skid marks, which only stock's car has
            self.car.__class__ = Car  # stock's reset makes its own class, with the same state
        return result

    def close(self) -> None:
        self._release_world()
        super().close()

    def _release_world(self) -> None:
        if isinstance(self.world, World):  # the one that stock makes before the first reset holds nothing
            self.world.release()

    def _create_track(self) -> bool:
        if not super()._create_track():
            return False
        self.picture.draw_track(self.road_poly, self.bg_color, self.grass_color)
        self.world.contactListener_bug_workaround = TileListener(self)  # stock's name: Box2D keeps no reference
        self.world.contactListener = self.world.contactListener_bug_workaround
        return True

    def _render(self, mode: str) -> Any:
        if mode == "state_pixels":
            return self.picture.frame(self.car, self.t)
        return super()._render(mode)


class StockObservation(gymnasium.ObservationWrapper):
    """The observation from the unmodified environment: without the status bar, resized to 64x64 by area."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.observation_space = OBSERVATION_SPACE

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return cv2.resize(observation[:BAR_ROW], (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def _make(render_mode: str | None = None) -> gymnasium.Env:
    return gymnasium.make("WorldModels/CarRacing-v3", render_mode=render_mode, disable_env_checker=True)


def _make_stock(render_mode: str | None = None) -> gymnasium.Env:
    rule.check()
    return StockObservation(gymnasium.make("CarRacing-v3", render_mode=render_mode))


SPEC = EnvironmentSpec(
    env_id="WorldModels/CarRacing-v3",
    episode_noun="track",
    make=_make,
    make_stock=_make_stock,
    activations=("tanh", "half_tanh", "positive_tanh"),
    action_names=("steer", "gas", "brake"),
    predicts="reward",
    keyboard_action=lambda left, right, up, down: np.array([right - left, up, 0.8 * down], np.float32),
    max_steps=1000,
    steps_per_second=50,
    idle_reward=-0.1,
    gain=3.5,  # a tile of a track of 286; tracks have 230 to 340
    explorations=EXPLORATIONS,
    baseline_policy="uniform",
    position=lambda env: tuple(env.get_wrapper_attr("car").hull.position),
    track_line=lambda env: np.array(env.get_wrapper_attr("track"))[:, 2:],
    published_curves=(
        PublishedCurve("the original (hardmaru): candidates, mean", "learning_curve_carracing_hardmaru.csv", 64),
        PublishedCurve(
            "zacwellmer: mean of the population on 128 tracks",
            "evaluations_carracing_wellmer.csv",
            64,
            seconds_per_generation=6450,
        ),
    ),
)
