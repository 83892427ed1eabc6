"""The run folder: where each step finds what came before it and leaves what comes after.

runs/<exp_name>/
  config.yaml            the resolved configuration
  rollouts/              episode_00000.npz ...: obs, action, reward, done
  vae/                   vae.weights.h5, training state, log, pictures
  series/                episode_00000.npz ...: mu, logvar, action, reward, done; starts.npz
  rnn/                   rnn.weights.h5, training state, log
  controller/            best.npz, mean.npz, log.csv, earlier.csv, learning curve, resume state
  figures/, report.html  what `python -m utils.figures` draws and tells
  videos/
  timings.json           seconds that each step has worked
"""

import contextlib
import csv
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from utils.run import config as configuration
from utils.run.config import Config
from utils.run.episodes import Rollout, Series, is_whole
from utils.system.errors import UsageError
from utils.system.files import atomic_write, locked, remove_leftovers, write_csv, write_json

STEPS = {
    1: ("rollouts", "01_generate_data.py"),
    2: ("vae", "02_train_vae.py"),
    3: ("series", "03_generate_rnn_data.py"),
    4: ("rnn", "04_train_rnn.py"),
    5: ("controller", "05_train_controller.py"),
}


class RunFolder:
    def __init__(self, path: Path):
        self.path = path
        self.rollouts, self.vae, self.series, self.rnn, self.controller = (path / name for name, _ in STEPS.values())
        self.parts = self.controller / "parts"
        self.vae_weights = self.vae / "vae.weights.h5"
        self.rnn_weights = self.rnn / "rnn.weights.h5"
        self.starts = self.series / "starts.npz"
        self.earlier = self.controller / "earlier.csv"
        self.figures, self.report = path / "figures", path / "report.html"

    def rollout(self, index: int) -> Path:
        return self.rollouts / f"episode_{index:05d}.npz"

    def encoded(self, index: int) -> Path:
        return self.series / f"episode_{index:05d}.npz"

    def step_folder(self, step: int) -> Path:
        return self.path / STEPS[step][0]

    def read_config(self) -> Config:
        """The configuration of an existing run. Raises `UsageError` where there is none."""
        path = self.path / "config.yaml"
        if not path.is_file():
            raise UsageError(f"{self.path} is no run folder: it has no config.yaml")
        return configuration.load(path)

    def command(self, step: int) -> str:
        """What to type to do a step of this run."""
        return command(STEPS[step][1], "--config", self.path / "config.yaml")

    def require(self, path: Path, step: int, why: str) -> None:
        """Raises `UsageError` that names the script to run first when an earlier step left no `path`."""
        if not path.exists():
            raise UsageError(f"{path} is missing: {why}; run `{self.command(step)}` first")

    def require_vae(self) -> None:
        self.require(self.vae_weights, 2, "V is not trained yet")

    def require_rnn(self) -> None:
        self.require(self.rnn_weights, 4, "M is not trained yet")

    def refuse_shipped(self) -> None:
        """Raises `UsageError` that says what can be done instead if this agent came without what it learned from."""
        if self._is_shipped():
            raise UsageError(
                f"{self.path} is a shipped agent, without the episodes and training states that this needs; it plays "
                f"new episodes in `{command('render_agent.py', self.path)}` and "
                f"`{command('study_dream.py', 'quality', self.path, '--driven', 20)}`"
            )

    def log(self, step: int) -> list[dict[str, float | None]]:
        """What step 2, 4 or 5 wrote into its log.csv while it trained; None where a field is empty."""
        path = self.step_folder(step) / "log.csv"
        self.require(path, step, "it tells how training went")
        return read_log(path)

    def earlier_log(self) -> list[dict[str, float | None]]:
        """The log of step 5 of all runs that this one's C goes on from, the first one first."""
        return read_log(self.earlier) if self.earlier.exists() else []

    def remember_earlier(self, before: "RunFolder") -> None:
        """Keeps the log of the run that C goes on from as it is now: what both it and its own earlier ones logged."""
        rows = before.earlier_log() + before.log(5)
        header = [name for name in rows[0] if all(name in row for row in rows)]
        write_csv(self.earlier, header, ([row[name] for name in header] for row in rows))

    def timings(self) -> dict[int, float]:
        """Seconds that each step has worked in all; what was killed outright is not in it."""
        path = self.path / "timings.json"
        return {int(step): seconds for step, seconds in json.loads(path.read_text()).items()} if path.exists() else {}

    @contextlib.contextmanager
    def timed(self, step: int) -> Iterator[None]:
        began, before = time.monotonic(), self.timings().get(step, 0.0) if _begun(self, step) else 0.0
        try:
            yield
        finally:
            timings = self.timings() | {step: round(before + time.monotonic() - began, 1)}
            write_json(self.path / "timings.json", timings)

    def rollout_paths(self, config: Config) -> list[Path]:
        return [self.rollout(index) for index in range(config.num_episodes)]

    def series_paths(self, config: Config) -> list[Path]:
        return [self.encoded(index) for index in range(config.num_episodes)]

    def has_rollouts(self) -> bool:
        """False for an agent that was shipped: its rollouts stayed behind."""
        return not self._is_shipped() or self.rollout(0).exists()

    def _is_shipped(self) -> bool:
        return came_without_training(self.vae_weights)

    def require_episodes(self, paths: list[Path], kind: type[Rollout] | type[Series], step: int) -> None:
        """Raises `UsageError` when some that `step` should have left are missing or truncated."""
        remedy = f"run `{self.command(step)}`"
        for path in paths:
            if path.exists() and not is_whole(path, kind):
                raise UsageError(f"{path} is truncated or damaged; {remedy}, it makes damaged episodes again")
        missing = sum(not path.exists() for path in paths)
        if missing:
            self.refuse_shipped()
            raise UsageError(
                f"{self.step_folder(step)} has {len(paths) - missing} of {len(paths)} episodes; {remedy} first"
            )


