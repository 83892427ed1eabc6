"""The state of the evolution: all that a killed run needs to go on as if nothing had happened.

resume.pkl is a pickle, since CMA-ES's object has no other form. It is read only from the run's own folder, to go on
with that run: never take one from somebody else. Agents are shared as best.npz, which is no pickle. An evolution is
shared as log.csv and fitness.csv: CMA-ES, told the same scores again, comes to the same state.
"""

import csv
import json
import pickle
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from utils.evolution.tasks import TaskResult
from utils.run.config import Config
from utils.run.summaries import averaged_means, selector
from utils.system import seeding
from utils.system.errors import UsageError
from utils.system.files import atomic_write, write_json
from utils.system.imports import quick_import

with quick_import("matplotlib", "scipy"):
    import cma


class GenerationRng:
    """CMA-ES's normal numbers, seeded for each generation, so that a resumed run draws the same ones."""

    def __init__(self, seed: int):
        self._seed = seed
        self.begin(0)

    def begin(self, generation: int) -> None:
        self._generator = seeding.generator(self._seed, "cma", generation)

    def __call__(self, *shape: int) -> np.ndarray:
        return self._generator.standard_normal(shape)


def average(means: Sequence[np.ndarray], count: int) -> np.ndarray:
    """The average of the last `count` of `means`, or of all if there are fewer: float32 (num_parameters,).

    A mean that no longer climbs still wanders, and its average is nearer to what it wanders about: Polyak and
    Juditsky 1992, "Acceleration of stochastic approximation by averaging".
    """
    return np.stack(means[-count:]).mean(axis=0, dtype=np.float64).astype(np.float32)


class EvolutionState:
    """start: the parameters around which the first population is drawn, (num_parameters,)."""

    def __init__(self, config: Config, start: np.ndarray):
        self.generation = 0  # how many are complete
        self.rows: list[dict] = []  # the log
        self.fitness: list[list[float]] = []  # each candidate's score, a list for each generation
        self.mean = start.astype(np.float32)  # of the population
        self.means = [self.mean]  # where it started, and after each generation
        self.best: dict | None = None  # the best mean so far, with its parameters
        self.scores: list[float] = []  # of the generation that is not complete
        self.hard_tracks: list[int] = []  # their seeds, if part of the episodes take place there
        self.rng = GenerationRng(config.evolution_seed)
        options = {
            "popsize": config.population, "CMA_diagonal": config.controller_diagonal, "randn": self.rng,
            "seed": np.nan, "verbose": -10, "verb_log": 0,
        }  # fmt: skip
        self.es = cma.CMAEvolutionStrategy(start.tolist(), config.controller_sigma_init, options)

    def ask(self) -> np.ndarray:
        """The next population, float64 (population, num_parameters)."""
        self.rng.begin(self.generation)
        return np.array(self.es.ask())

    def tell(self, candidates: np.ndarray, scores: np.ndarray) -> None:
        """Updates CMA-ES and the mean. scores: (population,), the higher the better."""
        self.es.tell(list(candidates), list(-scores))  # CMA-ES minimises
        self.mean = self.es.mean.astype(np.float32)
        self.means.append(self.mean)
        self.scores = scores.tolist()

    def averaged(self, count: int) -> np.ndarray:
        """`average` of the generations that were told."""
        return average(self.means[1:], count)

    def complete(self, row: dict) -> None:
        """Ends the generation. row: of the log."""
        self.generation += 1
        self.rows.append(row)
        self.fitness.append(self.scores)
        column = selector(row)
        score = row[column]
        if score is not None and (self.best is None or score > self.best[column]):
            count = averaged_means(row)
            evaluation = {name: value for name, value in row.items() if "evaluation" in name}
            facts = {"generation": self.generation, "averaged_means": count}
            self.best = facts | {"parameters": self.averaged(count)} | evaluation

    @classmethod
    def replayed(cls, config: Config, start: np.ndarray, folder: Path) -> "EvolutionState":
        """The state that the scores in fitness.csv lead to, without an episode.

        To the last bit where the processor and its libraries are those that wrote it, close to it elsewhere.

        start: of the run that wrote them. Raises `UsageError` if its mean.npz is another one.
        """
        state = cls(config, start)
        with open(folder / "log.csv", newline="") as log, open(folder / "fitness.csv", newline="") as fitness:
            for row, scores in zip(csv.DictReader(log), csv.DictReader(fitness), strict=False):
                del scores["generation"]
                state.tell(state.ask(), np.array([float(score) for score in scores.values()]))
                state.complete({name: value if name == "cma_stop" else _number(value) for name, value in row.items()})
        with np.load(folder / "mean.npz", allow_pickle=False) as file:
            generation, difference = int(file["generation"]), np.abs(file["parameters"] - state.mean).max()
        if generation != state.generation or not difference < state.es.sigma / 100:
            raise UsageError(
                f"{folder}: without resume.pkl, and the scores in fitness.csv do not lead to the controller in "
                f"mean.npz (off by {difference:.2g}): another version of cma? Delete it to begin this step again"
            )
        return state

    def frozen(self) -> bytes:
        """What `save` writes: the state as it is now."""
        return pickle.dumps(self)

    def save(self, frozen: bytes, folder: Path) -> None:
        """Writes what `frozen` gave in this generation, and deletes the results of the tasks of all complete ones."""
        with atomic_write(folder / "resume.pkl") as temporary:
            temporary.write_bytes(frozen)
        for path in (folder / "parts").glob("[0-9]*.json"):
            if int(path.name.split("_")[0]) < self.generation:
                path.unlink()

    @staticmethod
    def restore(folder: Path) -> "EvolutionState | None":
        """The state that was saved last, None if there is none.

        Raises `UsageError` if it is damaged, or of an older version of this program.
        """
        path = folder / "resume.pkl"
        if not path.exists():
            return None
        try:
            state = pickle.loads(path.read_bytes())
            for name, value in (("means", [state.mean]), ("hard_tracks", [])):
                vars(state).setdefault(name, value)  # an older version did not keep them
            return state
        except (AttributeError, ImportError) as error:
            raise UsageError(
                f"{path} was written by another version of this program ({error}): finish this run with that version, "
                f"or delete {folder} to begin this step again"
            ) from None
        except (pickle.UnpicklingError, EOFError, IndexError, ValueError) as error:
            raise UsageError(f"{path} is damaged ({error}); delete {folder} to begin this step again") from None


def _number(text: str) -> int | float | None:
    """A field of log.csv, as it was before it was written."""
    if not text:
        return None
    return int(text) if text.isdigit() else float(text)


class FinishedTasks:
    """Results of a generation's tasks as files, so that a kill costs only the tasks in progress."""

    def __init__(self, folder: Path, generation: int):
        self._folder, self._generation = folder / "parts", generation

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._generation:06d}_{name}.json"

    def read(self, name: str) -> TaskResult | None:
        path = self._path(name)
        return TaskResult(**json.loads(path.read_text())) if path.exists() else None

    def write(self, name: str, result: TaskResult) -> None:
        write_json(self._path(name), asdict(result))
