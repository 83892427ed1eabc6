"""The environments, each with what the rest of the pipeline has to know about it.

Nothing outside this package asks which environment it is: everything that differs is in `EnvironmentSpec`.
Importing this package registers the `WorldModels/` ids with Gymnasium.
"""

import difflib

import gymnasium

from utils.environments.car_racing import SPEC as _CAR_RACING
from utils.environments.spec import EnvironmentSpec
from utils.environments.take_cover import SPEC as _TAKE_COVER
from utils.system import compute  # noqa: F401  from here on it knows of forks, in which dreams cannot go on
from utils.system.errors import UsageError

DREAM = "WorldModels/Dream-v0"
gymnasium.register(
    DREAM,
    "utils.dreams.environment:DreamEnv",
    vector_entry_point="utils.dreams.environment:DreamVectorEnv",
)
_SPECS = {spec.env_id: spec for spec in (_CAR_RACING, _TAKE_COVER)}


def get_spec(env_id: str) -> EnvironmentSpec:
    """The spec of a registered environment. Raises `UsageError` for an unknown id."""
    if env_id not in _SPECS:
        near = difflib.get_close_matches(env_id, _SPECS, n=1, cutoff=0.3)
        known = f"did you mean {near[0]}?" if near else f"known: {', '.join(_SPECS)}"
        raise UsageError(f"env_name: no environment {env_id!r}; {known}")
    return _SPECS[env_id]