def came_without_training(weights: Path) -> bool:
    """`utils.run.export` leaves behind the state that V or M trains on from, and the note of when they were written."""
    note, state = weights.with_suffix(".json"), weights.parent / "state.npz"
    return weights.exists() and not note.exists() and not state.exists()


def command(*words: object) -> str:
    """What to type to have Python run a script with arguments, whatever is in their names."""
    return shlex.join(["python", *map(str, words)])


def same_arguments() -> list[str]:
    """Those of this numbered script that another one takes as well."""
    words, arguments = iter(sys.argv[1:]), []
    for word in words:
        if word == "--workers":
            next(words, None)
        elif word != "--quiet" and not word.startswith("--workers="):
            arguments.append(word)
    return arguments


def previous(config: Config) -> RunFolder | None:
    """The run that this one goes on from, if any. Raises `UsageError` if it is no run, or one of another world."""
    if config.previous_run is None:
        return None
    run = RunFolder(Path(config.previous_run))
    theirs = run.read_config()
    if run.path.absolute().name == config.exp_name:
        raise UsageError(
            f"previous_run: {run.path} has the name of this run, exp_name: {config.exp_name}; draws are named by both: "
            "choose another exp_name"
        )
    same = ("env_name", "z_size", "rnn_size", "rnn_num_mixture", "controller_inputs", "controller_bias")
    for key in (*same, "held_out_fraction"):  # what its V and M have not learned from stays unseen
        if getattr(theirs, key) != getattr(config, key):
            raise UsageError(
                f"previous_run: {run.path} has {key}: {getattr(theirs, key)!r}, not {getattr(config, key)!r}"
            )
    if run.has_rollouts() and theirs.num_episodes > config.num_episodes:
        raise UsageError(
            f"previous_run: {run.path} has {theirs.num_episodes} episodes, which are taken over; max_trials x "
            f"parallel_processes is {config.num_episodes} in all"
        )
    return run


def read_log(path: Path) -> list[dict[str, float | None]]:
    """The rows of a log.csv; None where a field is empty."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.pop("cma_stop", None)  # words, for people
    return [{key: float(value) if value else None for key, value in row.items()} for row in rows]


@contextlib.contextmanager
def opened(config: Config, step: int) -> Iterator[RunFolder]:
    """The run folder of `config`, held for `step` alone, its settings checked against those it was made with."""
    run = RunFolder(Path(config.runs_folder) / config.exp_name)
    if step > 1 and not (run.path / "config.yaml").exists():
        first = command(STEPS[1][1], *same_arguments())
        raise UsageError(f"there is no run in {run.path} yet; run `{first}` first")
    with locked(run.step_folder(step)):
        remove_leftovers(run.step_folder(step))
        remove_leftovers(run.parts)
        record = _agree(run, config, step)
        with atomic_write(run.path / "config.yaml") as aside:
            aside.write_text(configuration.dump(record))
        yield run


def _begun(run: RunFolder, step: int) -> bool:
    """A step has begun when something is there that a restart goes on from."""
    if step == 0:
        return any(_begun(run, later) for later in STEPS)
    patterns = ("episode_*.npz", "state.npz", "resume.pkl", "parts/[0-9]*.json")
    return any(next(run.step_folder(step).glob(pattern), None) for pattern in patterns)


def _agree(run: RunFolder, config: Config, step: int) -> Config:
    """What to write down as the run's configuration: what the other steps were really run with stays.

    Raises `UsageError` if something that is already made depends on a setting that is now another.
    """
    path = run.path / "config.yaml"
    if not path.exists():
        return config
    stored = run.read_config()
    begun = [other for other in (0, *STEPS) if _begun(run, other)]
    differing = [
        f"{path}: made with {key}: {getattr(stored, key)!r}, now asked for {getattr(config, key)!r}; "
        "give it back its value, or choose another exp_name"
        for other in begun
        for key in configuration.keys(other, fixed=True)
        if getattr(stored, key) != getattr(config, key)
    ]
    if differing:
        raise UsageError("\n".join(differing))
    kept = [key for other in begun if other not in (0, step) for key in configuration.keys(other, fixed=False)]
    return config.model_copy(update={key: getattr(stored, key) for key in kept})
