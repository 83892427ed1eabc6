"""What the evolution reports after each generation: a line, two tables, TensorBoard, pictures and the controllers."""

import time
from functools import cached_property

import numpy as np

from utils.agent.controllers import save_controller
from utils.environments import get_spec
from utils.evolution.state import EvolutionState
from utils.evolution.tasks import ScheduledTask
from utils.figures.control import save_weights
from utils.figures.learning_curve import save_learning_curve
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.system.event_log import EventLog
from utils.system.files import write_csv, write_npz
from utils.system.progress import PICTURE_SECONDS


class EvolutionLog:
    """All files are written from the whole state, so that they always agree with it."""

    def __init__(self, config: Config, run: RunFolder):
        self._config, self._run = config, run
        self._spec = get_spec(config.env_name)
        self._drawn = time.monotonic()

    def write(self, state: EvolutionState) -> None:
        """After each generation. While a thread is at it, `state.tell` and `state.complete` have to wait."""
        row = state.rows[-1]
        drawing = row["evaluation_mean"] is not None or time.monotonic() - self._drawn > PICTURE_SECONDS
        self.write_files(state, drawing)
        self._write_tensorboard(row, drawing)
        if drawing:
            self._drawn = time.monotonic()

    def write_files(self, state: EvolutionState, drawing: bool = True) -> None:
        """Writes the controllers, log.csv (a row for each generation) and fitness.csv (the score of each candidate).

        drawing: also the pictures.
        """
        folder = self._run.controller
        save_controller(folder / "mean.npz", state.mean, generation=state.generation)
        if state.best:
            save_controller(folder / "best.npz", **state.best)
        names = list(state.rows[-1])  # an older version logged less
        write_csv(folder / "log.csv", names, ([row.get(name) for name in names] for row in state.rows))
        header = ["generation", *(f"candidate_{i}" for i in range(len(state.fitness[0])))]
        write_csv(folder / "fitness.csv", header, ([i + 1, *scores] for i, scores in enumerate(state.fitness)))
        if drawing:
            write_npz(self._run.means, means=np.stack(state.means), generation=state.generation)
            earlier = self._run.earlier_log()
            save_learning_curve(state.rows, self._config, folder / "learning_curve.png", earlier)
            which = f"the latest mean, generation {state.generation}"
            save_weights(state.mean, self._config.controller, self._spec, which, folder / "weights.png")

    def write_generation(self, state: EvolutionState, candidates: np.ndarray, schedule: list[ScheduledTask]) -> None:
        """Writes a population with its scores, and which worker scored which part of it when, for a figure.

        candidates: (population, num_parameters), told already.
        """
        path = self._run.population(state.generation + 1)
        write_npz(path, candidates=candidates.astype(np.float16), scores=np.array(state.scores))
        write_csv(self._run.schedule, ScheduledTask._fields, schedule)

    def line(self, state: EvolutionState) -> str:
        """What to print after a generation."""
        row = state.rows[-1]
        left = (self._config.controller_num_generation - state.generation) * row["seconds"] / state.generation
        lines = [
            f"generation {row['generation']}/{self._config.controller_num_generation}: "
            f"mean {row['reward_mean']:.1f}, best {row['reward_max']:.1f}, worst {row['reward_min']:.1f}, "
            f"sigma {row['sigma']:.3f}, {row['steps'] / row['worker_seconds'] * row['worker_ranks']:.0f} steps/s, "
            f"{row['generation_seconds']:.0f} s, {left / 60:.0f} min left"
        ]
        if row["reward_min"] == row["reward_max"]:
            lines.append("  all candidates scored the same: CMA-ES learns nothing from this generation")
        if row["cma_stop"]:
            lines.append(f"  CMA-ES would stop here: {row['cma_stop']}")
        if row.get("dream_evaluation_mean") is not None:
            lines.append("  in the dream: {dream_evaluation_mean:.1f} +- {dream_evaluation_std:.1f}".format(**row))
        if row.get("judge_evaluation_mean") is not None and state.best:
            lines.append(
                "  in the judge's dream: {judge_evaluation_mean:.1f} +- {judge_evaluation_std:.1f}".format(**row)
                + f" (best so far {state.best['judge_evaluation_mean']:.1f}, generation {state.best['generation']})"
            )
        if row["evaluation_mean"] is not None and state.best:
            count = row["averaged_means"]
            evaluated = f"the average of the last {count} means" if count > 1 else "the mean of the population"
            lines.append(
                f"  {evaluated} on {self._config.controller_eval_episode} {self._spec.episode_noun}s "
                f"for evaluation: {row['evaluation_mean']:.1f} +- {row['evaluation_std']:.1f} "
                f"(that of generation {state.best['generation']}, the best so far, "
                f"{state.best['evaluation_mean']:.1f}); "
                f"the largest worker uses {row['worker_memory_mb']:.0f} MB"
            )
        return "\n".join(lines)

    @cached_property
    def _tensorboard(self) -> EventLog:
        return EventLog(self._run.controller)

    def _write_tensorboard(self, row: dict, drawn: bool) -> None:
        numbers = {name: value for name, value in row.items() if name not in ("generation", "cma_stop")}
        self._tensorboard.scalars(row["generation"], numbers)
        for name in ("learning_curve", "weights") if drawn else ():
            self._tensorboard.image(row["generation"], self._run.controller / f"{name}.png")
        self._tensorboard.flush()
