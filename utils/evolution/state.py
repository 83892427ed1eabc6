"""Where the evolution stands: everything a killed run needs to go on as if nothing had happened.

resume.pkl is a pickle, since CMA-ES's object has no other form. It is read only from the run's own folder, to
go on with that run: never take one from somebody else. Agents are shared as best.npz, which is no pickle.
"""

import json
import pickle
from dataclasses import asdict
from pathlib import Path

import cma
import numpy as np

from utils.evolution.tasks import TaskResult
from utils.run.config import Config
from utils.system import seeding
from utils.system.errors import UsageError
from utils.system.files import atomic_write, write_json


class GenerationRng:
    """CMA-ES's source of normal numbers, set anew for each generation, so that a resumed run draws the same."""

    def __init__(self, seed: int):
        self._seed = seed
        self.begin(0)

    def begin(self, generation: int) -> None:
        self._generator = seeding.generator(self._seed, "cma", generation)

    def __call__(self, *shape: int) -> np.ndarray:
        return self._generator.standard_normal(shape)


class EvolutionState:
    """generation: how many are complete. rows: the log. mean: the parameters in the middle of the population.
    best: the evaluation that scored best so far, with its parameters, or None."""

    def __init__(self, config: Config, start: np.ndarray):
        """start: the parameters that the first population is drawn around, (num_parameters,)."""
        self.generation = 0
        self.rows: list[dict] = []
        self.fitness: list[list[float]] = []  # each candidate's score, a list a generation
        self.mean = np.float32(start)
        self.best: dict | None = None
        self.draws = GenerationRng(config.draw_seed)
        options = {
            "popsize": config.population, "CMA_diagonal": config.controller_diagonal, "randn": self.draws,
            "seed": np.nan, "verbose": -10, "verb_log": 0,
        }  # fmt: skip
        self.es = cma.CMAEvolutionStrategy(start.tolist(), config.controller_sigma_init, options)

    def ask(self) -> np.ndarray:
        """The next population, float64 (population, num_parameters)."""
        self.draws.begin(self.generation)
        return np.array(self.es.ask())

    def save(self, folder: Path) -> None:
        with atomic_write(folder / "resume.pkl") as aside:
            aside.write_bytes(pickle.dumps(self))
        for path in (folder / "parts").glob("[0-9]*.json"):
            if int(path.name.split("_")[0]) < self.generation:
                path.unlink()

    @staticmethod
    def restore(folder: Path) -> "EvolutionState | None":
        """The state that was saved last, None if there is none. Raises `UsageError` if it is damaged."""
        path = folder / "resume.pkl"
        if not path.exists():
            return None
        try:
            return pickle.loads(path.read_bytes())
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, ValueError) as error:
            raise UsageError(f"{path} is damaged ({error}); delete {folder} to begin this step again") from None


class FinishedTasks:
    """Results of a generation's parts as they come in, on disk, so that a kill costs at most the parts in flight."""

    def __init__(self, folder: Path, generation: int):
        self._folder, self._generation = folder / "parts", generation

    def _path(self, name: str) -> Path:
        return self._folder / f"{self._generation:06d}_{name}.json"

    def read(self, name: str) -> TaskResult | None:
        path = self._path(name)
        return TaskResult(**json.loads(path.read_text())) if path.exists() else None

    def write(self, name: str, result: TaskResult) -> None:
        write_json(self._path(name), asdict(result))
