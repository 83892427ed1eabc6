"""Draws CarRacing's 64x64 observation without drawing the 1000x800 picture first.

The stock environment draws every polygon of the world onto a 1000x800 surface and shrinks that to 96x96 at
every step. But the world does not move, only the camera does. So the track is drawn once a reset, onto a
texture seen from above, and each frame is one affine warp of that texture plus the car, which always stands
in the same place of the picture.
"""

import math

import cv2
import numpy as np
from gymnasium.envs.box2d import car_dynamics as dynamics
from gymnasium.envs.box2d import car_racing as stock

SIZE = 64
TEXELS = 2.5  # texels per world unit; a pixel of the observation covers about 1.0 x 0.7 units
OVERDRAW = 2  # the texture is drawn at this multiple and averaged down
MARGIN = 8.0  # black world units kept around the playfield, so that its edge is drawn by the same warp
# Window pixels to observation pixels: 1000 -> 96 -> 64 across; 800 -> 96, 84 rows kept, -> 64 down.
SCALE_X = SIZE / stock.WINDOW_W
SCALE_Y = (stock.STATE_H / stock.WINDOW_H) * (SIZE / 84)
FINAL_ZOOM = stock.ZOOM * stock.SCALE
CAR_ROWS, CAR_COLUMNS = slice(46, 64), slice(25, 39)  # where the car stands once the opening zoom is over
CAR_DETAIL = 8  # the car's window is drawn at this multiple and averaged down

HULL = [
    np.array(p, np.float64) * dynamics.SIZE
    for p in (dynamics.HULL_POLY1, dynamics.HULL_POLY2, dynamics.HULL_POLY3, dynamics.HULL_POLY4)
]


def _seen(color) -> list[int]:
    """A stock colour as the stock observation shows it: SDL's smoothscale takes 2 of 255 off on the way down."""
    return [max(int(c) - 2, 0) for c in color]


GROUND_COLOR, GRASS_COLOR = _seen((102, 204, 102)), _seen((102, 230, 102))
HULL_COLOR = _seen((204, 0, 0))
TYRE_COLOR, MARK_COLOR = _seen(dynamics.WHEEL_COLOR), _seen(dynamics.WHEEL_WHITE)


def zoom_at(time: float) -> float:
    """Window pixels per world unit `time` seconds into the episode: the first second zooms in."""
    return 0.1 * stock.SCALE * max(1 - time, 0) + FINAL_ZOOM * min(time, 1)


def _to_texels(points: np.ndarray, scale: float) -> np.ndarray:
    """World coordinates (..., 2) to fixed-point texture coordinates with 4 fractional bits, for cv2."""
    return np.round(((points + stock.PLAYFIELD + MARGIN) * scale - 0.5) * 16).astype(np.int32)


def _grass() -> np.ndarray:
    """The playfield without a track: the same for every episode."""
    scale = TEXELS * OVERDRAW
    side = int(2 * (stock.PLAYFIELD + MARGIN) * scale)
    picture = np.zeros((side, side, 3), np.uint8)
    field = stock.PLAYFIELD * np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    cv2.fillConvexPoly(picture, _to_texels(field, scale), GROUND_COLOR, shift=4)
    for x in range(-20, 20, 2):
        for y in range(-20, 20, 2):
            patch = stock.GRASS_DIM * np.array([[x + 1, y], [x, y], [x, y + 1], [x + 1, y + 1]])
            cv2.fillConvexPoly(picture, _to_texels(patch, scale), GRASS_COLOR, shift=4)
    return picture


