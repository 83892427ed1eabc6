"""The chapter's table: scores of a controller in dreams of several temperatures, and in the real environment."""

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np

from utils.agent import evaluate
from utils.agent.agent import Agent
from utils.agent.checkpoints import load_checked_controller
from utils.agent.rollouts import Outcome
from utils.dreams.evaluator import DreamEvaluator
from utils.environments import get_spec
from utils.figures.dream_scores import save_temperatures
from utils.run import cli
from utils.run import config as configuration
from utils.run.folder import RunFolder
from utils.run.lineage import previous
from utils.run.provenance import check_agent, check_rnn, fingerprint
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.files import link_or_copy, write_csv
from utils.system.progress import Progress

COLUMNS = ("temperature", "seed", "dream_mean", "dream_std", "real_mean", "real_std", "controller")


def check_training(run: RunFolder, temperatures: list[float], seeds: int, overrides: list[str]) -> None:
    """Raises `UsageError` if `train_at` could not begin at one of the temperatures. Writes nothing."""
    config = run.read_config()
    check_rnn(run, config)
    run.require(run.starts, Step.SERIES, "dreams start from the first frames that V has seen")
    get_spec(config.env_name).make().close()  # or says what is not installed
    if before := previous(config):
        check_agent(before)
    allowed = {*configuration.keys(Step.CONTROLLER, fixed=True), *configuration.keys(Step.CONTROLLER, fixed=False)}
    allowed -= {"controller_environment", "controller_temperature", "controller_seed"}
    for override in overrides:
        if (key := override.partition("=")[0]) in configuration.Config.model_fields and key not in allowed:
            raise UsageError(f"{override}: --train takes settings of step 5, except for what the sweep sets itself")
    for temperature, seed in itertools.product(temperatures, range(seeds)):
        variant = _variant_of(run, temperature, seed)
        configuration.load(run.path / "config.yaml", _settings(variant, temperature, seed, overrides))
        if variant.path.exists() and _dreams_with(run) != _dreams_with(variant):
            raise UsageError(f"{variant.path} dreams with another V or M than {run.path} has now; delete it")


def _variant_of(run: RunFolder, temperature: float, seed: int) -> RunFolder:
    path = run.path.resolve()
    return RunFolder(path.with_name(f"{path.name}_at_{temperature:g}" + (f"_seed_{seed}" if seed else "")))


def _settings(variant: RunFolder, temperature: float, seed: int, overrides: list[str]) -> list[str]:
    settings = [f"exp_name={variant.path.name}", f"runs_folder={variant.path.parent}", *overrides]
    dream = ["controller_environment=dream", f"controller_temperature={temperature}", f"controller_seed={seed}"]
    return settings + dream


def _dreams_with(run: RunFolder) -> str:
    return fingerprint(run.vae_weights, run.rnn_weights)


def train_at(run: RunFolder, temperature: float, seed: int, overrides: list[str], workers: int) -> RunFolder:
    """Trains a controller in the dream of `run` at `temperature`, in a run folder beside it with the same V and M.

    seed: `controller_seed`.
    Returns that run. Call `check_training` first.
    """
    variant = _variant_of(run, temperature, seed)
    if not variant.path.exists():
        name = variant.path.name
        part = variant.path.with_name(f".{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        for folder in (run.vae, run.rnn):
            shutil.copytree(
                folder, part / folder.name, copy_function=lambda source, copy: link_or_copy(Path(source), Path(copy))
            )
        (part / "series").mkdir()
        link_or_copy(run.starts, part / "series" / run.starts.name)
        shutil.copy(run.path / "config.yaml", part / "config.yaml")
        part.rename(variant.path)
    settings = _settings(variant, temperature, seed, overrides)
    command = cli.step_command(Step.CONTROLLER, run.path.resolve() / "config.yaml", settings, workers)
    if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
        raise UsageError(f"step 5 did not finish in {variant.path}; the line above says why")
    return variant


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
    evaluator, rows = DreamEvaluator(agent, run), []
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
