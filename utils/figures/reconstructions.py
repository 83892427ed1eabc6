"""What V sees: frames above their reconstructions."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from models.vae import VAE, images_from_obs, obs_from_images
from utils.files import written_aside

SCALE = 2  # each frame is shown at 128 x 128


def save_reconstructions(vae: VAE, obs: np.ndarray, path: Path) -> None:
    """obs: uint8 (n, 64, 64, 3). Two rows of up to eight pairs, each frame above what V makes of it."""
    reconstructions = _reconstruct(vae, obs)
    columns = 8
    rows = -(-len(obs) // columns)
    side, gap, title = 64 * SCALE, 6, 24
    height = title + rows * (2 * side + 3 * gap)
    sheet = Image.new("RGB", (columns * (side + gap) + gap, height), "white")
    ImageDraw.Draw(sheet).text(
        (gap, 6), "Held-out frames, each above its reconstruction from the mean of z", fill="black", font_size=14
    )
    for index, (frame, made) in enumerate(zip(obs, reconstructions)):
        x = gap + (index % columns) * (side + gap)
        y = title + (index // columns) * (2 * side + 3 * gap)
        for picture, top in ((frame, y), (made, y + side + gap // 2)):
            sheet.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST), (x, top))
    with written_aside(path) as aside:
        sheet.save(aside)


def _reconstruct(vae: VAE, obs: np.ndarray) -> np.ndarray:
    """From the mean of z. obs and result: uint8 (n, 64, 64, 3)."""
    mu, _ = vae.encode_mu_logvar(images_from_obs(obs), training=False)
    return obs_from_images(vae.decode(mu, training=False))
