"""Controllers that learn in the dreams of one V and M with other settings of step 5, each in a run beside that one."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from utils.dreams import temperatures
from utils.environments import get_spec
from utils.run import cli
from utils.run import config as configuration
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.run.lineage import previous
from utils.run.provenance import check_agent, check_rnn, dreaming_runs, fingerprint, judging_run
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.files import link_or_copy

AS_THEY_ARE = "as they are"  # the original's settings
_SET_HERE = frozenset({"controller_environment", "controller_seed"})


class Variant(NamedTuple):
    run: RunFolder
    settings: list[str]  # `key=value`, on top of the original's configuration


def variant(original: RunFolder, name: str, settings: Sequence[str], seed: int) -> Variant:
    """A variant of a run. name: the end of its folder's name. seed: `controller_seed`."""
    path = original.path.resolve()
    run = RunFolder(path.with_name(f"{path.name}_{name}" + (f"_seed_{seed}" if seed else "")))
    where = [f"exp_name={run.path.name}", f"runs_folder={path.parent}"]
    return Variant(run, [*where, *settings, "controller_environment=dream", f"controller_seed={seed}"])


def name_of(settings: Sequence[str]) -> str:
    """The end of a folder's name, for settings: with_dream_dropout_0.1."""
    words = (re.sub(r"[^\w.-]+", "_", setting.removeprefix("controller_")) for setting in settings)
    return "_".join(["with", *words])


def check_settings(settings: Sequence[str], taken: frozenset[str] = frozenset()) -> None:
    """Raises `UsageError` unless all are of step 5, and none is set by the study itself. taken: what else it sets."""
    allowed = {*configuration.keys(Step.CONTROLLER, fixed=True), *configuration.keys(Step.CONTROLLER, fixed=False)}
    allowed -= _SET_HERE | taken
    for setting in settings:
        if (key := setting.partition("=")[0]) in Config.model_fields and key not in allowed:
            raise UsageError(f"{setting}: settings of step 5 are compared, except for what the study sets itself")


def check(original: RunFolder, variants: Sequence[Variant]) -> None:
    """Raises `UsageError` if one of them could not be trained. Writes nothing."""
    config = original.read_config()
    check_rnn(original, config)
    original.require(original.starts, Step.SERIES, "dreams start from the first frames that V has seen")
    get_spec(config.env_name).make().close()  # or says what is not installed
    if before := previous(config):
        check_agent(before)
    for run, settings in variants:
        its_config = configuration.load(original.path / "config.yaml", settings)
        dreaming_runs(its_config, original)
        judging_run(its_config, original)
        if run.path.exists() and _dreams_with(original) != _dreams_with(run):
            raise UsageError(f"{run.path} dreams with another V or M than {original.path} has now; delete it")


def compare(
    original: RunFolder, compared: Mapping[str, Sequence[str]], seeds: int, workers: int, episodes: int,
    max_steps: int | None = None,
) -> list[dict]:  # fmt: skip
    """Trains `seeds` controllers with each of the settings, in runs beside the original, and scores them.

    compared: settings of step 5, by the end of the names of their run folders.
    workers: of step 5.
    Returns a row for each controller: its settings, the minutes of step 5, and what `temperatures.evaluate_run` tells.
    Raises `UsageError`, before any work, if one of them could not be trained.
    """
    variants = [
        (settings, variant(original, name, settings, seed))
        for name, settings in compared.items()
        for seed in range(seeds)
    ]
    check(original, [one for _, one in variants])
    rows = []
    for settings, (run, all_settings) in variants:
        _train(original, run, all_settings, workers)
        at = [run.read_config().controller_temperature]
        (scores,) = temperatures.evaluate_run(run, at, episodes, max_steps)
        minutes = round(run.timings()[Step.CONTROLLER] / 60, 1)
        rows.append({"settings": " ".join(settings) or AS_THEY_ARE, "minutes": minutes, **scores})
    return rows


def _dreams_with(run: RunFolder) -> str:
    return fingerprint(run.vae_weights, run.rnn_weights)


def _train(original: RunFolder, run: RunFolder, settings: list[str], workers: int) -> None:
    """Does step 5 of a variant, with the V, M and series of the original."""
    if not run.path.exists():
        part = run.path.with_name(f".{run.path.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        for folder in (original.vae, original.rnn, original.series):
            unlocked = shutil.ignore_patterns(".lock")  # a linked lock would be one for both runs
            shutil.copytree(folder, part / folder.name, ignore=unlocked, copy_function=link_or_copy)
        shutil.copy(original.path / "config.yaml", part / "config.yaml")
        part.rename(run.path)
    command = cli.step_command(Step.CONTROLLER, original.path.resolve() / "config.yaml", settings, workers)
    if subprocess.run([*command, "--brief"], stdin=subprocess.DEVNULL).returncode:
        raise UsageError(f"step 5 did not finish in {run.path}; the line above says why")
