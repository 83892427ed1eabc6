"""The list of figures of a run, step by step, numbered as in the chapter."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.vae import kl_per_dimension
from utils.agent import evaluate
from utils.agent.checkpoints import dream_model
from utils.figures import control, diagrams, memory, vision
from utils.figures.episode import eventful, save_frames
from utils.figures.evolution import save_evolution
from utils.figures.inputs import FigureInputs
from utils.figures.learning_curve import save_learning_curve, save_losses
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.progress import Progress


class Figure(NamedTuple):
    step: Step | None  # whose work it shows, or of the whole run
    chapter: str  # figure numbers of the chapter; empty if none
    caption: str
    alt: str  # what is to be seen, for who cannot see it
    save: Callable[[FigureInputs, Path], None]  # draws it to a path


def _frames(inputs: FigureInputs, path: Path) -> None:
    save_frames(inputs.rollout, inputs.spec, inputs.start, path)


def _reconstructions(inputs: FigureInputs, path: Path) -> None:
    vision.save_reconstructions(inputs.codec, inputs.held_out_frames, path)


def _latent(inputs: FigureInputs, path: Path) -> None:
    kl = kl_per_dimension(*inputs.latents).sum(axis=1)
    full = np.argsort(kl)[int(0.9 * len(kl))]  # a frame that tells more than nine of ten
    vision.save_latent(inputs.codec, inputs.held_out_frames[full], path)


def _vae_losses(inputs: FigureInputs, path: Path) -> None:
    floor = inputs.config.vae_kl_tolerance * inputs.config.z_size
    names = {"reconstruction": "squared error of a frame", "kl": f"KL of a frame, at least {floor:g} nats"}
    save_losses(inputs.run.log(Step.VAE), names, "How V learned", path)


def _rnn_losses(inputs: FigureInputs, path: Path) -> None:
    labels = {
        "nll": "negative log-likelihood of z, nats a dimension",
        "reward": "squared error of the reward",
        "done": "cross-entropy of the end, nats (an end counts tenfold)",
    }
    names = {name: labels[name] for name in ("nll", inputs.spec.predicts)}
    save_losses(inputs.run.log(Step.RNN), names, "How M learned", path)


def _architecture(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_architecture(inputs.config, inputs.spec, inputs.untrained_vae, inputs.untrained_rnn, path)


def _vae_layers(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_vae_layers(inputs.config, inputs.untrained_vae, path)


def _encoding(inputs: FigureInputs, path: Path) -> None:
    step = eventful(inputs.rollout) if inputs.start is None else min(inputs.start, len(inputs.rollout.obs) - 1)
    vision.save_encoding(inputs.rollout, inputs.series, inputs.spec, step, path)


def _rnn_layers(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_rnn_layers(inputs.config, inputs.spec, inputs.untrained_rnn, path)


def _mixture_outputs(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_mixture_outputs(inputs.config, inputs.spec, inputs.untrained_rnn, path)


def _in_environment(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_in_environment(inputs.config, inputs.spec, path)


def _in_dream(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_in_dream(inputs.config, inputs.spec, path)


def _traversal(inputs: FigureInputs, path: Path) -> None:
    vision.save_traversal(inputs.codec, *inputs.seen_latents, path)


def _grid(inputs: FigureInputs, path: Path) -> None:
    vision.save_grid(inputs.codec, *inputs.seen_latents, inputs.dimensions, path)


def _prior(inputs: FigureInputs, path: Path) -> None:
    vision.save_prior(inputs.codec, path)


def _mixture(inputs: FigureInputs, path: Path) -> None:
    dimension, predicts = inputs.dimension, inputs.spec.predicts
    if dimension is None:
        dimension = kl_per_dimension(inputs.series.mu, inputs.series.logvar).mean(axis=0).argmax()
    held_out = "a held-out episode" if inputs.shows_held_out else f"episode {inputs.episode}"
    memory.save_mixture(inputs.rnn, inputs.series, dimension, predicts, held_out, path)


def _dream(inputs: FigureInputs, path: Path) -> None:
    model, temperature = dream_model(inputs.rnn, inputs.config), inputs.config.controller_temperature
    memory.save_dream_comparison(inputs.codec, model, inputs.series, inputs.rollout.obs, temperature, path)


def _learning_curve(inputs: FigureInputs, path: Path) -> None:
    save_learning_curve(inputs.run.log(Step.CONTROLLER), inputs.config, path, inputs.run.earlier_log())


def _evolution(inputs: FigureInputs, path: Path) -> None:
    run, rows = inputs.run, inputs.run.log(Step.CONTROLLER)
    if not (run.means.exists() and run.schedule.exists()):
        raise UsageError(f"{run.path} holds no means of its generations, as of an older version or a shipped agent")
    with np.load(run.means, allow_pickle=False) as file:
        means, last = file["means"], int(file["generation"])
    populations = {}
    for kept in sorted(run.population(0).parent.glob("*.npz")):
        with np.load(kept, allow_pickle=False) as file:
            populations[int(kept.stem)] = file["candidates"]
    with open(run.schedule, newline="") as file:
        schedule = list(csv.DictReader(file))
    # A run that an older version began has no means of its first generations, one under way none of its latest ones.
    rows = rows[last - len(means) + 1 : last]
    save_evolution(means, populations, rows, schedule, path)


def _controller(inputs: FigureInputs, path: Path) -> None:
    parameters, which = inputs.controller
    reads = control.Reads(inputs.dreamed_features.std(axis=0), inputs.telling)
    control.save_weights(parameters, inputs.config.controller, inputs.spec, which, path, reads)


def _trajectories(inputs: FigureInputs, path: Path) -> None:
    parameters, which = inputs.controller
    jobs = evaluate.evaluation_jobs(evaluate.FIRST_EVALUATION_SEED, inputs.num_episodes)
    outcomes, positions, track_lines = evaluate.trajectories(
        inputs.agent, parameters, jobs, inputs.spec.max_steps, Progress("trajectories", "episodes")
    )
    scores = [outcome.score for outcome in outcomes]
    noun = inputs.spec.episode_noun
    title = (
        f"Trajectories of {len(jobs)} episodes, {noun}s {jobs[0].env_seed} to {jobs[-1].env_seed}, the worst first, "
        f"each with its score: {np.mean(scores):.0f} +- {np.std(scores):.0f} in all;\nx: its end ({which})"
    )
    control.save_trajectories(positions, track_lines, scores, title, path)


FIGURES = {
    "architecture": Figure(
        None,
        "12-3",
        "V sees, M remembers and predicts, C acts: the world model with its sizes.",
        "Boxes and arrows: the environment gives V a frame; z goes to C and M, h from M to C, the action to the "
        "environment and back to M.",
        _architecture,
    ),
    "frames": Figure(
        Step.ROLLOUTS,
        "12-2, 12-5",
        "Forty frames of an episode, with actions and rewards. V and M learn from nothing else.",
        "Forty frames in four rows, each with its number, a bar for each action and one for the reward.",
        _frames,
    ),
    "vae_layers": Figure(
        Step.VAE,
        "12-6",
        "V layer by layer, with the parameters of each.",
        "Boxes from the frame through four convolutions to mu and logvar, and from z back to a picture.",
        _vae_layers,
    ),
    "vae_losses": Figure(
        Step.VAE,
        "",
        "How V learned. The dots are held-out frames.",
        "Two curves by iteration: the squared error of a frame, and its KL divergence.",
        _vae_losses,
    ),
    "reconstructions": Figure(
        Step.VAE,
        "12-7",
        "Held-out frames above their reconstructions from z. What is missing below, C will never see.",
        "Twenty-four frames, each above its reconstruction, from the smallest squared error to the largest.",
        _reconstructions,
    ),
    "latent": Figure(
        Step.VAE,
        "12-8",
        "V encodes one frame as a normal distribution for each number of z. A number with sigma 1 and mu 0 carries "
        "nothing.",
        "A frame and seven reconstructions of it; below, mu with its sigma, and logvar, for each number of z.",
        _latent,
    ),
    "grid": Figure(
        Step.VAE,
        "12-9",
        "Two numbers of z against each other, the others as they usually are.",
        "Nine by nine reconstructions: one number of z grows from left to right, another one from top to bottom.",
        _grid,
    ),
    "traversal": Figure(
        Step.VAE,
        "12-9",
        "What each number of z means: one changes, the others stay. The most telling ones come first.",
        "A row of seven reconstructions for each telling number of z, with its seven values.",
        _traversal,
    ),
    "prior": Figure(
        Step.VAE,
        "",
        "Reconstructions of random z. If they look real, dreams can look real.",
        "A grid of pictures that V draws from random numbers.",
        _prior,
    ),
    "encoding": Figure(
        Step.SERIES,
        "12-10",
        "One step of an episode as M gets it.",
        "A frame; beside it its mu and logvar as bars, and the action, the reward and done as numbers.",
        _encoding,
    ),
    "rnn_layers": Figure(
        Step.RNN,
        "12-11",
        "M over three steps, with its sizes.",
        "Three columns: z and action enter an LSTM, which hands h and c on, and a mixture of the next z comes out.",
        _rnn_layers,
    ),
    "mixture_outputs": Figure(
        Step.RNN,
        "12-12",
        "What the numbers are that M predicts.",
        "The outputs of M as blocks: weights, mu and logvar of each number of z, and one number more.",
        _mixture_outputs,
    ),
    "rnn_losses": Figure(
        Step.RNN,
        "",
        "How M learned. The dots are held-out episodes.",
        "Two curves by iteration: the negative log-likelihood of z, and the loss of the reward or of the end.",
        _rnn_losses,
    ),
    "mixture": Figure(
        Step.RNN,
        "12-12",
        "M's prediction of one number of z, a step ahead: a mixture of normal distributions, which can hold several "
        "futures at once.",
        "By step: the predicted density as a blue band with the real values as dots on it, the weights of the "
        "components, and the predicted reward or end beside the real one.",
        _mixture,
    ),
    "dream": Figure(
        Step.RNN,
        "",
        "Dreams from the first frame on: M is given the actions of the real episode, and no other frame.",
        "Four rows of pictures by step: the real episode, and three dreams that drift away from it.",
        _dream,
    ),
    "evolution": Figure(
        Step.CONTROLLER,
        "12-13 to 12-15",
        "CMA-ES at work: where the population went, how wide it was, and which worker scored which part of it.",
        "A path of dots across a plane with clouds of candidates around it; the spread by generation; a bar for each "
        "task of each worker.",
        _evolution,
    ),
    "learning_curve": Figure(
        Step.CONTROLLER,
        "12-16",
        "How C learned, by generation and by cost. Published curves in grey.",
        "Two panels of scores, by generation and by core-hours: a band for the candidates, dots for the evaluations.",
        _learning_curve,
    ),
    "in_environment": Figure(
        Step.CONTROLLER,
        "12-17",
        "How C learns in the real environment.",
        "A loop of boxes: environment, V, C and M.",
        _in_environment,
    ),
    "in_dream": Figure(
        Step.CONTROLLER,
        "12-18",
        "How C learns in M's dream.",
        "A loop of boxes without the environment and V: M, a draw of the next z, and C.",
        _in_dream,
    ),
    "controller": Figure(
        Step.CONTROLLER,
        "",
        "All weights of C, times the spread of what they weigh: where its actions come from.",
        "A block of squares for each action and input: violet pushes the action up, orange down, white does nothing.",
        _controller,
    ),
    "ways": Figure(
        Step.CONTROLLER,
        "",
        "Where the agent goes, and where it fails.",
        "A small map for each episode with the way that the agent took, the lowest score first.",
        _trajectories,
    ),
}
