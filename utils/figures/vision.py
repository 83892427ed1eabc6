"""What V sees: reconstructions, the z of one frame, the meaning of each dimension of z, reconstructions of random z."""

from pathlib import Path

import numpy as np

from models.vae import FrameCodec, kl_per_dimension, sample_z
from utils.environments.spec import EnvironmentSpec
from utils.figures.style import BLUE, GREY, ORANGE, Sheet, figure, save
from utils.run.episodes import Rollout, Series

SIDE = 128
TELLING = 0.1  # nats of KL, below which a dimension of z tells nothing of a frame


def save_reconstructions(codec: FrameCodec, obs: np.ndarray, path: Path, shown: int = 24) -> None:
    """obs: uint8 (n, 64, 64, 3), held out. Shows `shown` of them, from the best to the worst reconstruction."""
    reconstructions = codec.decode(codec.encode(obs)[0])
    error = np.square((obs.astype(np.float32) - reconstructions) / 255).sum(axis=(1, 2, 3))
    order = np.argsort(error)[np.linspace(0, len(obs) - 1, min(shown, len(obs))).round().astype(int)]
    columns = 8
    rows, height = -(-len(order) // columns), 2 * SIDE + 30
    sheet = Sheet(
        2 * Sheet.MARGIN + columns * (SIDE + Sheet.GAP), Sheet.TITLE + rows * height,
        f"Held-out frames above their reconstructions from the mean of z, from the best of {len(obs)} to the worst "
        "(squared error: the sum over 64 x 64 x 3 numbers from 0 to 1)",
    )  # fmt: skip
    for index, frame in enumerate(order):
        x = Sheet.MARGIN + index % columns * (SIDE + Sheet.GAP)
        y = Sheet.TITLE + index // columns * height
        sheet.paste(x, y, obs[frame], SIDE)
        sheet.paste(x, y + SIDE + 2, reconstructions[frame], SIDE)
        sheet.text(x, y + 2 * SIDE + 5, f"squared error {error[frame]:.1f}", 12)
    save(sheet, path)


def save_latent(codec: FrameCodec, obs: np.ndarray, path: Path, samples: int = 6) -> None:
    """One frame, its mu and logvar, and the reconstructions of several z drawn from them. obs: uint8 (64, 64, 3)."""
    mu, logvar = (array[0] for array in codec.encode(obs[None]))
    noise = np.random.default_rng(0).standard_normal((samples, len(mu)), np.float32)
    z = np.concatenate([mu[None], np.asarray(sample_z(mu, logvar, noise))])
    pictures = [obs, *codec.decode(z)]
    titles = ["what V sees", "the mean of z", *("a sample of z",) * samples]
    drawn, _ = figure(13, 6.4)
    drawn.clear()
    grid = drawn.add_gridspec(3, len(pictures), height_ratios=(1.15, 1, 1))
    for column, (picture, title) in enumerate(zip(pictures, titles)):
        axes = drawn.add_subplot(grid[0, column])
        axes.imshow(picture, interpolation="nearest")
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    dimensions = np.arange(len(mu))
    axes = drawn.add_subplot(grid[1, :])
    axes.errorbar(dimensions, mu, np.exp(0.5 * logvar), fmt="o", ms=3.5, capsize=2, lw=1.2, color=BLUE)
    axes.scatter(np.tile(dimensions, samples), z[1:].ravel(), s=6, color=ORANGE, alpha=0.6, zorder=3)
    axes.set_ylabel("z: mu +- sigma,\nthe samples as dots")
    below = drawn.add_subplot(grid[2, :], sharex=axes)
    below.bar(dimensions, logvar, color=BLUE)
    below.set_ylabel("logvar, log of sigma\u00b2\n(0: that of the prior)")
    below.set_xlabel("dimension of z")
    for each in axes, below:
        each.axhline(0, color=GREY, lw=0.8)
        each.grid(alpha=0.3)
        each.set_xlim(-1, len(mu))
    drawn.suptitle("One frame, its distribution of z, and reconstructions of samples")
    save(drawn, path)


def save_encoding(rollout: Rollout, series: Series, spec: EnvironmentSpec, step: int, path: Path) -> None:
    """A step of an episode as it is stored for M: mu, logvar, action, reward, done. Chapter, figure 12-10.

    series: the encoded rollout.
    step: its number, from 0.
    """
    rows = {
        "mu": series.mu[step], "logvar": series.logvar[step], "action": rollout.action[step],
        "reward": rollout.reward[step : step + 1], "done": rollout.done[step : step + 1].astype(int),
    }  # fmt: skip
    drawn, whole = figure(13, 5.6)
    whole[0, 0].remove()
    grid = drawn.add_gridspec(3, 5, width_ratios=(2.3, 2.6, 1.2, 1, 1), height_ratios=(1, 1, 0.55))
    axes = drawn.add_subplot(grid[:, 0])
    axes.imshow(rollout.obs[step], interpolation="nearest")
    axes.set_title(f"the frame of step {step}, 64 x 64 x 3", fontsize=10)
    axes.axis("off")
    for row, (name, color) in enumerate((("mu", BLUE), ("logvar", ORANGE))):
        axes = drawn.add_subplot(grid[row, 1:])
        axes.bar(range(len(rows[name])), rows[name], color=color)
        axes.axhline(0, color=GREY, lw=0.8)
        axes.set_ylabel(f"{name}, {len(rows[name])}")
        axes.set_xlim(-1, len(rows[name]))
    axes.set_xlabel("dimension of z, from V's encode_mu_logvar")
    texts = {
        "action": "\n".join(f"{name} {value:+.2f}" for name, value in zip(spec.action_names, rows["action"])),
        "reward": f"{rows['reward'][0]:+.2f}",
        "done": f"{rows['done'][0]}",
    }
    total = sum(len(values) for values in rows.values())
    for column, (name, text) in enumerate(texts.items(), 2):
        axes = drawn.add_subplot(grid[2, column])
        axes.axis("off")
        axes.text(0.5, 0.95, f"{name}, {len(rows[name])}", ha="center", va="top", weight="bold")
        axes.text(0.5, 0.62, text, ha="center", va="top")
    axes = drawn.add_subplot(grid[2, 1])
    axes.axis("off")
    axes.text(0, 0.95, f"a row of {total} numbers for M:\nthe frame is not needed any more", ha="left", va="top")
    drawn.suptitle("One step of an episode, encoded")
    save(drawn, path)


def save_traversal(codec: FrameCodec, mu: np.ndarray, logvar: np.ndarray, path: Path, values: int = 7) -> None:
    """Changes dimensions of z from their 1st to their 99th percentile, while the others stay as in a usual frame.

    Shows the dimensions that tell something of a frame, the most telling ones first.

    mu, logvar: float32 (n, z_size), of many frames.
    """
    kl = kl_per_dimension(mu, logvar).mean(axis=0)
    order = telling_dimensions(kl)
    base, (low, high) = _usual(mu), np.percentile(mu, (1, 99), axis=0)
    blocks, label = 2 if len(order) > 1 else 1, 96
    rows = -(-len(order) // blocks)
    width, height = label + values * (SIDE + 2) + 20, SIDE + 20
    sheet = Sheet(
        Sheet.MARGIN + blocks * width, Sheet.TITLE + rows * height + Sheet.GAP,
        f"Dimensions of z from the 1st to the 99th percentile over {len(mu)} frames; {len(order)} of {len(kl)} tell at "
        f"least {TELLING:g} nats of a frame (KL)",
    )  # fmt: skip
    for index, dimension in enumerate(order):
        z = np.repeat(base[None], values, axis=0)
        z[:, dimension] = np.linspace(low[dimension], high[dimension], values)
        x = Sheet.MARGIN + index // rows * width
        y = Sheet.TITLE + index % rows * height
        sheet.text(x, y + 4, f"z {dimension}", 15)
        sheet.text(x, y + 26, f"KL {kl[dimension]:.2f} nats", 12)
        for column, picture in enumerate(codec.decode(z)):
            place = x + label + column * (SIDE + 2)
            sheet.paste(place, y, picture, SIDE)
            sheet.text(place + SIDE / 2, y + SIDE + 2, f"{z[column, dimension]:.1f}", 11, anchor="ma")
    save(sheet, path)


def save_grid(
    codec: FrameCodec, mu: np.ndarray, logvar: np.ndarray, dimensions: tuple[int, int] | None, path: Path,
    values: int = 9,
) -> None:  # fmt: skip
    """Two dimensions of z against each other, the others as in a usual frame. Chapter, figure 12-9.

    mu, logvar: float32 (n, z_size), of many frames.
    dimensions: along the columns and along the rows. None: the two that tell most.
    """
    across, down = dimensions or np.argsort(-kl_per_dimension(mu, logvar).mean(axis=0))[:2]
    low, high = np.percentile(mu, (1, 99), axis=0)
    columns, rows = (np.linspace(low[d], high[d], values) for d in (across, down))
    z = np.repeat(_usual(mu)[None], values * values, axis=0)
    z[:, across], z[:, down] = np.tile(columns, values), np.repeat(rows, values)
    label, step = 64, SIDE + 2
    sheet = Sheet(
        Sheet.MARGIN + label + values * step, Sheet.TITLE + 20 + values * step + Sheet.GAP,
        f"z {across} from left to right and z {down} from top to bottom, each from its 1st to its 99th percentile over "
        f"{len(mu)} frames",
    )  # fmt: skip
    for index, picture in enumerate(codec.decode(z)):
        row, column = divmod(index, values)
        x, y = Sheet.MARGIN + label + column * step, Sheet.TITLE + 20 + row * step
        sheet.paste(x, y, picture, SIDE)
        if row == 0:
            sheet.text(x + SIDE / 2, y - 18, f"{columns[column]:.1f}", 12, anchor="ma")
        if column == 0:
            sheet.text(x - 8, y + SIDE / 2, f"{rows[row]:.1f}", 12, anchor="rm")
    save(sheet, path)


def telling_dimensions(kl: np.ndarray) -> np.ndarray:
    """The dimensions that tell at least `TELLING` nats of a frame, or the one that tells most. The most telling first.

    kl: float32 (z_size,), the mean KL of each.
    """
    order = np.argsort(-kl)
    return order[: max(1, int((kl >= TELLING).sum()))]


def _usual(mu: np.ndarray) -> np.ndarray:
    """The mean z of the frame nearest to the average one, among frames that show much. float32 (n, z_size) each."""
    norm = np.square(mu).sum(axis=1)
    of_full = mu[norm >= np.median(norm)]  # on an empty frame a dimension changes little
    return of_full[np.square(of_full - of_full.mean(axis=0)).sum(axis=1).argmin()]


def save_prior(codec: FrameCodec, path: Path, seed: int = 0) -> None:
    """Reconstructions of z drawn from the prior, the standard normal distribution."""
    rows, columns = 5, 10
    pictures = codec.decode(np.random.default_rng(seed).standard_normal((rows * columns, codec.z_size), np.float32))
    sheet = Sheet(
        2 * Sheet.MARGIN + columns * (SIDE + Sheet.GAP), Sheet.TITLE + rows * (SIDE + Sheet.GAP) + Sheet.GAP,
        "Reconstructions of z drawn from the prior, a standard normal distribution",
    )  # fmt: skip
    for index, picture in enumerate(pictures):
        sheet.paste(
            Sheet.MARGIN + index % columns * (SIDE + Sheet.GAP),
            Sheet.TITLE + index // columns * (SIDE + Sheet.GAP),
            picture, SIDE,
        )  # fmt: skip
    save(sheet, path)
