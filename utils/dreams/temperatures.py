"""The chapter's table: scores of a controller in dreams of several temperatures, and in the real environment."""

from pathlib import Path

import numpy as np

from utils.agent import evaluate
from utils.agent.agent import Agent
from utils.agent.controllers import load_checked_controller
from utils.agent.rollouts import Outcome
from utils.dreams.evaluator import DreamEvaluator
from utils.environments import get_spec
from utils.figures.dream_scores import save_temperatures
from utils.run.folder import RunFolder
from utils.system.files import write_csv
from utils.system.progress import Progress

COLUMNS = ("temperature", "seed", "dream_mean", "dream_std", "real_mean", "real_std", "controller")


def evaluate_run(run: RunFolder, temperatures: list[float], episodes: int, max_steps: int | None = None) -> list[dict]:
    """A row for each temperature: scores of the run's controller in dreams and in the real environment.

    max_steps: of an episode. None for the limit of the environment.
    """
    config = run.read_config()
    agent = Agent(config, run)
    parameters, which = load_checked_controller(config, run)
    jobs = evaluate.evaluation_jobs(evaluate.FIRST_EVALUATION_SEED, episodes)
    steps = max_steps or agent.spec.max_steps
    real = _mean_std(evaluate.score(agent, parameters, jobs, False, steps, Progress("real", "episodes")))
    evaluator, rows = DreamEvaluator.of_run(agent, run), []
    for temperature in temperatures:
        evaluator.temperature = temperature
        dreamed = _mean_std(evaluator.score(parameters[None], jobs, steps))
        rows.append(dict(zip(COLUMNS, (temperature, config.controller_seed, *dreamed, *real, which))))
    return rows


def baseline(run: RunFolder, episodes: int, max_steps: int | None = None) -> dict:
    """A row for the random policy. It plays the same real episodes as the agent in `evaluate_run`."""
    spec = get_spec(run.read_config().env_name)
    jobs = evaluate.evaluation_jobs(evaluate.FIRST_EVALUATION_SEED, episodes)
    explore, progress = spec.explorations[spec.baseline_policy], Progress("random actions", "episodes")
    real = evaluate.score_exploration(spec, explore, jobs, False, max_steps or spec.max_steps, progress)
    return dict(zip(COLUMNS, (None, None, None, None, *_mean_std(real), "random actions")))


def _mean_std(outcomes: list[Outcome]) -> tuple[float, float]:
    scores = [outcome.score for outcome in outcomes]
    return round(float(np.mean(scores)), 2), round(float(np.std(scores)), 2)


def save_table(rows: list[dict], run: RunFolder, path: Path, title: str, episodes: int) -> None:
    """Writes `path`, a CSV, and a picture of the same name beside it, with published figures behind ours."""
    published = get_spec(run.read_config().env_name).published_temperatures
    write_csv(path, COLUMNS, ([row[name] for name in COLUMNS] for row in rows))
    save_temperatures(rows, published, title, episodes, path.with_suffix(".png"))
