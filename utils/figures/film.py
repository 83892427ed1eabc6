"""Films of an agent: the view for people, what V sees, its reconstruction, action and reward."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from utils.figures.style import FAINT, INK, NEGATIVE, POSITIVE, font
from utils.system.errors import UsageError
from utils.system.files import atomic_write

if TYPE_CHECKING:
    from utils.agent.evaluate import Frame

SUFFIXES = (".gif", ".webp", ".mp4")

SIZE = (816, 480)  # even, as MP4 wants it
SIZE_BESIDE = (816, 504)
_VIEW = (0, 0, 600, 400)
_SIDE, _SIDE_X = 176, 620
_FONT = font(13)


def compose(frame: Frame, action_names: tuple[str, ...]) -> Image.Image:
    """One picture of the film, 816 x 480."""
    image = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(image)
    image.paste(_fitted(frame.view, _VIEW[2:]), _VIEW[:2])
    shown = []
    if frame.obs is not None:
        shown = [(0, "what V sees", frame.obs), (200, "its reconstruction", frame.reconstruction)]
    else:  # a dream: the view is the reconstruction
        draw.multiline_text((_SIDE_X, 8), frame.note, fill=INK, font=_FONT, spacing=8)
    for top, title, picture in shown:
        draw.text((_SIDE_X, top + 3), title, fill=INK, font=_FONT)
        scaled = Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
        image.paste(scaled, (_SIDE_X, top + 24))
    for index, (name, value) in enumerate(zip(action_names, frame.action)):
        _bar(draw, 12 + index * 150, name, float(value))
    draw.text((12 + 150 * len(action_names), 408), f"reward {frame.reward:+.1f}", fill=INK, font=_FONT)
    draw.text((_SIDE_X, 408), f"score {frame.score:.0f}", fill=INK, font=font(22))
    draw.text((_SIDE_X, 444), f"step {frame.step}", fill=INK, font=_FONT)
    _bar(draw, 12 + 150 * len(action_names), "", frame.reward / 4)
    return image


def compose_beside(dream: list[Frame], real: list[Frame], action_names: tuple[str, ...]) -> list[Image.Image]:
    """A film of a dream, left, and of a real episode as V sees it, right, 816 x 504.

    The one that is over first shows its last picture until the other is over as well.
    """
    count, titles = max(len(dream), len(real)), (dream[0].note.partition("\n")[0], "real, as V sees it")
    images = []
    for number in range(count):
        image = Image.new("RGB", SIZE_BESIDE, "white")
        draw = ImageDraw.Draw(image)
        for x, title, frames in zip((0, 416), titles, (dream, real)):
            frame = frames[min(number, len(frames) - 1)]
            picture = frame.reconstruction if frame.obs is None else frame.obs
            draw.text((x + 4, 4), title, fill=INK, font=_FONT)
            image.paste(Image.fromarray(picture).resize((400, 400), Image.Resampling.NEAREST), (x, 26))
            draw.text((x + 300, 430), f"score {frame.score:.0f}", fill=INK, font=font(18))
            draw.text((x + 300, 460), f"step {frame.step}", fill=INK, font=_FONT)
            for index, (name, value) in enumerate(zip(action_names, frame.action)):
                _bar(draw, x + 4 + index * 98, name, float(value), top=430, width=90)
        images.append(image)
    return images


def _fitted(picture: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """`picture` as large as fits into `size`, centred on black."""
    image = Image.fromarray(picture)
    scale = min(size[0] / image.width, size[1] / image.height)
    scaled = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    result = Image.new("RGB", size)
    result.paste(scaled, ((size[0] - scaled.width) // 2, (size[1] - scaled.height) // 2))
    return result


def _bar(draw: ImageDraw.ImageDraw, x: int, name: str, value: float, top: int = 408, width: int = 130) -> None:
    """A bar from -1 to 1 with 0 in the middle, below its name. An arrow where `value` is beyond."""
    if name:
        draw.text((x, top), f"{name} {value:+.2f}", fill=INK, font=_FONT)
    upper, half, lower = top + 28, width // 2, top + 48
    draw.rectangle((x, upper, x + width, lower), fill=FAINT)
    middle, end = x + half, x + half + round(half * min(max(value, -1), 1))
    draw.rectangle((min(middle, end), upper, max(middle, end), lower), fill=POSITIVE if value >= 0 else NEGATIVE)
    draw.line((middle, upper - 4, middle, lower + 4), fill=INK)
    if abs(value) > 1:
        ahead = 7 if value > 0 else -7
        draw.polygon(((end - ahead, upper), (end + ahead, upper + 10), (end - ahead, lower)), fill=INK)


def check_film_path(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--film {path}: a film ends in {', '.join(SUFFIXES)}")


def save_film(frames: list[Image.Image], path: Path, frames_per_second: float) -> None:
    """Writes frames of one size as GIF, WebP or MP4, as the suffix says."""
    milliseconds = round(1000 / frames_per_second)
    with atomic_write(path) as temporary:
        if path.suffix.lower() == ".mp4":
            _save_mp4(frames, temporary, frames_per_second)
        elif path.suffix.lower() == ".webp":
            frames[0].save(
                temporary, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, quality=70, method=2
            )
        else:
            palette = [
                frame.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) for frame in frames
            ]
            palette[0].save(temporary, save_all=True, append_images=palette[1:], duration=milliseconds, loop=0)


def _save_mp4(frames: list[Image.Image], path: Path, frames_per_second: float) -> None:
    import imageio_ffmpeg

    writer = imageio_ffmpeg.write_frames(
        str(path), frames[0].size, fps=frames_per_second, quality=7, macro_block_size=2
    )
    writer.send(None)
    for frame in frames:
        writer.send(frame.tobytes())
    writer.close()
