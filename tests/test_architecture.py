"""The arrows of the house: which module may import which. docs/architecture.md draws them."""

import ast
from pathlib import Path

from tests.helpers import ROOT

FLOORS = {
    "models": 1,
    "utils.system": 1,
    "utils.environments": 2,
    "utils.run": 3,
    "utils.agent": 4,
    "utils.data": 5,
    "utils.dreams": 6,
    "utils.figures": 6,
    "utils.training": 7,
    "utils.evolution": 7,
    "utils.play": 7,
    "scripts": 8,
    "benchmarks": 8,
}
SCRIPTS_IN_ROOMS = {"utils.run.export"}  # programs, which may import all floors
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("models", "utils", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
} | {path.stem: path for path in ROOT.glob("*.py")}


def room(module: str) -> str | None:
    """None for packages of others, and for `utils` itself, which is empty."""
    if module in SCRIPTS_IN_ROOMS:
        return "scripts"
    top = module.split(".")[0]
    if top in ("models", "benchmarks"):
        return top
    if top == "utils":
        return ".".join(module.split(".")[:2]) if "." in module else None
    return "scripts" if module in MODULES else None


def imports(module: str) -> list[tuple[str, int]]:
    """All that a module imports, at the top or inside functions, and the lines."""
    found = []
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [(name if name in MODULES else node.module, node.lineno) for name in names]
    return found


def arrows() -> list[tuple[str, str, str]]:
    """Room, imported room and where, for all imports between rooms."""
    return [
        (own, other, f"{Path(MODULES[module]).relative_to(ROOT)}:{line} imports {name}")
        for module in MODULES
        if (own := room(module))
        for name, line in imports(module)
        if (other := room(name)) and other != own
    ]


def test_each_room_imports_from_its_own_floor_or_below():
    assert {own for own, *_ in arrows()} | {other for _, other, _ in arrows()} == set(FLOORS)
    assert [where for own, other, where in arrows() if FLOORS[other] > FLOORS[own]] == []
    assert [where for _, other, where in arrows() if other in ("scripts", "benchmarks")] == []


def test_models_import_nothing_of_utils():
    assert [where for own, other, where in arrows() if own == "models" and other.startswith("utils")] == []


def test_a_worker_loads_no_pictures():
    loaded, waiting = set(), ["utils.evolution.worker"]
    while waiting:
        module = waiting.pop()
        loaded.add(module)
        waiting += [name for name, _ in imports(module) if name in MODULES and name not in loaded]
    assert "utils.agent.agent" in loaded
    assert [module for module in loaded if module.startswith("utils.figures")] == []
    assert [module for module in loaded for name, _ in imports(module) if name.startswith("matplotlib")] == []
