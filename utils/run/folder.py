"""The run folder: where each step finds the work of the earlier steps and leaves its own.

runs/<exp_name>/
  config.yaml            the resolved configuration
  rollouts/              episode_00000.npz ...: obs, action, reward, done
  vae/                   vae.weights.h5, training state, log, pictures
  series/                episode_00000.npz, played_00000.npz ...: mu, logvar, action, reward, done; starts.npz;
                         of a shipped agent starts.npz and held_out.npz alone
  rnn/                   rnn.weights.h5, training state, log
  controller/            best.npz, mean.npz, log.csv, earlier.csv, learning curve, resume state
  figures/, report.html, dream.html  from `python -m utils.figures`
  dream/                 from study_dream.py
  videos/
  */source.json          fingerprints of what a step worked from
  timings.json           seconds that each step has taken
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
from utils.run.steps import Step
from utils.system.errors import UsageError
from utils.system.files import atomic_write, locked, remove_leftovers, write_csv, write_json


class RunFolder:
    def __init__(self, path: Path):
        self.path = path
        self.rollouts, self.vae, self.series, self.rnn, self.controller = (path / step.folder for step in Step)
        self.parts = self.controller / "parts"
        self.vae_weights = self.vae / "vae.weights.h5"
        self.rnn_weights = self.rnn / "rnn.weights.h5"
        self.starts, self.held_out = self.series / "starts.npz", self.series / "held_out.npz"
        self.earlier = self.controller / "earlier.csv"
        self.means, self.schedule = self.controller / "means.npz", self.controller / "schedule.csv"
        self.figures, self.report, self.dream_page = path / "figures", path / "report.html", path / "dream.html"
        self._counts_seconds = True

    def rollout(self, index: int) -> Path:
        return self.rollouts / f"episode_{index:05d}.npz"

    def encoded(self, index: int) -> Path:
        return self.series / f"episode_{index:05d}.npz"

    def played(self, index: int) -> Path:
        return self.series / f"played_{index:05d}.npz"

    def population(self, generation: int) -> Path:
        return self.controller / "populations" / f"{generation:06d}.npz"

    def step_folder(self, step: Step) -> Path:
        return self.path / step.folder

    def read_config(self) -> Config:
        """The configuration of an existing run. Raises `UsageError` if there is none."""
        path = self.path / "config.yaml"
        if not path.is_file():
            raise UsageError(f"{self.path} is no run folder: it has no config.yaml")
        return configuration.load(path)

    def command(self, step: Step) -> str:
        """The command that does a step of this run."""
        return command(step.script, "--config", self.path / "config.yaml")

    def require(self, path: Path, step: Step, why: str) -> None:
        """Raises `UsageError` that names the script to run first, if an earlier step left no `path`."""
        if not path.exists():
            raise UsageError(f"{path} is missing: {why}; run `{self.command(step)}` first")

    def require_same(self, setting: str, config: Config, *keys: str) -> None:
        """Raises `UsageError` if this run, which `setting` of `config` names, has another value for one of the keys."""
        theirs = self.read_config()
        for key in keys:
            if getattr(theirs, key) != getattr(config, key):
                raise UsageError(
                    f"{setting}: {self.path} has {key}: {getattr(theirs, key)!r}, not {getattr(config, key)!r}"
                )

    def require_vae(self) -> None:
        self.require(self.vae_weights, Step.VAE, "V is not trained yet")

    def require_rnn(self) -> None:
        self.require(self.rnn_weights, Step.RNN, "M is not trained yet")

    def refuse_shipped(self) -> None:
        """Raises `UsageError`, with what can be done instead, if this agent was shipped without its episodes."""
        if self._is_shipped():
            raise UsageError(
                f"{self.path} is a shipped agent, without the episodes and training states that this needs; it plays "
                f"new episodes in `{command('render_agent.py', self.path)}` and "
                f"`{command('study_dream.py', 'quality', self.path, '--driven', 20)}`"
            )

    def log(self, step: Step) -> list[dict[str, float | None]]:
        """The rows of log.csv of step 2, 4 or 5. None for an empty field."""
        path = self.step_folder(step) / "log.csv"
        self.require(path, step, "it is the log of the training")
        return read_log(path)

    def earlier_log(self) -> list[dict[str, float | None]]:
        """The logs of step 5 of all runs that C goes on from, in order."""
        return read_log(self.earlier) if self.earlier.exists() else []

    def remember_earlier(self, before: "RunFolder") -> None:
        """Keeps a copy of the log of the run that C goes on from, and of its earlier ones."""
        rows = before.earlier_log() + before.log(Step.CONTROLLER)
        header = [name for name in rows[0] if all(name in row for row in rows)]
        write_csv(self.earlier, header, ([row[name] for name in header] for row in rows))

    def timings(self) -> dict[Step, float]:
        """Seconds that each step has taken in all, without processes that were killed or found nothing left to do."""
        path = self.path / "timings.json"
        timings = json.loads(path.read_text()) if path.exists() else {}
        return {Step(int(number)): seconds for number, seconds in timings.items()}

    @contextlib.contextmanager
    def timed(self, step: Step) -> Iterator[None]:
        began, before = time.monotonic(), self.timings().get(step, 0.0) if has_begun(self, step) else 0.0
        try:
            yield
        finally:
            timings = self.timings()
            if self._counts_seconds or step not in timings:
                timings[step] = round(before + time.monotonic() - began, 1)
                write_json(self.path / "timings.json", timings)

    def say_done(self, what: str) -> None:
        """A step that has nothing left to do calls it. Prints that; `timed` then does not add to the step's seconds."""
        print(f"{what} already, nothing to do")
        self._counts_seconds = False

    def rollout_paths(self, config: Config) -> list[Path]:
        return [self.rollout(index) for index in range(config.num_episodes)]

    def series_paths(self, config: Config) -> list[Path]:
        """Of the rollouts, then of the episodes that step 3 played."""
        encoded = [self.encoded(index) for index in range(config.num_episodes)]
        return encoded + [self.played(index) for index in range(config.num_encoded)]

    def has_rollouts(self) -> bool:
        """False for a shipped agent."""
        return not self._is_shipped() or self.rollout(0).exists()

    def _is_shipped(self) -> bool:
        return came_without_training(self.vae_weights)

    def require_episodes(self, paths: list[Path], kind: type[Rollout] | type[Series], step: Step) -> None:
        """Raises `UsageError` if episodes of `step` are missing or truncated."""
        remedy = f"run `{self.command(step)}`"
        for path in paths:
            if path.exists() and not is_whole(path, kind):
                raise UsageError(f"{path} is truncated or damaged; {remedy}, which makes damaged episodes again")
        missing = sum(not path.exists() for path in paths)
        if missing:
            self.refuse_shipped()
            raise UsageError(
                f"{self.step_folder(step)} has {len(paths) - missing} of {len(paths)} episodes; {remedy} first"
            )


