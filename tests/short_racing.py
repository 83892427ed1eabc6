"""CarRacing whose episodes end after 100 steps, so that the tests' many evaluations take a tenth of the time."""

from dataclasses import replace

import gymnasium
from gymnasium.wrappers import TimeLimit

from utils.environments import car_racing, register

STEPS = 100


def _make(render_mode: str | None = None) -> gymnasium.Env:
    return TimeLimit(car_racing.SPEC.make(render_mode=render_mode), STEPS)


def _make_stock(render_mode: str | None = None) -> gymnasium.Env:
    return TimeLimit(car_racing.SPEC.make_stock(render_mode=render_mode), STEPS)


gymnasium.register("WorldModels/ShortRacing-v3", _make)
register(
    replace(
        car_racing.SPEC, env_id="WorldModels/ShortRacing-v3", make=_make, make_stock=_make_stock, max_steps=STEPS,
        published_curves=(),
    )
)  # fmt: skip
