"""Reality above the dream of it: a strip to print, a film to watch."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.figures.film import save_film
from utils.files import written_aside

SIDE, GAP, LABEL, MARGIN = 112, 4, 22, 54
SHOWN = (0, 1, 2, 5, 10, 15, 25, 35, 50)  # steps of a strip's columns
_FONT = ImageFont.load_default(size=13)


def save_dream_strip(real: np.ndarray, dreamed: np.ndarray, path: Path) -> None:
    """real, dreamed: uint8 (windows, steps, 64, 64, 3). Each window is two rows, reality above its dream."""
    width = MARGIN + len(SHOWN) * (SIDE + GAP)
    height = LABEL + len(real) * (2 * (SIDE + GAP) + 3 * GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, step in enumerate(SHOWN):
        x = MARGIN + column * (SIDE + GAP)
        draw.text((x, 3), "last seen" if step == 0 else f"step {step}", fill="black", font=_FONT)
        for window, pair in enumerate(zip(real, dreamed)):
            y = LABEL + window * (2 * (SIDE + GAP) + 3 * GAP)
            for row, (title, frames) in enumerate(zip(("real", "dream"), pair)):
                if column == 0:
                    draw.text((GAP, y + row * (SIDE + GAP) + SIDE // 2 - 8), title, fill="black", font=_FONT)
                sheet.paste(_scaled(frames[step], SIDE), (x, y + row * (SIDE + GAP)))
    with written_aside(path) as aside:
        sheet.save(aside)


def save_dream_film(real: np.ndarray, dreamed: np.ndarray, path: Path, steps_a_second: int) -> None:
    """real, dreamed: as for the strip. All windows side by side, at half the speed of steps_a_second."""
    side = 192
    frames = []
    for step in range(real.shape[1]):
        frame = Image.new("RGB", (GAP + len(real) * (side + GAP), 2 * (side + LABEL)), "white")
        draw = ImageDraw.Draw(frame)
        for row, (title, windows) in enumerate((("real", real), ("dreamed", dreamed))):
            draw.text((GAP, row * (side + LABEL) + 3), f"{title}, step {step}", fill="black", font=_FONT)
            for column, pictures in enumerate(windows):
                place = (GAP + column * (side + GAP), row * (side + LABEL) + LABEL)
                frame.paste(_scaled(pictures[step], side), place)
        frames.append(frame)
    save_film(frames, path, steps_a_second / 2)


def _scaled(picture: np.ndarray, side: int) -> Image.Image:
    return Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST)
