"""Drawings of V, M, C and of how they work together, with the sizes and parameter counts of a run.

They need a run's settings alone.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from models.mdn_rnn import MDNRNN
from models.vae import VAE
from utils.environments.spec import EnvironmentSpec
from utils.figures.canvas import Box, Canvas, Point
from utils.figures.style import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY
from utils.run.config import Config
from utils.run.summaries import IN_WORDS

V_COLOR, M_COLOR, C_COLOR, WORLD_COLOR, CMA_COLOR = BLUE, GREEN, ORANGE, GREY, PURPLE


def _numbers(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _reads(config: Config) -> str:
    return " + ".join(f"{name} {size}" for name, size in config.controller.inputs.items())


def _remembered(config: Config) -> str:
    """What C reads of M."""
    return ", ".join(name for name in config.controller.inputs if name != "z")


def _acting(canvas: Canvas, center: Point, config: Config, spec: EnvironmentSpec) -> Box:
    actions = "1 action" if spec.action_size == 1 else f"{spec.action_size} actions"
    return canvas.box(center, (24, 12), C_COLOR, "C", f"{_reads(config)}\nto {actions}")


def save_architecture(config: Config, spec: EnvironmentSpec, vae: VAE, rnn: MDNRNN, path: Path) -> None:
    """V, M and C around the environment, with the parameters of each. Chapter, figure 12-3."""
    canvas = Canvas(124, 56, f"A world model of {config.env_name}: V sees, M remembers and predicts, C acts")
    controller, predicted = config.controller, IN_WORDS[spec.predicts]
    hidden = f" through {controller.hidden}" if controller.hidden else ""
    world = canvas.box((14, 28), (22, 16), WORLD_COLOR, "environment", f"{config.env_name}\n64 x 64 x 3 numbers a step")
    encoder, decoder = vae.encode_mu_logvar.count_params(), vae.decode.count_params()
    v = canvas.box(
        (46, 42), (26, 16), V_COLOR, "V, the VAE",
        f"a frame becomes z, {_numbers(config.z_size, 'number')}\n"
        f"{encoder + decoder:,} parameters:\n{encoder:,} see, {decoder:,} draw",
    )  # fmt: skip
    m = canvas.box(
        (78, 14), (26, 16), M_COLOR, "M, the MDN-RNN",
        f"h, {_numbers(config.rnn_size, 'number')}, remembers\n"
        f"predicts the next z and the {predicted}\n{rnn.count_params():,} parameters",
    )  # fmt: skip
    c = canvas.box(
        (108, 42), (26, 16), C_COLOR, "C, the controller",
        f"{_reads(config)}\n= {controller.num_features:,} numbers{hidden} to {', '.join(spec.action_names)}\n"
        f"{controller.num_parameters:,} parameters",
    )  # fmt: skip
    canvas.arrow([world.top(), (14, 42), v.left()], "frame", (22, 43.6))
    canvas.arrow([v.right(), c.left()], "z", (77, 43.6))
    canvas.arrow([(70, 42), (70, m.top(-8)[1])], "z", (68.6, 33))
    if remembered := _remembered(config):
        canvas.arrow([m.top(4), (82, 37), c.left(-5)])
        canvas.text((83, 30), f"{remembered}: what\nwas seen before", ha="left")
    canvas.arrow([c.bottom(), (108, 14), m.right()], "action", (104.6, 24))
    canvas.arrow([(108, 14), (108, 3), (14, 3), world.bottom()], "action", (40, 4.6))
    canvas.arrow([world.right(-4), (57, 24), (57, 14), m.left()], predicted, (40, 25.6))
    canvas.save(path)


def _shape(layer: keras.Layer) -> str:
    return " x ".join(str(size) for size in layer.output.shape[1:])


def save_vae_layers(config: Config, vae: VAE, path: Path) -> None:
    """V layer by layer: what comes out of each, and its parameters. Chapter, figure 12-6."""

    def kind(layer: keras.Layer) -> str:
        if isinstance(layer, layers.Conv2D | layers.Conv2DTranspose):
            name = "deconvolution" if isinstance(layer, layers.Conv2DTranspose) else "convolution"
            sizes = f"{layer.kernel_size[0]} x {layer.kernel_size[1]}, stride {layer.strides[0]}"
            return f"{name}\n{sizes}"
        return "dense"

    def weighted(model: keras.Model) -> list[keras.Layer]:
        return [layer for layer in model.layers if layer.count_params() and layer.name not in ("mu", "logvar")]

    total = vae.encode_mu_logvar.count_params() + vae.decode.count_params()
    canvas = Canvas(134, 58, f"V of {config.exp_name}: {total:,} parameters")

    def block(x: float, y: float, size: int, depth: int, color: str) -> None:
        """A tensor as a bar, as tall as its image is large, as wide as it has channels."""
        width, height = 1.2 + 0.9 * np.log2(depth), 1.5 + 0.24 * size
        bar = Rectangle((x - width / 2, y - height / 2), width, height, facecolor=color, alpha=0.45, edgecolor=INK)
        canvas.axes.add_patch(bar)

    def row(y: float, first: tuple[str, int, int], chain: list[keras.Layer], xs: np.ndarray, color: str) -> None:
        """A tensor, and the layers that follow it."""
        block(xs[0], y, *first[1:], color)
        canvas.text((xs[0], y - 11.5), first[0], 9)
        for x, x2, layer in zip(xs, xs[1:], chain):
            *image, depth = layer.output.shape[1:]
            block(x2, y, image[0] if image else 1, depth, color)
            canvas.text((x2, y - 11.5), _shape(layer), 9)
            canvas.arrow([((2 * x + x2) / 3, y), ((x + 2 * x2) / 3 + 1, y)], color=GREY)
            canvas.text(((x + x2) / 2, y + 10.5), f"{kind(layer)}\n{layer.count_params():,}", 8, color=GREY)

    encoder, decoder = weighted(vae.encode_mu_logvar), weighted(vae.decode)
    row(42, ("frame\n64 x 64 x 3", 64, 3), encoder, np.linspace(8, 88, len(encoder) + 1), V_COLOR)
    heads = [vae.encode_mu_logvar.get_layer(name) for name in ("mu", "logvar")]
    for head, y in zip(heads, (47, 37)):
        box = canvas.box((114, y), (24, 6), V_COLOR, f"{head.name}, {config.z_size}", f"{head.count_params():,}", 8)
        canvas.arrow([(93, 42 + (y - 42) / 4), box.left()], color=GREY)
    canvas.text((96, 46.5), "dense", 8, color=GREY)
    z = canvas.box((12, 14), (18, 7), SKY, f"z, {config.z_size}", "mu + sigma x noise", 8)
    canvas.arrow([(127, 42), (131, 42), (131, 28.3), (12, 28.3), z.top()], color=GREY)
    canvas.axes.plot([126.2, 127, 127, 126.2], [47, 47, 37, 37], color=GREY, lw=1.4)
    xs = np.linspace(36, 124, len(decoder))
    canvas.arrow([z.right(), (xs[0] - 6, 14)], color=GREY)
    first, *rest = decoder
    canvas.text(((z.right()[0] + xs[0]) / 2, 24.5), f"dense\n{first.count_params():,}", 8, color=GREY)
    row(14, (_shape(first), 1, first.output.shape[-1]), rest, xs, SKY)
    canvas.text((xs[-1], 0.4), "reconstruction", 9)
    canvas.save(path)


def save_rnn_layers(config: Config, spec: EnvironmentSpec, rnn: MDNRNN, path: Path) -> None:
    """M over three steps: what it reads, remembers and predicts. Chapter, figure 12-11."""
    canvas = Canvas(124, 66, f"M of {config.exp_name}: {rnn.count_params():,} parameters, the same ones at every step")
    predicted, actions = IN_WORDS[spec.predicts], spec.action_size
    steps, before = ("t - 1", "t", "t + 1", "t + 2"), None
    for x, step, following in zip((26, 62, 98), steps, steps[1:]):
        given = canvas.box(
            (x, 9), (27, 10), SKY, f"{rnn.input_size} numbers of step {step}",
            f"z {config.z_size} + action {actions} + {predicted} 1", 9,
        )  # fmt: skip
        lstm = canvas.box(
            (x, 28), (24, 11), M_COLOR, "LSTM",
            f"{config.rnn_size} units\n{rnn.lstm.count_params():,} parameters", 9,
        )  # fmt: skip
        dense = canvas.box((x, 45), (24, 9), M_COLOR, "dense", f"{rnn.mdn.count_params():,} parameters", 9)
        canvas.arrow([given.top(), lstm.bottom()])
        canvas.arrow([lstm.top(), dense.bottom()], f"h, {config.rnn_size}", (x + 6, 36.8))
        canvas.arrow([dense.top(), (x, 54.5)])
        canvas.text((x, 57.5), f"{rnn.output_size} numbers:\nmixtures of z and the {predicted} of step {following}", 9)
        if before is None:
            canvas.arrow([(5, 28), lstm.left()], "h, c", (8.5, 29.6))
        else:
            canvas.arrow([before.right(), lstm.left()], "h, c")
        before = lstm
    canvas.arrow([lstm.right(), (120, 28)])
    canvas.save(path)


def save_mixture_outputs(config: Config, spec: EnvironmentSpec, rnn: MDNRNN, path: Path) -> None:
    """What the numbers that come out of M are. Chapter, figure 12-12."""
    size, count, predicted = config.z_size, config.rnn_num_mixture, IN_WORDS[spec.predicts]
    canvas = Canvas(
        124, 48,
        f"The {rnn.output_size} numbers that M predicts: 3 x {count} x {size} = {3 * count * size} for z, "
        f"and 1 for the {predicted}",
    )  # fmt: skip
    parts = (
        ("logpi", "how likely each\nmixture part is", PURPLE),
        ("mu", "where its middle is", BLUE),
        ("logvar", "how wide it is", ORANGE),
    )
    cell, height = min(1.0, 34 / size), min(1.6, 9 / count)
    for index, (name, means, color) in enumerate(parts):
        y = 36 - 13 * index
        sides = 24 + cell * np.arange(size + 1), y + height * (np.arange(count + 1) - count / 2)
        shade = np.where(np.arange(size) == size // 3, 0.9, 0.35) * np.ones((count, 1))
        colors = LinearSegmentedColormap.from_list(name, ["white", color])
        canvas.axes.pcolormesh(*sides, shade, cmap=colors, vmin=0, vmax=1, edgecolors="white", linewidth=0.8)
        canvas.text((21, y + 1.2), name, 12, weight="bold", ha="right")
        canvas.text((21, y - 2), means, 8, GREY, ha="right")
        canvas.text((26 + size * cell, y), f"{count} x {size}\n= {count * size}", 9, ha="left")
    x = 24 + (size // 3 + 0.4) * cell
    canvas.text((x, 43.5), f"of z[{size // 3}]", 8)
    canvas.text((24 + size * cell / 2, 1.6), f"a column for each of the {size} numbers of z", 9, GREY)
    inner = canvas.drawn.add_axes((0.66, 0.38, 0.3, 0.42))
    at = np.linspace(-3.5, 3.5, 300)
    weights = np.linspace(1, 2, count) / np.linspace(1, 2, count).sum()
    centers, sigmas = np.linspace(-2, 1.8, count), np.linspace(0.35, 0.7, count)
    curves = weights * np.exp(-0.5 * ((at[:, None] - centers) / sigmas) ** 2) / (sigmas * np.sqrt(2 * np.pi))
    inner.plot(at, curves, color=GREY, lw=0.8)
    inner.plot(at, curves.sum(axis=1), color=M_COLOR, lw=2)
    inner.set(yticks=[], xlabel=f"the next z[{size // 3}]")
    inner.set_title(f"{count} normal distributions, weighed and summed", fontsize=9)
    canvas.box(
        (100, 8), (40, 9), M_COLOR, f"+ 1: the {predicted}",
        "as it is" if spec.predicts == "reward" else "the logit of P(done); a dream ends above 0", 9,
    )  # fmt: skip
    canvas.save(path)


def save_in_environment(config: Config, spec: EnvironmentSpec, path: Path) -> None:
    """How C learns in the real environment. Chapter, figure 12-17."""
    canvas = Canvas(124, 52, f"C learns in {config.env_name} itself")
    world = canvas.box((14, 24), (22, 12), WORLD_COLOR, "environment", "the next frame,\nthe reward")
    v = canvas.box((46, 24), (18, 12), V_COLOR, "V", f"frame to z, {config.z_size}")
    m = canvas.box(
        (74, 10), (22, 12), M_COLOR, "M", f"z, action and {IN_WORDS[spec.predicts]} to h,\nits prediction unused"
    )
    c = _acting(canvas, (106, 24), config, spec)
    canvas.arrow([world.right(), v.left()], "frame")
    canvas.arrow([v.right(), c.left()], "z")
    canvas.arrow([(68, 24), (68, m.top()[1])])
    if remembered := _remembered(config):
        canvas.arrow([m.right(), (90, 10), (90, 21), c.left(-3)], remembered, (92.5, 14))
    canvas.arrow([c.bottom(), (106, 1.5), (14, 1.5), world.bottom()], "action", (40, 3))
    canvas.arrow([(74, 1.5), m.bottom()])
    _evolution(canvas, config, world, c)
    canvas.save(path)


def save_in_dream(config: Config, spec: EnvironmentSpec, path: Path) -> None:
    """How C learns in the dream of M. Chapter, figure 12-18."""
    canvas = Canvas(124, 52, f"C learns in a dream of {config.env_name}: without the environment and without V")
    predicted = IN_WORDS[spec.predicts]
    m = canvas.box(
        (22, 24), (34, 14), M_COLOR, "M, in place of the environment", f"mixtures of the next z,\nthe {predicted}"
    )  # fmt: skip
    drawn = canvas.box(
        (65, 24), (22, 12), SKY, "a draw", f"of z, {config.z_size},\nat temperature {config.controller_temperature:g}"
    )
    c = _acting(canvas, (106, 24), config, spec)
    canvas.arrow([m.right(), drawn.left()])
    canvas.arrow([drawn.right(), c.left()], "z")
    if remembered := _remembered(config):
        canvas.arrow([m.bottom(6), (28, 9), (90, 9), (90, 21), c.left(-3)], remembered, (60, 10.6))
    canvas.arrow([c.bottom(), (106, 1.5), (14, 1.5), m.bottom(-8)], "action", (60, 3))
    canvas.arrow([(80, 24), (80, 13), (34, 13), m.bottom(12)], f"z, and the {predicted}", (60, 14.6))
    _evolution(canvas, config, m, c)
    canvas.save(path)


def _evolution(canvas: Canvas, config: Config, world: Box, c: Box) -> None:
    """CMA-ES above what scores its candidates."""
    es = canvas.box(
        (60, 44), (56, 10), CMA_COLOR, "CMA-ES",
        f"{config.population} candidates of {config.controller.num_parameters:,} numbers a generation", 9,
    )  # fmt: skip
    canvas.arrow([world.top(), (world.top()[0], 44), es.left()], "the sum of the rewards: a score", (20, 45.6))
    canvas.arrow([es.right(), (c.top()[0], 44), c.top()], "parameters of C", (98, 45.6))
