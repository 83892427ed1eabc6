"""What figures share: colours that colour-blind people can distinguish, sheets of small pictures, files."""

import functools
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.system.files import atomic_write

matplotlib.use("Agg")
from matplotlib import font_manager
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

matplotlib.rcdefaults()  # ignores the user's matplotlibrc

# Okabe and Ito
BLUE, ORANGE, GREEN, SKY, PURPLE = "#0072b2", "#d55e00", "#009e73", "#56b4e9", "#cc79a7"
INK, GREY, FAINT = "#222222", "#777777", "#dddddd"
POSITIVE, NEGATIVE = BLUE, ORANGE
IN_THE_DREAM, OUTSIDE, CANDIDATES = GREEN, ORANGE, BLUE
DPI = 110


def figure(width: float, height: float, rows: int = 1, columns: int = 1, **kwargs: Any) -> tuple[Figure, np.ndarray]:
    """A matplotlib figure of that many inches and its axes, (rows, columns)."""
    return plt.subplots(rows, columns, figsize=(width, height), dpi=DPI, squeeze=False, layout="constrained", **kwargs)


def legend_below(drawn: Figure, axes: Axes, **kwargs: Any) -> None:
    """A legend of what `axes` show, below all axes of the figure, where it hides nothing."""
    drawn.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, **kwargs)


def save(drawn: "Figure | Sheet", path: Path) -> None:
    """Writes a matplotlib figure or a `Sheet` to a file."""
    with atomic_write(path) as temporary:
        if isinstance(drawn, Sheet):
            drawn.image.save(temporary)
        else:
            drawn.savefig(temporary)
            plt.close(drawn)


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font of matplotlib."""
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


class Sheet:
    """A white image of width x height pixels with a title, for pasting frames on."""

    MARGIN, TITLE, GAP = 12, 40, 6

    def __init__(self, width: int, height: int, title: str):
        self.image = Image.new("RGB", (width, height), "white")
        self.draw = ImageDraw.Draw(self.image)
        size = min(17, int(17 * (width - 2 * self.MARGIN) / font(17).getlength(title)))
        self.text(width / 2, 10, title, size, anchor="ma")

    def text(self, x: float, y: float, text: str, size: int = 13, color: str = INK, anchor: str = "la") -> None:
        self.draw.text((x, y), text, fill=color, font=font(size), anchor=anchor)

    def paste(self, x: int, y: int, picture: np.ndarray, side: int) -> None:
        """picture: uint8 (n, n, 3). side: its width on the sheet in pixels, a multiple of n."""
        assert side % len(picture) == 0
        self.image.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST), (x, y))

    def label(self, x: int, y: int, text: str) -> None:
        """Text on white in the upper left corner of a picture."""
        self.draw.rectangle((x, y, x + 6 + round(font(11).getlength(text)), y + 15), fill="white")
        self.text(x + 3, y + 1, text, 11)

    def bar(self, x: int, y: int, width: int, value: float, height: int = 6) -> None:
        """A bar from -1 to 1 with 0 in the middle."""
        self.draw.rectangle((x, y, x + width, y + height), fill=FAINT)
        middle = x + width // 2
        end = middle + round(width / 2 * float(np.clip(value, -1, 1)))
        color = POSITIVE if value >= 0 else NEGATIVE
        self.draw.rectangle((min(middle, end), y, max(middle, end), y + height), fill=color)
        self.draw.line((middle, y - 2, middle, y + height + 2), fill=INK)
