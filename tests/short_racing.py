"""CarRacing whose episodes end after 100 steps, so that the tests' many evaluations take a tenth of the time."""

from collections.abc import Callable
from dataclasses import replace

import gymnasium
from gymnasium.wrappers import TimeLimit

from utils.environments import car_racing, register

STEPS = 100


def _shorter(make: Callable[..., gymnasium.Env]) -> Callable[..., gymnasium.Env]:
    return lambda render_mode=None: TimeLimit(make(render_mode=render_mode), STEPS)


SPEC = replace(
    car_racing.SPEC, env_id="WorldModels/ShortRacing-v3", max_steps=STEPS, published_curves=(),
    make=_shorter(car_racing.SPEC.make), make_stock=_shorter(car_racing.SPEC.make_stock),
)  # fmt: skip
gymnasium.register(SPEC.env_id, SPEC.make)
register(SPEC)
