"""What each step needs of the ones before it, looked at before anything slow begins."""

import hashlib
import json
import shlex
from pathlib import Path

from utils.environments import get_spec
from utils.run.config import Config
from utils.run.episodes import Rollout, Series
from utils.run.folder import RunFolder, came_without_training, previous
from utils.system.errors import UsageError
from utils.system.files import write_json


def check(config: Config, run: RunFolder, step: int) -> None:
    """Raises `UsageError` if an earlier step of `step` is missing or unfinished, or has been done anew since, or if
    its environment cannot be made.

    A step that begins writes down what it works from, in its folder's source.json.
    """
    for key in ("vae_num_epoch", "rnn_num_steps"):
        if step < 5 and not getattr(config, key) and not config.previous_run:
            raise UsageError(f"{key}: 0 takes over what previous_run has trained, and there is no previous_run")
    if step in (1, 5):
        get_spec(config.env_name).make().close()  # or says what is not installed
    if step in (2, 4):
        _check_trained_here(run, step)
    if step in (2, 3):
        run.require_episodes(run.rollout_paths(config), Rollout, 1)
    if step == 2:
        _check_source(run.vae, f"{config.num_episodes} episodes", "rollouts", 2, record=True)
    if step in (3, 4, 5):
        run.require_vae()
    if step == 4:
        run.require_episodes(run.series_paths(config), Series, 3)
        run.require(run.starts, 3, "the rollouts are not all encoded yet")
    if step in (3, 4):
        _check_source(run.series, fingerprint(run.vae_weights), "weights of V", 3, record=step == 3)
    if step == 5:
        run.require_rnn()
    if step in (4, 5):
        _check_rnn_source(run, config, record=step == 4)
    if step == 5:
        _check_controller_is_not_shipped(run)
        check_agent(run, record=True)
    before = previous(config)
    if before and (step == 5 or (step == 1 and config.rollout_policy == "controller")):
        check_agent(before)


def check_series(run: RunFolder, config: Config) -> None:
    """Raises `UsageError` if the rollouts, V or the series is missing, or the series was made by another V."""
    run.require_episodes(run.rollout_paths(config), Rollout, 1)
    check_encoded(run, config)


def check_encoded(run: RunFolder, config: Config) -> None:
    """As `check_series`, without the rollouts."""
    run.require_vae()
    run.require_episodes(run.series_paths(config), Series, 3)
    _check_source(run.series, fingerprint(run.vae_weights), "weights of V", 3)


def check_world(run: RunFolder, config: Config) -> None:
    """As `check_series`, and M."""
    check_series(run, config)
    check_rnn(run, config)


def check_rnn(run: RunFolder, config: Config, record: bool = False) -> None:
    """Raises `UsageError` if V or M is missing, or M learned from what another V saw.

    record: writes down that it did not, if nothing is written down yet.
    """
    run.require_vae()
    run.require_rnn()
    _check_rnn_source(run, config, record)


def _check_rnn_source(run: RunFolder, config: Config, record: bool) -> None:
    source = f"{fingerprint(run.vae_weights)}, {config.num_episodes} episodes"
    _check_source(run.rnn, source, "series", 4, record)


def check_agent(run: RunFolder, record: bool = False) -> None:
    """Raises `UsageError` if V, M or C is missing, or C was trained with another V or M."""
    run.require_vae()
    run.require_rnn()
    if not record:
        run.require(run.controller / "source.json", 5, "the controller is not trained yet")
    _check_source(run.controller, fingerprint(run.vae_weights, run.rnn_weights), "weights of V and M", 5, record)


def fingerprint(*paths: Path) -> str:
    """Names the content of files: what is made from V's or M's weights remembers which weights those were."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _check_trained_here(run: RunFolder, step: int) -> None:
    """Raises `UsageError` if V's or M's weights are there without a state to train on from, as in a shipped agent."""
    weights = run.vae_weights if step == 2 else run.rnn_weights
    if came_without_training(weights):
        raise UsageError(
            f"{weights} came without its training state, as shipped agents do: delete {weights.parent} to train anew, "
            f"or train on from it in a run of your own with {shlex.quote(f'previous_run={run.path}')}"
        )


def _check_controller_is_not_shipped(run: RunFolder) -> None:
    """Raises `UsageError` if there is a controller without a state to go on from, which a new one would overwrite."""
    if (run.controller / "best.npz").exists() and not (run.controller / "resume.pkl").exists():
        raise UsageError(
            f"{run.controller} holds a controller without the state to go on from, as shipped agents do; a new one for "
            f"this V and M: copy {run.path}, delete controller/ in the copy, and give the copy's exp_name and "
            f"runs_folder; to learn on from this C: a run with "
            f"{shlex.quote(f'previous_run={run.path}')}"
        )


def _check_source(folder: Path, source: str, made_from: str, step: int, record: bool = False) -> None:
    """Raises `UsageError` if `folder`, the work of `step`, was made from something else than `source`.

    record: this is that step itself: it writes down what it works from, if it has not yet.
    """
    path = folder / "source.json"
    if record and not path.exists():
        write_json(path, {"made_from": made_from, "source": source})
    if not path.exists():
        RunFolder(folder.parent).refuse_shipped()
    if not path.exists() or json.loads(path.read_text())["source"] != source:
        raise UsageError(
            f"{folder} was made from other {made_from} than the run has now; "
            f"delete it and run `{RunFolder(folder.parent).command(step)}` again"
        )
