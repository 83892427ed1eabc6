"""Is the installed Gymnasium's CarRacing the one that `track.py` and `car.py` copy?

Both repeat stock's rule: which tiles count, when a lap ends, the reward of a step, how the car moves. With another rule
scores would mix the two, so another Gymnasium is refused. Versions 1.1 to 1.4 have the same rule.
"""

import ast
import functools
import hashlib
import inspect
from typing import Any

import gymnasium
from gymnasium.envs.box2d import car_dynamics, car_racing

from utils.system.errors import UsageError

RULE = "b0872e1c6a272678e76d7ecbf342a593771b2bfe6cd6c5121436a4d66c6548cc"  # `rule()` of 1.1 to 1.4
PICTURES = {"_render", "render", "_render_road", "_render_indicators", "_draw_colored_polygon", "_create_image_array"}
PICTURES |= {"draw", "_create_particle", "close"}


@functools.cache
def check() -> None:
    """Raises `UsageError` if stock's rule differs from ours. Reads stock's source once."""
    if rule() != RULE:
        raise UsageError(
            f"gymnasium {gymnasium.__version__} has another CarRacing rule than 1.1 to 1.4, by which scores here "
            "are measured: pip install 'gymnasium[box2d]>=1.1,<1.5'"
        )


def rule() -> str:
    """A hash of stock's constants and of its code, except the pictures."""
    rows = []
    for module in (car_racing, car_dynamics):
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "").isupper():
                rows.append(_outline(node))
            elif isinstance(node, ast.ClassDef) and node.name in ("FrictionDetector", "CarRacing", "Car"):
                rows.append(_outline([part for part in node.body if getattr(part, "name", None) not in PICTURES]))
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _outline(node: Any) -> object:
    """A syntax tree as nested tuples, the same in every Python, without code that has no effect on scores."""
    if isinstance(node, list):
        return tuple(_outline(part) for part in node if not _has_no_effect(part))
    if not isinstance(node, ast.AST):
        return node
    fields = ((name, value) for name, value in ast.iter_fields(node) if name not in ("annotation", "returns", "simple"))
    return type(node).__name__, *((name, _outline(value)) for name, value in fields if value not in (None, []))


def _has_no_effect(node: Any) -> bool:
    """Docstrings, asserts, messages when verbose, and the particles of skid marks."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Attribute) and node.test.attr == "verbose"
    if isinstance(node, ast.Assign):
        return isinstance(node.targets[0], ast.Attribute) and node.targets[0].attr == "particles"
    return isinstance(node, ast.Assert) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
