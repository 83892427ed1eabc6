"""Real windows above dreamed ones, as a strip and as a film."""

from pathlib import Path

import numpy as np

from utils.figures.film import save_film
from utils.figures.style import Sheet, save

SIDE, LABEL, ROW_TITLE = 128, 22, 54
SHOWN = (0, 1, 2, 5, 10, 15, 25, 35, 50)  # steps of a strip's columns
FILM_SIDE = 192


def save_dream_strip(real: np.ndarray, dreamed: np.ndarray, path: Path) -> None:
    """real, dreamed: uint8 (windows, steps, 64, 64, 3). Each window is two rows, the real one above the dreamed one."""
    gap, left, top = Sheet.GAP, Sheet.MARGIN + ROW_TITLE, Sheet.TITLE + LABEL
    pair = 2 * (SIDE + gap) + 2 * gap
    sheet = Sheet(
        left + len(SHOWN) * (SIDE + gap) + Sheet.MARGIN, top + len(real) * pair,
        "Episodes, and M's dreams from the same beginning with the same actions",
    )  # fmt: skip
    for column, step in enumerate(SHOWN):
        x = left + column * (SIDE + gap)
        sheet.text(x, Sheet.TITLE, "last read" if step == 0 else f"step {step}")
        for window, frames in enumerate(zip(real, dreamed)):
            for row in range(2):
                sheet.paste(x, top + window * pair + row * (SIDE + gap), frames[row][step], SIDE)
    for window in range(len(real)):
        for row, title in enumerate(("real", "dream")):
            sheet.text(Sheet.MARGIN, top + window * pair + row * (SIDE + gap) + SIDE // 2 - 8, title)
    save(sheet, path)


def save_dream_film(real: np.ndarray, dreamed: np.ndarray, path: Path, steps_per_second: int) -> None:
    """real, dreamed: as for the strip. All windows side by side, at half the speed of steps_per_second."""
    gap, frames = Sheet.GAP, []
    for step in range(real.shape[1]):
        sheet = Sheet(
            2 * Sheet.MARGIN + len(real) * (FILM_SIDE + gap) - gap,
            Sheet.TITLE + 2 * (FILM_SIDE + LABEL) + Sheet.MARGIN, f"step {step}",
        )  # fmt: skip
        for row, (title, windows) in enumerate((("real", real), ("dreamed", dreamed))):
            y = Sheet.TITLE + row * (FILM_SIDE + LABEL)
            sheet.text(Sheet.MARGIN, y, title)
            for column, pictures in enumerate(windows):
                sheet.paste(Sheet.MARGIN + column * (FILM_SIDE + gap), y + LABEL, pictures[step], FILM_SIDE)
        frames.append(sheet.image)
    save_film(frames, path, steps_per_second / 2)
