"""CarRacing's car in the 64x64 observation: four pixels wide, eight high, always in the same place.

Its size changes during the opening zoom, its wheels turn, and so does the pale mark on each tyre. Each wheel is drawn
once for every distinguishable turn and mark, and kept. A frame adds five small layers and blends them over the ground.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from gymnasium.envs.box2d import car_dynamics as dynamics

from utils.environments.car_racing.camera import CENTRE_X, CENTRE_Y, FINAL_ZOOM, SCALE_X, SCALE_Y, seen

ROWS, COLUMNS = slice(50, 60), slice(29, 35)  # of the observation, as far as the car can reach
HEIGHT, WIDTH = ROWS.stop - ROWS.start, COLUMNS.stop - COLUMNS.start
DETAIL = 16  # a layer is drawn at this multiple and averaged down

# How finely wheels are told apart: radians a step of their turn, places of the mark in a revolution.
TURN_STEP, MARKS = 0.05, 24
OPENING_TURN_STEP, OPENING_MARKS = 0.1, 6  # while the car is small

HULL_COLOR, TYRE_COLOR, MARK_COLOR = (
    (*seen(color), 255) for color in ((204, 0, 0), dynamics.WHEEL_COLOR, dynamics.WHEEL_WHITE)
)
HULL = [
    np.array(corners) * dynamics.SIZE
    for corners in (dynamics.HULL_POLY1, dynamics.HULL_POLY2, dynamics.HULL_POLY3, dynamics.HULL_POLY4)
]
AXLES = np.array(dynamics.WHEELPOS) * dynamics.SIZE
HALF_WIDTH, RADIUS = dynamics.WHEEL_W * dynamics.SIZE, dynamics.WHEEL_R * dynamics.SIZE


def draw_car(picture: np.ndarray, car: Any, zoom: float) -> None:
    """Draws the car into the observation, uint8 (64, 64, 3), at `zoom` window pixels per world unit."""
    turn_step, marks = (TURN_STEP, MARKS) if zoom >= FINAL_ZOOM else (OPENING_TURN_STEP, OPENING_MARKS)
    layer = _hull(zoom)
    for axle, wheel in enumerate(car.wheels):
        mark = round(wheel.phase * (marks / math.tau)) % marks
        turn = round(wheel.joint.angle / turn_step)
        layer = layer + _wheel(zoom, axle, turn * turn_step, mark * (math.tau / marks))
    window = picture[ROWS, COLUMNS]
    window[:] = window * layer[..., 3:] + layer[..., :3]


@functools.lru_cache(maxsize=64)
def _hull(zoom: float) -> np.ndarray:
    """The hull, to which wheels are added: float32 (HEIGHT, WIDTH, 4), colours and the rest of the ground."""
    canvas = _canvas()
    for corners in HULL:
        _fill(canvas, corners, zoom, HULL_COLOR)
    # With the half, truncation rounds.
    return _averaged(canvas) + np.array([0.5, 0.5, 0.5, 1], np.float32)


@functools.lru_cache(maxsize=16384)
def _wheel(zoom: float, axle: int, turn: float, phase: float) -> np.ndarray:
    """The part of a wheel that the hull does not hide: float32 (HEIGHT, WIDTH, 4), as `_averaged` has it."""
    canvas = _canvas()
    rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    for corners, color in _tyre(phase):
        _fill(canvas, corners @ rotation + AXLES[axle], zoom, color)
    for corners in HULL:
        _fill(canvas, corners, zoom, (0, 0, 0, 0))
    return _averaged(canvas)


def _tyre(phase: float) -> Iterator[tuple[np.ndarray, tuple[int, ...]]]:
    """Polygons and colours of a wheel in its own frame, in drawing order: the tyre, and its mark if it faces up."""
    yield np.array([[-1, 1], [1, 1], [1, -1], [-1, -1]]) * (HALF_WIDTH, RADIUS), TYRE_COLOR
    start, end = phase, phase + 1.2
    if math.sin(start) > 0 and math.sin(end) > 0:
        return
    low = math.copysign(1, math.cos(start)) if math.sin(start) > 0 else math.cos(start)
    high = math.copysign(1, math.cos(end)) if math.sin(end) > 0 else math.cos(end)
    yield np.array([[-1, low], [1, low], [1, high], [-1, high]]) * (HALF_WIDTH, RADIUS), MARK_COLOR


def _canvas() -> np.ndarray:
    return np.zeros((HEIGHT * DETAIL, WIDTH * DETAIL, 4), np.uint8)


def _fill(canvas: np.ndarray, corners: np.ndarray, zoom: float, color: tuple[int, ...]) -> None:
    """corners (n, 2): world units from the car's centre, y ahead."""
    centre = (CENTRE_X * SCALE_X - COLUMNS.start, CENTRE_Y * SCALE_Y - ROWS.start)
    points = (corners * (zoom * SCALE_X, -zoom * SCALE_Y) + centre) * DETAIL
    cv2.fillConvexPoly(canvas, np.round((points - 0.5) * 16).astype(np.int32), color, shift=4)


def _averaged(canvas: np.ndarray) -> np.ndarray:
    """Colours, weighted by the covered share of each pixel, and the share of the ground that they hide (negative)."""
    layer = cv2.resize(canvas.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return layer * np.array([1, 1, 1, -1 / 255], np.float32)
