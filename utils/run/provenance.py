"""What was made from what: each step checks the work of the earlier steps before anything slow begins.

Each step writes a fingerprint of its inputs into source.json in its folder.
"""

import hashlib
import itertools
import json
import shlex
from pathlib import Path

from utils.environments import get_spec
from utils.run.config import Config
from utils.run.episodes import Rollout, Series
from utils.run.folder import RunFolder, came_without_training
from utils.run.lineage import SAME_M, earlier, previous
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.files import write_json


def check(config: Config, run: RunFolder, step: Step) -> None:
    """Raises `UsageError` if an earlier step is unfinished or was done again, or if the environment cannot be made.

    A step that begins writes down what it works from.
    """
    taken_over = ("vae_num_epoch", "rnn_num_steps") if config.rnn_start == "previous" else ("vae_num_epoch",)
    for key in taken_over:
        if step < Step.CONTROLLER and not getattr(config, key) and not config.previous_run:
            raise UsageError(f"{key}: 0 takes over what previous_run has trained, and there is no previous_run")
    if step in (Step.ROLLOUTS, Step.CONTROLLER):
        get_spec(config.env_name).make().close()  # or says what is not installed
    if step in (Step.VAE, Step.RNN):
        _check_trained_here(run, step)
    if step in (Step.VAE, Step.SERIES):
        run.require_episodes(run.rollout_paths(config), Rollout, Step.ROLLOUTS)
    if step == Step.VAE:
        _check_source(run.vae, f"{config.num_episodes} episodes", "rollouts", Step.VAE, record=True)
    if step >= Step.SERIES:
        run.require_vae()
    if step == Step.RNN:
        run.require_episodes(run.series_paths(config), Series, Step.SERIES)
        run.require(run.starts, Step.SERIES, "the rollouts are not all encoded yet")
    if step in (Step.SERIES, Step.RNN):
        _check_source(run.series, fingerprint(run.vae_weights), "weights of V", Step.SERIES, record=step == Step.SERIES)
    if step == Step.CONTROLLER:
        run.require_rnn()
    if step >= Step.RNN:
        _check_rnn_source(run, config, record=step == Step.RNN)
    if step == Step.CONTROLLER:
        _check_controller_is_not_shipped(run)
        check_agent(run, record=True)
        if config.controller_environment == "dream" and config.controller_dream_start == "anywhere":
            check_encoded(run, config)
        if config.controller_num_rnn > 1:
            weights = [other.rnn_weights for other in dreaming_runs(config, run)]
            source = fingerprint(*weights)
            _check_source(run.controller, source, "Ms of earlier runs", step, record=True, note="dreams.json")
        if judge := judging_run(config, run):
            source = fingerprint(judge.rnn_weights)
            _check_source(run.controller, source, "M of controller_judge_run", step, record=True, note="judge.json")
    plays = step == Step.ROLLOUTS or (step == Step.SERIES and config.encoded_trials > 0)
    begins = step == Step.CONTROLLER and config.controller_start == "previous"
    if (before := previous(config)) and (begins or (plays and config.rollout_policy == "controller")):
        check_agent(before)


def check_series(run: RunFolder, config: Config) -> None:
    """Raises `UsageError` if the rollouts, V or the series are missing, or the series were made by another V."""
    run.require_episodes(run.rollout_paths(config), Rollout, Step.ROLLOUTS)
    check_encoded(run, config)


def check_encoded(run: RunFolder, config: Config) -> None:
    """As `check_series`, without the rollouts."""
    run.require_vae()
    run.require_episodes(run.series_paths(config), Series, Step.SERIES)
    _check_source(run.series, fingerprint(run.vae_weights), "weights of V", Step.SERIES)


def check_world(run: RunFolder, config: Config) -> None:
    """As `check_series`, and M."""
    check_series(run, config)
    check_rnn(run, config)


def check_rnn(run: RunFolder, config: Config, record: bool = False) -> None:
    """Raises `UsageError` if V or M is missing, or M learned from series of another V.

    record: writes the fingerprint if there is none.
    """
    run.require_vae()
    run.require_rnn()
    _check_rnn_source(run, config, record)


