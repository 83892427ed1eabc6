"""Each figure of a run, drawn from what it needs of the run."""

import csv
from pathlib import Path

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


def frames(inputs: FigureInputs, path: Path) -> None:
    save_frames(inputs.rollout, inputs.spec, inputs.start, path)


def reconstructions(inputs: FigureInputs, path: Path) -> None:
    vision.save_reconstructions(inputs.codec, inputs.held_out_frames, path)


def latent(inputs: FigureInputs, path: Path) -> None:
    kl = kl_per_dimension(*inputs.latents).sum(axis=1)
    full = np.argsort(kl)[int(0.9 * len(kl))]  # a frame that tells more than nine of ten
    vision.save_latent(inputs.codec, inputs.held_out_frames[full], path)


def vae_losses(inputs: FigureInputs, path: Path) -> None:
    floor = inputs.config.vae_kl_tolerance * inputs.config.z_size
    names = {"reconstruction": "squared error of a frame", "kl": f"KL of a frame, at least {floor:g} nats"}
    save_losses(inputs.run.log(Step.VAE), names, "How V learned", path)


def rnn_losses(inputs: FigureInputs, path: Path) -> None:
    labels = {
        "nll": "negative log-likelihood of z, nats a dimension",
        "reward": "squared error of the reward",
        "done": "cross-entropy of the end, nats (an end counts tenfold)",
    }
    names = {name: labels[name] for name in ("nll", inputs.spec.predicts)}
    save_losses(inputs.run.log(Step.RNN), names, "How M learned", path)


def architecture(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_architecture(inputs.config, inputs.spec, inputs.untrained_vae, inputs.untrained_rnn, path)


def vae_layers(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_vae_layers(inputs.config, inputs.untrained_vae, path)


def encoding(inputs: FigureInputs, path: Path) -> None:
    step = eventful(inputs.rollout) if inputs.start is None else min(inputs.start, len(inputs.rollout.obs) - 1)
    vision.save_encoding(inputs.rollout, inputs.series, inputs.spec, step, path)


def rnn_layers(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_rnn_layers(inputs.config, inputs.spec, inputs.untrained_rnn, path)


def mixture_outputs(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_mixture_outputs(inputs.config, inputs.spec, inputs.untrained_rnn, path)


def in_environment(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_in_environment(inputs.config, inputs.spec, path)


def in_dream(inputs: FigureInputs, path: Path) -> None:
    diagrams.save_in_dream(inputs.config, inputs.spec, path)


def traversal(inputs: FigureInputs, path: Path) -> None:
    vision.save_traversal(inputs.codec, *inputs.seen_latents, path)


def grid(inputs: FigureInputs, path: Path) -> None:
    vision.save_grid(inputs.codec, *inputs.seen_latents, inputs.dimensions, path)


def prior(inputs: FigureInputs, path: Path) -> None:
    vision.save_prior(inputs.codec, path)


def mixture(inputs: FigureInputs, path: Path) -> None:
    dimension, predicts = inputs.dimension, inputs.spec.predicts
    if dimension is None:
        dimension = kl_per_dimension(inputs.series.mu, inputs.series.logvar).mean(axis=0).argmax()
    held_out = "a held-out episode" if inputs.shows_held_out else f"episode {inputs.episode}"
    memory.save_mixture(inputs.rnn, inputs.series, dimension, predicts, held_out, path)


def dream(inputs: FigureInputs, path: Path) -> None:
    model, temperature = dream_model(inputs.rnn, inputs.config), inputs.config.controller_temperature
    memory.save_dream_comparison(inputs.codec, model, inputs.series, inputs.rollout.obs, temperature, path)


def learning_curve(inputs: FigureInputs, path: Path) -> None:
    save_learning_curve(inputs.run.log(Step.CONTROLLER), inputs.config, path, inputs.run.earlier_log())


def evolution(inputs: FigureInputs, path: Path) -> None:
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


def controller(inputs: FigureInputs, path: Path) -> None:
    parameters, which = inputs.controller
    reads = control.Reads(inputs.dreamed_features.std(axis=0), inputs.telling)
    control.save_weights(parameters, inputs.config.controller, inputs.spec, which, path, reads)


def trajectories(inputs: FigureInputs, path: Path) -> None:
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
