"""CarRacing's road in Box2D: the same shapes as stock's, but faster to step.

Stock gives each of its 300 tiles a body, and Box2D visits every body at every step. Here one body carries all tiles, a
fixture each. Tiles are sensors that nothing collides with, so that physics stay equal to the last bit.
"""

from typing import Any

import Box2D
import numpy as np


class Tile:
    """The attributes of a tile's body in stock."""

    color: np.ndarray
    road_visited: bool
    road_friction: float
    idx: int

    def __init__(self, fixture: Box2D.b2Fixture):
        self.fixtures = (fixture,)
        self.drawn_as_visited = False
        fixture.userData = self


class World(Box2D.b2World):
    """The world of one episode, without gravity. Its static bodies are tiles."""

    def __init__(self) -> None:
        super().__init__((0, 0))
        self._road = super().CreateStaticBody()

    def CreateStaticBody(self, fixtures: Box2D.b2FixtureDef) -> Tile:
        return Tile(self._road.CreateFixture(fixtures))

    def release(self) -> None:
        """Call it at the end of an episode: otherwise the objects in Box2D's `userData` outlive the world, 149 KB of
        tiles and wheels (`python -m benchmarks.soak`)."""
        for body in self.bodies:
            body.userData = None
            for fixture in body.fixtures:
                fixture.userData = None


class TileListener(Box2D.b2ContactListener):
    """Stock's `FrictionDetector` with half the calls to Box2D.

    Tells the picture which tiles the car touches for the first time: they take the plain road colour.

    env: a `CarRacing`.
    """

    def __init__(self, env: Any):
        super().__init__()
        self._env, self._reward = env, 1000.0 / len(env.road)

    def BeginContact(self, contact: Box2D.b2Contact) -> None:
        tile, wheel = _parties(contact)
        env = self._env
        if not tile.drawn_as_visited:
            tile.drawn_as_visited = True
            tile.color[:] = env.road_color
            env.picture.visit(tile.idx, env.road_color)
        if wheel is None:
            return
        wheel.tiles.add(tile)
        if not tile.road_visited:
            tile.road_visited = True
            env.reward += self._reward
            env.tile_visited_count += 1
            if tile.idx == 0 and env.tile_visited_count / len(env.road) > env.lap_complete_percent:
                env.new_lap = True

    def EndContact(self, contact: Box2D.b2Contact) -> None:
        tile, wheel = _parties(contact)
        if wheel is not None:
            wheel.tiles.remove(tile)


def _parties(contact: Box2D.b2Contact) -> tuple[Tile, Any]:
    """The tile, and the wheel on it, None if it is the hull. Nothing else touches in CarRacing."""
    fixture, other = contact.fixtureA, contact.fixtureB
    tile = fixture.userData
    if tile is None:
        return other.userData, fixture.body.userData
    return tile, other.body.userData
