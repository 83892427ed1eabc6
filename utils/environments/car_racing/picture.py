"""Draws CarRacing's 64x64 observation without the 1000x800 picture of the stock environment.

Stock draws every polygon of the world onto a 1000x800 surface and shrinks that to 96x96 at every step. But the world
does not move, only the camera does. So the track is drawn once a reset onto a texture, seen from above, with texels
about as large as the observation's pixels. Each frame is one affine warp of that texture, and the car (`sprite.py`),
which is always in the same place of the picture.
"""

import functools
import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from gymnasium.envs.box2d import car_racing as stock

from utils.environments.car_racing.camera import CENTRE_X, CENTRE_Y, FINAL_ZOOM, SCALE_X, SCALE_Y, SIZE, seen, zoom_at
from utils.environments.car_racing.sprite import draw_car

TEXELS = 1.5  # texels per world unit; a pixel of the observation covers about 1.0 x 0.7 units
OVERDRAW = 4  # roads are drawn at this multiple and averaged down
PATCH = round(stock.GRASS_DIM * TEXELS)  # a patch of lighter grass, 25 x 25 texels exactly
BLOCK = 2 * PATCH  # the grass repeats with this period: 20 x 20 blocks cover the playfield
BLOCKS = round(2 * stock.PLAYFIELD * TEXELS) // BLOCK
LEVELS = 4  # the texture at full size, half of that, ...: in the opening zoom a pixel covers up to 17 units


class Picture:
    """One environment's texture, redrawn at each reset, and the camera over it."""

    def draw_track(self, road_poly: list, ground_color: Iterable[float], grass_color: Iterable[float]) -> None:
        """road_poly: stock's list of (four corners in world units, RGB) in drawing order."""
        grass, block = _grass(seen(ground_color), seen(grass_color))
        texture = grass.copy()
        texels = (np.array([corners for corners, _ in road_poly]) + stock.PLAYFIELD) * TEXELS
        points = _fixed_point(texels * OVERDRAW)
        colors = [seen(color) for _, color in road_poly]
        for (column, row), polygons in _crossed_blocks(texels).items():
            canvas = block.copy()
            inside = points[polygons] - np.array([column, row], np.int32) * (BLOCK * OVERDRAW * 16)
            for polygon, corners in zip(polygons, inside):
                cv2.fillConvexPoly(canvas, corners, colors[polygon], shift=4)
            rows, columns = slice(row * BLOCK, (row + 1) * BLOCK), slice(column * BLOCK, (column + 1) * BLOCK)
            texture[rows, columns] = _halved(_halved(canvas))
        # A tile without its outermost texels, which are mixed with the grass beside it.
        tiles = texels[[not isinstance(color, tuple) for _, color in road_poly]]  # stock's kerbs have tuples
        from_centre = tiles - tiles.mean(axis=1, keepdims=True)
        reach = np.abs(from_centre).max(axis=(1, 2), keepdims=True)
        self._tiles = _fixed_point(tiles - from_centre / reach)
        self._levels = [texture]
        while len(self._levels) < LEVELS:
            self._levels.append(_halved(self._levels[-1]))

    def visit(self, tile: int, color: Iterable[float]) -> None:
        """The car touched a tile, which takes the plain road colour. Its own differs by at most 5 of 255."""
        cv2.fillConvexPoly(self._levels[0], self._tiles[tile], seen(color), shift=4)

    def frame(self, car: Any, time: float) -> np.ndarray:
        """The observation, uint8 (64, 64, 3), with the camera behind `car` at `time` seconds."""
        zoom = zoom_at(time)
        picture = self._ground(car.hull, zoom)
        draw_car(picture, car, zoom)
        return picture

    def _ground(self, hull: Any, zoom: float) -> np.ndarray:
        samples, level = 1, 0
        if zoom < FINAL_ZOOM:
            samples = 2  # a pixel, each way
            units = 1 / (zoom * SCALE_X * samples)  # that a sample steps across
            level = min(max(math.ceil(math.log2(units)), 0), LEVELS - 1)
        # Window coordinates (y up) = zoom * R(-angle) (p - hull) + centre; this is its inverse, from (oversampled)
        # picture coordinates to texels. The half pixels: both grids count from pixel centres.
        texels = TEXELS / 2**level
        angle = hull.angle
        cosine, sine = math.cos(angle) * texels / zoom, math.sin(angle) * texels / zoom
        step_x, step_y = 1 / (SCALE_X * samples), 1 / (SCALE_Y * samples)
        left, top = 0.5 * step_x - CENTRE_X, CENTRE_Y - 0.5 * step_y
        x, y = hull.position
        matrix = np.array(
            (
                (cosine * step_x, sine * step_y, cosine * left - sine * top + (x + stock.PLAYFIELD) * texels - 0.5),
                (sine * step_x, -cosine * step_y, sine * left + cosine * top + (y + stock.PLAYFIELD) * texels - 0.5),
            )
        )
        size = (SIZE * samples, SIZE * samples)
        picture = cv2.warpAffine(self._levels[level], matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        if samples > 1:
            picture = _halved(picture)
        return cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR)


@functools.lru_cache(maxsize=1)
def _grass(ground_color: tuple, grass_color: tuple) -> tuple[np.ndarray, np.ndarray]:
    """The playfield without a track, and one block of it at OVERDRAW times the size, for drawing roads.

    The fourth channel is empty: OpenCV warps four channels in half the time of three.
    """
    block = np.zeros((BLOCK, BLOCK, 4), np.uint8)
    block[..., :3] = ground_color
    block[:PATCH, :PATCH, :3] = grass_color
    return np.tile(block, (BLOCKS, BLOCKS, 1)), block.repeat(OVERDRAW, axis=0).repeat(OVERDRAW, axis=1)


def _crossed_blocks(texels: np.ndarray) -> dict[tuple[int, int], list[int]]:
    """Which of the polygons (n, 4, 2) may touch which block (column, row), in drawing order."""
    crossed = defaultdict(list)
    first = np.clip(texels.min(axis=1) // BLOCK, 0, BLOCKS).astype(int).tolist()
    last = np.clip(texels.max(axis=1) // BLOCK, -1, BLOCKS - 1).astype(int).tolist()
    for polygon, ((left, top), (right, bottom)) in enumerate(zip(first, last)):
        for column in range(left, right + 1):
            for row in range(top, bottom + 1):
                crossed[column, row].append(polygon)
    return crossed


def _halved(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _fixed_point(points: np.ndarray) -> np.ndarray:
    """Texture coordinates (..., 2) with 4 fractional bits, counted from texel centres, for cv2."""
    return np.round((points - 0.5) * 16).astype(np.int32)