def came_without_training(weights: Path) -> bool:
    """Whether the weights came from `utils.run.export`, which leaves out the training state and the note."""
    note, state = weights.with_suffix(".json"), weights.parent / "state.npz"
    return weights.exists() and not note.exists() and not state.exists()


def command(*words: object) -> str:
    """The command, quoted for a shell, that runs a script with arguments."""
    return shlex.join(["python", *map(str, words)])


def same_arguments() -> list[str]:
    """The arguments of this numbered script that the other ones take as well."""
    words, arguments = iter(sys.argv[1:]), []
    for word in words:
        if word in ("--workers", "--hosts"):
            next(words, None)
        elif word not in ("--quiet", "--brief") and not word.startswith(("--workers=", "--hosts=")):
            arguments.append(word)
    return arguments


def read_log(path: Path) -> list[dict[str, float | None]]:
    """The rows of a log.csv. None for an empty field."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.pop("cma_stop", None)  # it is text
    return [{key: float(value) if value else None for key, value in row.items()} for row in rows]


@contextlib.contextmanager
def opened(config: Config, step: Step) -> Iterator[RunFolder]:
    """The run folder of `config`, locked for `step`. Raises `UsageError` if it was made with other settings."""
    run = RunFolder(Path(config.runs_folder) / config.exp_name)
    if step > Step.ROLLOUTS and not (run.path / "config.yaml").exists():
        first = command(Step.ROLLOUTS.script, *same_arguments())
        raise UsageError(f"there is no run in {run.path} yet; run `{first}` first")
    with locked(run.step_folder(step)):
        remove_leftovers(run.step_folder(step))
        remove_leftovers(run.parts)
        record = _agree(run, config, step)
        with atomic_write(run.path / "config.yaml") as temporary:
            temporary.write_text(configuration.dump(record))
        yield run


def has_begun(run: RunFolder, step: Step) -> bool:
    """A step has begun when there is something that a restart goes on from."""
    patterns = ("episode_*.npz", "state.npz", "resume.pkl", "fitness.csv", "parts/[0-9]*.json")
    return any(next(run.step_folder(step).glob(pattern), None) for pattern in patterns)


def _agree(run: RunFolder, config: Config, step: Step) -> Config:
    """The configuration to write into the run folder. Settings of steps that have begun stay as they were used.

    Raises `UsageError` if finished work depends on a setting that has changed.
    """
    path = run.path / "config.yaml"
    if not path.exists():
        return config
    stored = run.read_config()
    steps = [other for other in Step if has_begun(run, other)]
    begun: list[Step | None] = [None, *steps] if steps else []
    differing = [
        f"{path}: made with {key}: {getattr(stored, key)!r}, now asked for {getattr(config, key)!r}; "
        "give it back its value, or choose another exp_name"
        for other in begun
        for key in configuration.keys(other, fixed=True)
        if getattr(stored, key) != getattr(config, key)
    ]
    if differing:
        raise UsageError("\n".join(differing))
    kept = [key for other in steps if other != step for key in configuration.keys(other, fixed=False)]
    return config.model_copy(update={key: getattr(stored, key) for key in kept})
