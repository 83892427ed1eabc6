"""CarRacing's camera, and how its colours change on the way to the observation."""

from collections.abc import Iterable

from gymnasium.envs.box2d import car_racing as stock

SIZE = 64  # of the observation
BAR_ROW = 84  # the status bar begins here in the stock 96x96 observation
# Window pixels to observation pixels: 1000 -> 96 -> 64 across; 800 -> 96, 84 rows kept, -> 64 down.
SCALE_X = SIZE / stock.WINDOW_W
SCALE_Y = (stock.STATE_H / stock.WINDOW_H) * (SIZE / BAR_ROW)
# The car's centre in window pixels, from the upper left corner.
CENTRE_X, CENTRE_Y = stock.WINDOW_W / 2, stock.WINDOW_H * 3 / 4
FINAL_ZOOM = stock.ZOOM * stock.SCALE


def zoom_at(time: float) -> float:
    """Window pixels per world unit `time` seconds into the episode: the first second zooms in."""
    return 0.1 * stock.SCALE * max(1 - time, 0) + FINAL_ZOOM * min(time, 1)


def seen(color: Iterable[float]) -> tuple[int, ...]:
    """A stock colour in the stock observation: SDL's smoothscale subtracts 2 of 255."""
    return tuple(max(int(channel) - 2, 0) for channel in color)
