"""CarRacing's road in Box2D: the same shapes as stock's, sooner stepped through.

Stock gives each of its 300 tiles a body, and Box2D walks over every body at every step. Here one body carries
them all, a fixture each. Tiles are sensors that nothing bounces off, so what is driven is the same to the last bit.
"""

import Box2D


class Tile:
    """What stock keeps on a tile's body: color, road_visited, road_friction, idx, fixtures."""

    def __init__(self, fixture: Box2D.b2Fixture):
        self.fixtures = (fixture,)
        self.drawn_as_visited = False
        fixture.userData = self


class World(Box2D.b2World):
    """A world of one episode, without gravity, whose static bodies are tiles."""

    def __init__(self):
        super().__init__((0, 0))
        self._road = super().CreateStaticBody()

    def CreateStaticBody(self, fixtures: Box2D.b2FixtureDef) -> Tile:
        return Tile(self._road.CreateFixture(fixtures))

    def release(self) -> None:
        """Call it at the episode's end: what Box2D holds as `userData` outlives the world otherwise, 149 KB of tiles
        and wheels (`python -m benchmarks.soak`)."""
        for body in self.bodies:
            body.userData = None
            for fixture in body.fixtures:
                fixture.userData = None


class TileListener(Box2D.b2ContactListener):
    """Stock's `FrictionDetector` with half the questions asked of Box2D. Tells the picture of tiles that take the
    plain road colour, which they do when the car first touches them."""

    def __init__(self, env):
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


def _parties(contact: Box2D.b2Contact):
    """The tile, and the wheel on it: None for the hull. Nothing else ever touches in CarRacing."""
    fixture, other = contact.fixtureA, contact.fixtureB
    tile = fixture.userData
    if tile is None:
        return other.userData, fixture.body.userData
    return tile, other.body.userData
