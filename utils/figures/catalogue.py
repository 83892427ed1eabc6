"""The list of figures of a run, step by step, numbered as in the chapter."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from utils.figures import of_run
from utils.figures.inputs import FigureInputs
from utils.run.steps import Step


class Figure(NamedTuple):
    step: Step | None  # whose work it shows, or of the whole run
    chapter: str  # figure numbers of the chapter; empty if none
    caption: str
    alt: str  # what is to be seen, for who cannot see it
    save: Callable[[FigureInputs, Path], None]  # draws it to a path


FIGURES = {
    "architecture": Figure(
        None,
        "12-3",
        "V sees, M remembers and predicts, C acts: the world model with its sizes.",
        "Boxes and arrows: the environment gives V a frame; z goes to C and M, h from M to C, the action to the "
        "environment and back to M.",
        of_run.architecture,
    ),
    "frames": Figure(
        Step.ROLLOUTS,
        "12-2, 12-5",
        "Forty frames of an episode, with actions and rewards. V and M learn from nothing else.",
        "Forty frames in four rows, each with its number, a bar for each action and one for the reward.",
        of_run.frames,
    ),
    "vae_layers": Figure(
        Step.VAE,
        "12-6",
        "V layer by layer, with the parameters of each.",
        "Boxes from the frame through four convolutions to mu and logvar, and from z back to a picture.",
        of_run.vae_layers,
    ),
    "vae_losses": Figure(
        Step.VAE,
        "",
        "How V learned. The dots are held-out frames.",
        "Two curves by iteration: the squared error of a frame, and its KL divergence.",
        of_run.vae_losses,
    ),
    "reconstructions": Figure(
        Step.VAE,
        "12-7",
        "Held-out frames above their reconstructions from z. What is missing below, C will never see.",
        "Twenty-four frames, each above its reconstruction, from the smallest squared error to the largest.",
        of_run.reconstructions,
    ),
    "latent": Figure(
        Step.VAE,
        "12-8",
        "V encodes one frame as a normal distribution for each number of z. A number with sigma 1 and mu 0 carries "
        "nothing.",
        "A frame and seven reconstructions of it; below, mu with its sigma, and logvar, for each number of z.",
        of_run.latent,
    ),
    "grid": Figure(
        Step.VAE,
        "12-9",
        "Two numbers of z against each other, the others as they usually are.",
        "Nine by nine reconstructions: one number of z grows from left to right, another one from top to bottom.",
        of_run.grid,
    ),
    "traversal": Figure(
        Step.VAE,
        "12-9",
        "What each number of z means: one changes, the others stay. The most telling ones come first.",
        "A row of seven reconstructions for each telling number of z, with its seven values.",
        of_run.traversal,
    ),
    "prior": Figure(
        Step.VAE,
        "",
        "Reconstructions of random z. If they look real, dreams can look real.",
        "A grid of pictures that V draws from random numbers.",
        of_run.prior,
    ),
    "encoding": Figure(
        Step.SERIES,
        "12-10",
        "One step of an episode as M gets it.",
        "A frame; beside it its mu and logvar as bars, and the action, the reward and done as numbers.",
        of_run.encoding,
    ),
    "rnn_layers": Figure(
        Step.RNN,
        "12-11",
        "M over three steps, with its sizes.",
        "Three columns: z and action enter an LSTM, which hands h and c on, and a mixture of the next z comes out.",
        of_run.rnn_layers,
    ),
    "mixture_outputs": Figure(
        Step.RNN,
        "12-12",
        "What the numbers are that M predicts.",
        "The outputs of M as blocks: weights, mu and logvar of each number of z, and one number more.",
        of_run.mixture_outputs,
    ),
    "rnn_losses": Figure(
        Step.RNN,
        "",
        "How M learned. The dots are held-out episodes.",
        "Two curves by iteration: the negative log-likelihood of z, and the loss of the reward or of the end.",
        of_run.rnn_losses,
    ),
    "mixture": Figure(
        Step.RNN,
        "12-12",
        "M's prediction of one number of z, a step ahead: a mixture of normal distributions, which can hold several "
        "futures at once.",
        "By step: the predicted density as a blue band with the real values as dots on it, the weights of the "
        "components, and the predicted reward or end beside the real one.",
        of_run.mixture,
    ),
    "dream": Figure(
        Step.RNN,
        "",
        "Dreams from the first frame on: M is given the actions of the real episode, and no other frame.",
        "Four rows of pictures by step: the real episode, and three dreams that drift away from it.",
        of_run.dream,
    ),
    "evolution": Figure(
        Step.CONTROLLER,
        "12-13 to 12-15",
        "CMA-ES at work: where the population went, how wide it was, and which worker scored which part of it.",
        "A path of dots across a plane with clouds of candidates around it; the spread by generation; a bar for each "
        "task of each worker.",
        of_run.evolution,
    ),
    "learning_curve": Figure(
        Step.CONTROLLER,
        "12-16",
        "How C learned, by generation and by cost. Published curves in grey.",
        "Two panels of scores, by generation and by core-hours: a band for the candidates, dots for the evaluations.",
        of_run.learning_curve,
    ),
    "in_environment": Figure(
        Step.CONTROLLER,
        "12-17",
        "How C learns in the real environment.",
        "A loop of boxes: environment, V, C and M.",
        of_run.in_environment,
    ),
    "in_dream": Figure(
        Step.CONTROLLER,
        "12-18",
        "How C learns in M's dream.",
        "A loop of boxes without the environment and V: M, a draw of the next z, and C.",
        of_run.in_dream,
    ),
    "controller": Figure(
        Step.CONTROLLER,
        "",
        "All weights of C, times the spread of what they weigh: where its actions come from.",
        "A block of squares for each action and input: violet pushes the action up, orange down, white does nothing.",
        of_run.controller,
    ),
    "ways": Figure(
        Step.CONTROLLER,
        "",
        "Where the agent goes, and where it fails.",
        "A small map for each episode with the way that the agent took, the lowest score first.",
        of_run.trajectories,
    ),
}
