"""CarRacing as the agent sees it: Gymnasium's physics, track, reward and end, a 64x64 observation."""

from pathlib import Path

import Box2D
import cv2
import gymnasium
import numpy as np
from gymnasium.envs.box2d import car_racing as stock

from utils.environments.car_racing_exploration import EXPLORATIONS
from utils.environments.car_racing_renderer import SIZE, Renderer
from utils.environments.description import Description

OBSERVATION_SPACE = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
cv2.setNumThreads(1)  # pictures this small are drawn sooner than a second thread wakes, and workers share cores

_PUBLISHED = Path(__file__).parent / "published"
BAR_ROW = 84  # the status bar begins here in the stock 96x96 observation


class _TileListener(stock.FrictionDetector):
    """Stock's contact listener, which also tells the renderer about tiles that take the road colour."""

    def _contact(self, contact, begin):
        super()._contact(contact, begin)
        for fixture in (contact.fixtureA, contact.fixtureB):
            tile = fixture.body.userData
            if begin and tile is not None and "idx" in tile.__dict__ and not tile.drawn:
                tile.drawn = True
                self.env.renderer.visit(self.env.tile_corners[tile.idx], self.env.road_color)


class CarRacing(stock.CarRacing):
    """Gymnasium's `CarRacing-v3` with the status bar cut off and the picture drawn at 64x64 at once.

    Observation: uint8 (64, 64, 3). Action: float32 (3,): steering in [-1, 1], gas and brake in [0, 1].
    `render()` gives the stock 600x400 picture. Source: chapter, "The CarRacing Environment".
    """

    def __init__(self, render_mode: str | None = None, **kwargs):
        self.renderer = Renderer()
        super().__init__(render_mode=render_mode, **kwargs)
        self.observation_space = OBSERVATION_SPACE

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        # A world of its own for each episode: Box2D keeps the order of its bodies and contacts over a reset,
        # and an episode must not depend on what was driven before it.
        self.world = Box2D.b2World((0, 0))
        self.road = None
        return super().reset(seed=seed, options=options)

    def _create_track(self) -> bool:
        if not super()._create_track():
            return False
        for tile in self.road:
            tile.drawn = False
        roads = [poly for poly, color in self.road_poly if not isinstance(color, tuple)]
        self.tile_corners = np.array(roads)
        self.renderer.draw_track(self.road_poly)
        listener = _TileListener(self, self.lap_complete_percent)
        self.world.contactListener_bug_workaround = listener
        self.world.contactListener = listener
        return True

    def _render(self, mode: str):
        if mode == "state_pixels":
            return self.renderer.frame(self.car, self.t)
        return super()._render(mode)


class StockObservation(gymnasium.ObservationWrapper):
    """The agent's observation from the unmodified environment: bar cropped, resized to 64x64 by area."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.observation_space = OBSERVATION_SPACE

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return cv2.resize(observation[:BAR_ROW], (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def _make(render_mode: str | None = None) -> gymnasium.Env:
    return gymnasium.make("WorldModels/CarRacing-v3", render_mode=render_mode, disable_env_checker=True)


def _make_stock(render_mode: str | None = None) -> gymnasium.Env:
    return StockObservation(gymnasium.make("CarRacing-v3", render_mode=render_mode))


gymnasium.register("WorldModels/CarRacing-v3", CarRacing, max_episode_steps=1000, reward_threshold=900)

DESCRIPTION = Description(
    env_id="WorldModels/CarRacing-v3",
    make=_make,
    make_stock=_make_stock,
    activations=("tanh", "half_tanh", "positive_tanh"),
    action_names=("steer", "gas", "brake"),
    predicts="reward",
    max_steps=1000,
    explorations=EXPLORATIONS,
    baseline="uniform",
    published_curves={
        "the original (hardmaru): candidates, mean": _PUBLISHED / "learning_curve_carracing_hardmaru.csv",
        "zacwellmer: mean of the population on 128 tracks": _PUBLISHED / "evaluations_carracing_wellmer.csv",
    },
)
