"""A canvas for drawings of boxes and arrows, in units of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from utils.figures.style import INK, figure, save

SHRUNK = 0.18  # between a box and the arrows at it

Point = tuple[float, float]


class Canvas:
    """A drawing of width x height units, from the lower left corner, at so many units an inch."""

    def __init__(self, width: float, height: float, title: str, units_per_inch: float = 10):
        self.drawn, axes = figure(width / units_per_inch, height / units_per_inch + 0.5)
        self.axes: Axes = axes[0, 0]
        self.axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.axes.axis("off")
        self.drawn.suptitle(title, fontsize=13)

    def box(
        self, center: Point, size: tuple[float, float], color: str, title: str, text: str = "", fontsize: float = 10
    ) -> "Box":
        """A box with a title in bold above a text."""
        box = Box(center, size)
        x, y = center[0] - size[0] / 2, center[1] - size[1] / 2
        for face, alpha in ((color, 0.14), ("none", 1.0)):
            patch = FancyBboxPatch(
                (x, y), *size, boxstyle="round,pad=0,rounding_size=1", facecolor=face,
                edgecolor=color if face == "none" else "none", alpha=alpha, linewidth=1.6,
            )  # fmt: skip
            self.axes.add_patch(patch)
        lines = text.count("\n") + 1 if text else 0
        above = 0.5 * lines * fontsize / 5.4
        self.text((center[0], center[1] + above), title, fontsize + 1, weight="bold")
        if text:
            self.text((center[0], center[1] - 1.1), text, fontsize)
        return box

    def text(self, where: Point, text: str, fontsize: float = 9, color: str = INK, **kwargs: Any) -> None:
        style = {"ha": "center", "va": "center"} | kwargs
        self.axes.text(*where, text, fontsize=fontsize, color=color, **style)

    def arrow(self, path: Sequence[Point], label: str = "", at: Point | None = None, color: str = INK) -> None:
        """Through the points of a path, with a head at its end. at: where the label stands, or above the middle."""
        if len(path) > 2:
            self.axes.plot(*zip(*path[:-1]), color=color, lw=1.4, solid_joinstyle="round", solid_capstyle="butt")
        head = {"arrowstyle": "-|>", "color": color, "lw": 1.4, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13}
        self.axes.annotate("", xy=path[-1], xytext=path[-2], arrowprops=head)
        if label:
            (x, y), (x2, y2) = path[-2:]
            self.text(at or ((x + x2) / 2, (y + y2) / 2 + 1.6), label, 9)

    def save(self, path: Path) -> None:
        save(self.drawn, path)


class Box:
    """Where arrows begin and end at a box. shift: along the side, from its middle."""

    def __init__(self, center: Point, size: tuple[float, float]):
        (self._x, self._y), (self._width, self._height) = center, size

    def left(self, shift: float = 0) -> Point:
        return self._x - self._width / 2 - SHRUNK, self._y + shift

    def right(self, shift: float = 0) -> Point:
        return self._x + self._width / 2 + SHRUNK, self._y + shift

    def top(self, shift: float = 0) -> Point:
        return self._x + shift, self._y + self._height / 2 + SHRUNK

    def bottom(self, shift: float = 0) -> Point:
        return self._x + shift, self._y - self._height / 2 - SHRUNK
