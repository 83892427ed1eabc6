"""Every figure of a run, in the order in which the chapter tells it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.vae import kl_per_dimension
from utils.agent import evaluate
from utils.figures import control, memory, vision
from utils.figures.episode import save_frames
from utils.figures.inputs import Subject
from utils.figures.learning_curve import save_learning_curve, save_losses
from utils.system.progress import Progress


class Figure(NamedTuple):
    """step: whose work it shows; caption: what to see in it; save: draws it to a path."""

    step: int
    caption: str
    save: Callable[[Subject, Path], None]


def _frames(subject: Subject, path: Path) -> None:
    save_frames(subject.rollout, subject.spec, path)


def _reconstructions(subject: Subject, path: Path) -> None:
    vision.save_reconstructions(subject.codec, subject.held_out_frames, path)


def _latent(subject: Subject, path: Path) -> None:
    told = kl_per_dimension(*subject.latents).sum(axis=1)
    full = np.argsort(told)[int(0.9 * len(told))]  # more is in it than in nine of ten
    vision.save_latent(subject.codec, subject.held_out_frames[full], path)


def _vae_losses(subject: Subject, path: Path) -> None:
    floor = subject.config.vae_kl_tolerance * subject.config.z_size
    names = {"reconstruction": "squared error of a frame", "kl": f"KL of a frame, at least {floor:g} nats"}
    save_losses(subject.run.log(2), names, "How V learned", path)


def _rnn_losses(subject: Subject, path: Path) -> None:
    of = {"reward": "squared error of the reward", "done": "cross-entropy of the end, nats; an end counts tenfold"}
    predicts = subject.spec.predicts
    names = {"nll": "negative log-likelihood of z, nats a dimension", predicts: of[predicts]}
    save_losses(subject.run.log(4), names, "How M learned", path)


def _traversal(subject: Subject, path: Path) -> None:
    vision.save_traversal(subject.codec, subject.held_out_frames, path)


def _prior(subject: Subject, path: Path) -> None:
    vision.save_prior(subject.codec, path)


def _mixture(subject: Subject, path: Path) -> None:
    dimension, predicts = subject.dimension, subject.spec.predicts
    if dimension is None:
        dimension = kl_per_dimension(subject.series.mu, subject.series.logvar).mean(axis=0).argmax()
    memory.save_mixture(subject.rnn, subject.series, dimension, predicts, path)


def _dream(subject: Subject, path: Path) -> None:
    temperature = subject.config.controller_temperature
    memory.save_dream_comparison(
        subject.codec, subject.rnn, subject.spec.predicts, subject.series, subject.rollout.obs, temperature,
        path,
    )  # fmt: skip


def _learning_curve(subject: Subject, path: Path) -> None:
    save_learning_curve(subject.run.log(5), subject.config, path, subject.run.earlier_log())


def _controller(subject: Subject, path: Path) -> None:
    parameters, which = subject.controller
    control.save_weights(parameters, subject.config.controller, subject.spec, which, path)


def _ways(subject: Subject, path: Path) -> None:
    parameters, which = subject.controller
    jobs = evaluate.evaluation_jobs(evaluate.FIRST_EVALUATION_SEED, subject.num_episodes)
    outcomes, positions, track_lines = evaluate.trajectories(
        subject.agent, parameters, jobs, subject.spec.max_steps, Progress("ways", "episodes")
    )
    scores = [outcome.score for outcome in outcomes]
    episode_noun = subject.spec.episode_noun
    title = (
        f"Where {len(jobs)} episodes went, {episode_noun}s {jobs[0].env_seed} to {jobs[-1].env_seed}, the worst first; "
        f"above each its score, {np.mean(scores):.0f} +- {np.std(scores):.0f} in all;\n"
        f"x: where it ended ({which})"
    )
    control.save_trajectories(positions, track_lines, scores, title, path)


FIGURES = {
    "frames": Figure(1, "Forty frames of an episode: what was seen, done and gained. It is all that V and M learn "
                     "from.", _frames),
    "vae_losses": Figure(2, "How V learned; the dots are frames that it never learned from.", _vae_losses),
    "reconstructions": Figure(2, "What V never learned from, above what is left of it after z. What is missing below, "
                              "C will never see.", _reconstructions),
    "latent": Figure(2, "One frame becomes a normal distribution for each number of z. Where sigma is 1 and mu is 0, "
                     "V keeps nothing in that number.", _latent),
    "traversal": Figure(2, "What each number of z means: one is changed, the others stay. First those that tell most "
                        "of a frame.", _traversal),
    "prior": Figure(2, "Pictures from random z. Where these are believable, dreams can be.", _prior),
    "rnn_losses": Figure(4, "How M learned; the dots are episodes that it never learned from.", _rnn_losses),
    "mixture": Figure(4, "M's forecast of one number of z, a step ahead: a mixture of normal distributions, so that it "
                      "can expect several futures at once.", _mixture),
    "dream": Figure(4, "Left to itself, M goes on from the first frame. It is given the actions of the real episode, "
                    "and never another frame.", _dream),
    "learning_curve": Figure(5, "How C learned, by generation and by cost; in grey what others published.",
                             _learning_curve),
    "controller": Figure(5, "All that C is.", _controller),
    "ways": Figure(5, "Where it goes, and where it is lost.", _ways),
}  # fmt: skip
