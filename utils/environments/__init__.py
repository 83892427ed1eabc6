"""The environments, each with its `EnvironmentSpec`: all that differs between them for the rest of the pipeline.

Importing this package registers the `WorldModels/` ids with Gymnasium. An environment of another package is named
`package.module:ID`, as in Gymnasium; its module calls `register` (docs/new-environment.md).
"""

import difflib
import importlib

import gymnasium

from utils.environments import car_racing, take_cover
from utils.environments.spec import EnvironmentSpec
from utils.system import compute  # noqa: F401  from here on it sees every fork: dreams cannot go on after one
from utils.system.errors import UsageError

DREAM = "WorldModels/Dream-v0"
gymnasium.register(
    DREAM,
    "utils.dreams.environment:DreamEnv",
    vector_entry_point="utils.dreams.environment:DreamVectorEnv",
)
_SPECS: dict[str, EnvironmentSpec] = {}


def register(spec: EnvironmentSpec) -> None:
    """Makes an environment known to the pipeline. Raises `UsageError` if Gymnasium does not know its id."""
    if spec.env_id not in gymnasium.registry:
        raise UsageError(f"{spec.env_id}: call gymnasium.register before utils.environments.register")
    _SPECS[spec.env_id] = spec


register(car_racing.SPEC)
register(take_cover.SPEC)


def get_spec(env_name: str) -> EnvironmentSpec:
    """The spec of a registered environment, or of `package.module:ID`, whose module is imported first.

    Raises `UsageError` for an unknown id or module.
    """
    module, _, env_id = env_name.rpartition(":")
    if module:
        try:
            if module.startswith("."):
                raise ImportError("it is a path, not the name of a module")
            importlib.import_module(module)
        except ImportError as error:
            raise UsageError(
                f"env_name: cannot import {module} ({error}); install its package, or put its folder on PYTHONPATH"
            ) from None
    if env_id not in _SPECS:
        near = difflib.get_close_matches(env_id, _SPECS, n=1, cutoff=0.3)
        known = f"did you mean {near[0]}?" if near else f"known: {', '.join(_SPECS)}"
        if module:
            known = f"{module} did not register it with utils.environments.register; {known}"
        raise UsageError(f"env_name: no environment {env_id!r}; {known}")
    return _SPECS[env_id]