def _check_rnn_source(run: RunFolder, config: Config, record: bool) -> None:
    source = f"{fingerprint(run.vae_weights)}, {config.num_episodes + config.num_encoded} episodes"
    _check_source(run.rnn, source, "series", Step.RNN, record)


def check_agent(run: RunFolder, record: bool = False) -> None:
    """Raises `UsageError` if V, M or C is missing, or C was trained with another V or M."""
    run.require_vae()
    run.require_rnn()
    if not record:
        run.require(run.controller / "source.json", Step.CONTROLLER, "the controller is not trained yet")
    source = fingerprint(run.vae_weights, run.rnn_weights)
    _check_source(run.controller, source, "weights of V and M", Step.CONTROLLER, record)


def dreaming_runs(config: Config, run: RunFolder) -> list[RunFolder]:
    """The runs among whose Ms dreams are dealt, this one first. Raises `UsageError` if one of them does not fit."""
    runs = [run, *itertools.islice(earlier(config), config.controller_num_rnn - 1)]
    if len(runs) < config.controller_num_rnn:
        raise UsageError(
            f"controller_num_rnn: {config.controller_num_rnn} Ms, and this run goes on from {len(runs) - 1} others"
        )
    for other in runs[1:]:
        _check_same_v("controller_num_rnn", run, other)
    return runs


def judging_run(config: Config, run: RunFolder) -> RunFolder | None:
    """The run whose M judges C, if there is one. Raises `UsageError` if it does not fit."""
    if config.controller_judge_run is None:
        return None
    judge = RunFolder(Path(config.controller_judge_run))
    judge.require_same("controller_judge_run", config, *SAME_M)
    _check_same_v("controller_judge_run", run, judge)
    return judge


def _check_same_v(key: str, run: RunFolder, other: RunFolder) -> None:
    """Raises `UsageError` if `other` has no M, or one that dreams of the z of another V."""
    other.require_vae()
    other.require_rnn()
    if fingerprint(other.vae_weights) != fingerprint(run.vae_weights):
        raise UsageError(
            f"{key}: {other.path} has another V, so that its M dreams of another z; a run that goes on from it with "
            "vae_num_epoch: 0 has the same one"
        )


def fingerprint(*paths: Path) -> str:
    """A hash of the content of files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _check_trained_here(run: RunFolder, step: Step) -> None:
    """Raises `UsageError` if V's or M's weights have no training state, as in a shipped agent."""
    weights = run.vae_weights if step == Step.VAE else run.rnn_weights
    if came_without_training(weights):
        raise UsageError(
            f"{weights} came without its training state, as shipped agents do: delete {weights.parent} to train anew, "
            f"or train on from it in a run of your own with {shlex.quote(f'previous_run={run.path}')}"
        )


def _check_controller_is_not_shipped(run: RunFolder) -> None:
    """Raises `UsageError` if there is a controller without a state, which a new one would overwrite."""
    can_go_on = any((run.controller / name).exists() for name in ("resume.pkl", "fitness.csv"))
    if (run.controller / "best.npz").exists() and not can_go_on:
        raise UsageError(
            f"{run.controller} holds a controller without the state to go on from, as shipped agents do; a new one for "
            f"this V and M: copy {run.path}, delete controller/ in the copy, and give the copy's exp_name and "
            f"runs_folder; to learn on from this C: a run with "
            f"{shlex.quote(f'previous_run={run.path}')}"
        )


def _check_source(
    folder: Path, source: str, made_from: str, step: Step, record: bool = False, note: str = "source.json"
) -> None:
    """Raises `UsageError` if `folder`, the work of `step`, was made from another source.

    record: writes the source if there is none.
    note: the file in the folder that holds it.
    """
    path = folder / note
    if record and not path.exists():
        write_json(path, {"made_from": made_from, "source": source})
    if not path.exists():
        RunFolder(folder.parent).refuse_shipped()
    if not path.exists() or json.loads(path.read_text())["source"] != source:
        raise UsageError(
            f"{folder} was made from other {made_from} than the run has now; "
            f"delete it and run `{RunFolder(folder.parent).command(step)}` again"
        )
