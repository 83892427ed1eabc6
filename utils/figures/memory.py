"""What M predicts: the mixture of the next z step by step, and whole dreams beside a real episode."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from models.dream import DreamModel
from models.mdn_rnn import MDNRNN, end_probability
from models.vae import FrameCodec, sample_z
from utils.figures.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, Sheet, figure, save
from utils.run.episodes import Series

FIRST, STEPS = 40, 160  # of an episode: where the mixture is shown, for how long
COMPONENTS = (SKY, GREEN, PURPLE, BLUE, GREY)
ABOVE = {"loc": "lower left", "bbox_to_anchor": (0, 0.98), "ncols": 2, "frameon": False}  # a legend that hides nothing
DREAMS, COLUMNS, SIDE, NAMES = 3, 11, 128, 96  # NAMES: pixels for the names of rows


def drawn_z(series: Series) -> np.ndarray:
    """The z of an episode as M reads it, drawn from (mu, logvar), float32 (T, z_size)."""
    rng = np.random.default_rng(0)
    return np.asarray(sample_z(series.mu, series.logvar, rng.standard_normal(series.mu.shape, np.float32)))


def save_mixture(rnn: MDNRNN, series: Series, dimension: int, predicts: str, which: str, path: Path) -> None:
    """For some steps of an episode: the predicted density of one dimension of the next z and the components of the
    mixture, their weights, and the predicted reward or end (`predicts`).

    which: the episode, in words.
    """
    z = drawn_z(series)
    reward_or_done = getattr(series, predicts).astype(np.float32)
    before = np.r_[np.float32(0), reward_or_done[:-1]]
    outputs = rnn(rnn.inputs(z, series.action, before)[None])
    mixture, prediction = rnn.split(outputs[0])
    first = max(0, len(z) - 1 - STEPS)
    if not series.done[-1]:  # the end is shown if there is one
        first = min(FIRST, first)
    steps = np.arange(first, min(first + STEPS, len(z) - 1))
    logpi, mu, logvar = (np.asarray(part)[steps, dimension] for part in mixture)
    real = z[steps + 1, dimension]

    drawn, panels = figure(12, 8.4, 3, sharex=True, height_ratios=(2.4, 0.8, 1.1))
    density, weights, prediction_axes = panels[:, 0]
    likely = np.exp(logpi) > 0.02
    sigma = np.exp(0.5 * logvar)
    low, high = ((mu + side * 2 * sigma)[likely] for side in (-1, 1))
    grid = np.linspace(min(real.min(), low.min()), max(real.max(), high.max()), 300)
    deviation = (grid[:, None, None] - mu) / sigma
    log_normal = -0.5 * np.square(deviation) - 0.5 * logvar - 0.5 * np.log(2 * np.pi)
    log_density = np.logaddexp.reduce(logpi + log_normal, axis=-1)
    shown = np.exp(log_density - log_density.max(axis=0))  # relative to the peak, so that sharp and broad ones show
    mesh = density.pcolormesh(steps + 1, grid, shown, cmap="Blues", vmin=0, vmax=1, shading="nearest", rasterized=True)
    drawn.colorbar(mesh, ax=density, label="predicted density,\nrelative to the peak of its step", pad=0.01)
    density.plot(steps + 1, real, ".", ms=5, color=ORANGE, label="real z")
    density.plot(steps + 1, series.mu[steps + 1, dimension], lw=1, color=INK, label="its mean, mu")
    density.set_ylabel(f"z {dimension}")
    order = np.argsort(-np.exp(logpi).mean(axis=0))
    colors = [COMPONENTS[i % len(COMPONENTS)] for i in range(len(order))]
    for component, color in zip(order, colors):
        at, size = likely[:, component], 60 * np.exp(logpi[:, component])
        density.scatter(steps[at] + 1, mu[at, component], s=size[at], color=color, marker="_", lw=1.2, zorder=3)
    density.scatter([], [], s=30, color=GREEN, marker="_", label="mean of each component, coloured as below")
    density.legend(**ABOVE | {"ncols": 3})
    names = [f"component {number}" for number in range(1, len(order) + 1)]
    weights.stackplot(steps + 1, np.exp(logpi[:, order]).T, colors=colors, labels=names, lw=0)
    weights.set_ylim(0, 1)
    weights.set_ylabel(f"weights of the\n{len(order)} components")
    weights.legend(**ABOVE | {"ncols": len(order)}, fontsize=8, handlelength=1)
    if predicts == "reward":
        prediction_axes.plot(steps + 1, reward_or_done[steps], lw=1, color=INK, label="real reward")
        prediction_axes.plot(steps + 1, prediction.numpy()[steps], lw=1.4, color=BLUE, label="predicted reward")
        prediction_axes.set_ylabel("reward of a step")
    else:
        steps = np.r_[steps, steps[-1] + 1]  # the last step has a prediction, but no next z
        prediction_axes.plot(steps + 1, reward_or_done[steps], lw=1, color=INK, label="real end")
        prediction_axes.plot(
            steps + 1, end_probability(prediction).numpy()[steps], lw=1.4, color=BLUE, label="predicted probability"
        )
        prediction_axes.set_ylabel("probability")
    prediction_axes.legend(**ABOVE)
    prediction_axes.set_xlabel("step of the episode")
    prediction_axes.set_xlim(steps[0] + 0.5, steps[-1] + 1.5)
    for axes in (density, prediction_axes):
        axes.grid(alpha=0.3)
    drawn.suptitle(f"M's prediction of a dimension of z, one step ahead, in {which}")
    save(drawn, path)


def dreams_from(
    model: DreamModel, series: Series, count: int, steps: int, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """`count` dreams from the first z of an episode, with its actions.

    z, float32 (count, steps + 1, z_size), NaN after the end of a dream, and the score that came with it, the sum of the
    rewards until then, float32 (count, steps + 1).
    """
    step = tf.function(model.step, autograph=False)
    rng = np.random.default_rng(0)
    state = model.begin(np.repeat(drawn_z(series)[:1], count, axis=0))
    lived, rewards, alive = [state.z.numpy()], [np.zeros(count, np.float32)], np.ones((count, 1), bool)
    shape = (count, model.rnn.z_size)
    for t in range(steps):
        actions = np.repeat(series.action[t : t + 1], count, axis=0)
        noise = rng.random(shape, np.float32), rng.standard_normal(shape, np.float32)
        state, reward, done = step(state, actions, np.float32(temperature), *noise)
        rewards.append(np.where(alive[:, 0], reward.numpy(), 0))
        alive = alive & ~done.numpy()[:, None]
        lived.append(np.where(alive, state.z.numpy(), np.nan))
    return np.stack(lived, axis=1), np.cumsum(rewards, axis=0).T


def _score_and_reward(scores: np.ndarray, step: int) -> str:
    """scores: until each step."""
    return f"{scores[step]:.0f} ({scores[step] - scores[step - 1]:+.1f})" if step else "0"


def save_dream_comparison(
    codec: FrameCodec, model: DreamModel, series: Series, obs: np.ndarray | None, temperature: float, path: Path
) -> None:
    """An episode, and below it dreams from its first frame with its actions. Each frame has the score until then.

    obs: uint8 (T, 64, 64, 3), the frames of the episode `series`. If it is None, V decodes its z.
    """
    length = min(len(series.mu) - 1, 250)
    lived, scores = dreams_from(model, series, DREAMS, length, temperature)
    real_scores = np.cumsum(np.r_[0, series.reward[:length]])
    times = np.unique(np.round(np.linspace(0, 1, COLUMNS) ** 1.6 * length).astype(int))
    sheet = Sheet(
        2 * Sheet.MARGIN + NAMES + len(times) * (SIDE + Sheet.GAP),
        Sheet.TITLE + 24 + (DREAMS + 1) * (SIDE + Sheet.GAP) + Sheet.GAP,
        "An episode, and dreams from its first frame. M is given the same actions and nothing else "
        f"(temperature {temperature:g}). On each frame: the score until then, and the reward of its step",
    )

    for row in range(DREAMS + 1):
        y = Sheet.TITLE + 22 + row * (SIDE + Sheet.GAP)
        reality = "real" if obs is not None else "decoded by V"
        sheet.text(Sheet.MARGIN, y + SIDE // 2 - 8, f"dream {row}" if row else reality)
        for column, t in enumerate(times):
            x = Sheet.MARGIN + NAMES + column * (SIDE + Sheet.GAP)
            if row == 0:
                sheet.text(x, Sheet.TITLE, f"step {t}")
                sheet.paste(x, y, obs[t] if obs is not None else codec.decode(series.mu[t][None])[0], SIDE)
                sheet.label(x, y, _score_and_reward(real_scores, t))
            elif np.isfinite(lived[row - 1, t]).all():
                sheet.paste(x, y, codec.decode(lived[row - 1, t][None])[0], SIDE)
                sheet.label(x, y, _score_and_reward(scores[row - 1], t))
            else:
                sheet.text(x + SIDE // 2, y + SIDE // 2, f"ended at {scores[row - 1, t]:.0f}", anchor="mm")
    save(sheet, path)