class Renderer:
    """One environment's texture, redrawn at each reset, and the camera over it."""

    _grass: np.ndarray | None = None  # shared by all lanes of a process

    def draw_track(self, road_poly: list) -> None:
        """road_poly: stock's list of (four corners in world units, RGB) in drawing order."""
        if Renderer._grass is None:
            Renderer._grass = _grass()
        scale = TEXELS * OVERDRAW
        picture = Renderer._grass.copy()
        corners = _to_texels(np.array([poly for poly, _ in road_poly]), scale)
        for points, (_, color) in zip(corners, road_poly):
            cv2.fillConvexPoly(picture, points, _seen(color), shift=4)
        self.levels = [cv2.resize(picture, None, fx=1 / OVERDRAW, fy=1 / OVERDRAW, interpolation=cv2.INTER_AREA)]
        while len(self.levels) < 6:  # for the opening zoom, where one pixel covers up to 28 units
            self.levels.append(cv2.resize(self.levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))

    def visit(self, corners: np.ndarray, color) -> None:
        """A tile (4, 2) was driven on and takes the plain road colour."""
        cv2.fillConvexPoly(self.levels[0], _to_texels(corners, TEXELS), _seen(color), shift=4)

    def frame(self, car, time: float) -> np.ndarray:
        """The observation, uint8 (64, 64, 3), with the camera behind `car` at `time` seconds."""
        zoom = zoom_at(time)
        picture = self._ground(car.hull, zoom)
        self._car(picture, car, zoom)
        return picture

    def _ground(self, hull, zoom: float) -> np.ndarray:
        opening = zoom < FINAL_ZOOM
        oversample = 4 if opening else 2
        # Window coordinates (y up) = zoom * R(-angle) (p - hull) + (W / 2, H / 4); this is its inverse, from
        # (oversampled) picture coordinates to texels. The half pixels: both grids count from pixel centres.
        level = 0
        units = 1 / (zoom * SCALE_X * oversample)  # world units a sample steps across
        while opening and level < len(self.levels) - 1 and units * TEXELS / 2**level > 1.4:
            level += 1
        texels = TEXELS / 2**level
        cosine, sine = math.cos(hull.angle) * texels / zoom, math.sin(hull.angle) * texels / zoom
        step_x, step_y = 1 / (SCALE_X * oversample), 1 / (SCALE_Y * oversample)
        left = 0.5 * step_x - stock.WINDOW_W / 2
        top = stock.WINDOW_H * 3 / 4 - 0.5 * step_y
        x, y = hull.position
        origin = stock.PLAYFIELD + MARGIN
        matrix = np.array(
            [
                [cosine * step_x, sine * step_y, cosine * left - sine * top + (x + origin) * texels - 0.5],
                [sine * step_x, -cosine * step_y, sine * left + cosine * top + (y + origin) * texels - 0.5],
            ]
        )
        side = SIZE * oversample
        large = cv2.warpAffine(self.levels[level], matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA)

    def _car(self, picture: np.ndarray, car, zoom: float) -> None:
        window = picture[CAR_ROWS, CAR_COLUMNS]
        large = cv2.resize(window, None, fx=CAR_DETAIL, fy=CAR_DETAIL, interpolation=cv2.INTER_NEAREST)
        angle, position = car.hull.angle, car.hull.position
        cosine, sine = math.cos(-angle), math.sin(-angle)
        scale = np.array([zoom * SCALE_X, -zoom * SCALE_Y]) * CAR_DETAIL
        centre = np.array([SIZE / 2 - CAR_COLUMNS.start, stock.WINDOW_H * 0.75 * SCALE_Y - CAR_ROWS.start]) * CAR_DETAIL
        for wheel in car.wheels:
            dx, dy = wheel.position[0] - position[0], wheel.position[1] - position[1]
            axle = np.array([cosine * dx - sine * dy, sine * dx + cosine * dy])
            turn = wheel.angle - angle
            rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
            for corners, color in _wheel(wheel.phase):
                _fill(large, (corners @ rotation + axle) * scale + centre, color)
        for corners in HULL:
            _fill(large, corners * scale + centre, HULL_COLOR)
        size = (window.shape[1], window.shape[0])
        picture[CAR_ROWS, CAR_COLUMNS] = cv2.resize(large, size, interpolation=cv2.INTER_AREA)


def _fill(picture: np.ndarray, points: np.ndarray, color) -> None:
    cv2.fillConvexPoly(picture, np.round((points - 0.5) * 16).astype(np.int32), color, shift=4)


def _wheel(phase: float):
    """A wheel's polygons in its own frame, in drawing order: the tyre and, where it faces up, its mark."""
    half_width, radius = dynamics.WHEEL_W * dynamics.SIZE, dynamics.WHEEL_R * dynamics.SIZE
    yield (
        half_width * np.array([[-1, 0], [1, 0], [1, 0], [-1, 0]])
        + radius * np.array([[0, 1], [0, 1], [0, -1], [0, -1]]),
        TYRE_COLOR,
    )
    start, end = phase, phase + 1.2
    if math.sin(start) > 0 and math.sin(end) > 0:
        return
    low = math.copysign(1, math.cos(start)) if math.sin(start) > 0 else math.cos(start)
    high = math.copysign(1, math.cos(end)) if math.sin(end) > 0 else math.cos(end)
    yield (
        np.array(
            [
                [-half_width, radius * low],
                [half_width, radius * low],
                [half_width, radius * high],
                [-half_width, radius * high],
            ]
        ),
        MARK_COLOR,
    )
