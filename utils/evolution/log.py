"""What the evolution shows of itself: a line, two tables, TensorBoard, a picture, and the agent so far."""

import time

from utils.agent.checkpoints import save_parameters
from utils.environments import get_spec
from utils.evolution.state import EvolutionState
from utils.figures.control import save_weights
from utils.figures.learning_curve import save_learning_curve
from utils.figures.style import PICTURE_SECONDS
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.system.files import write_csv


class EvolutionLog:
    """The files here are made from the state as a whole, so that they cannot disagree with it."""

    def __init__(self, config: Config, run: RunFolder):
        self._config, self._run = config, run
        self._course = get_spec(config.env_name).episode_noun
        self._drawn = time.monotonic()

    def write(self, state: EvolutionState) -> None:
        """After each generation."""
        row = state.rows[-1]
        drawing = row["evaluation_mean"] is not None or time.monotonic() - self._drawn > PICTURE_SECONDS
        self.write_files(state, drawing)
        print(self._line(row, state), flush=True)
        self._write_tensorboard(row, drawing)
        if drawing:
            self._drawn = time.monotonic()

    def write_files(self, state: EvolutionState, drawing: bool = True) -> None:
        """The controllers; log.csv: a row a generation; fitness.csv: every candidate's score in full precision;
        with `drawing` the pictures."""
        folder = self._run.controller
        save_parameters(folder / "mean.npz", state.mean, generation=state.generation)
        if state.best:
            save_parameters(folder / "best.npz", **state.best)
        names = list(state.rows[-1])  # the run may have begun under a version that logged less
        write_csv(folder / "log.csv", names, ([row.get(name) for name in names] for row in state.rows))
        header = ["generation", *(f"candidate_{i}" for i in range(len(state.fitness[0])))]
        write_csv(folder / "fitness.csv", header, ([i + 1, *scores] for i, scores in enumerate(state.fitness)))
        if drawing:
            earlier = self._run.earlier_log()
            save_learning_curve(state.rows, self._config, folder / "learning_curve.png", earlier)
            which = f"the latest mean, generation {state.generation}"
            save_weights(state.mean, self._config, get_spec(self._config.env_name), which, folder / "weights.png")

    def _line(self, row: dict, state: EvolutionState) -> str:
        left = (self._config.controller_num_generation - state.generation) * row["seconds"] / state.generation
        line = (
            f"generation {row['generation']}/{self._config.controller_num_generation}: "
            f"mean {row['reward_mean']:.1f}, best {row['reward_max']:.1f}, worst {row['reward_min']:.1f}, "
            f"sigma {row['sigma']:.3f}, {row['steps'] / row['worker_seconds'] * row['worker_ranks']:.0f} steps/s, "
            f"{row['generation_seconds']:.0f} s, {left / 60:.0f} min left"
        )
        if row["reward_min"] == row["reward_max"]:
            line += "\n  all candidates scored the same: CMA-ES learns nothing from this generation"
        if row["cma_stop"]:
            line += f"\n  CMA-ES would stop here: {row['cma_stop']}"
        if row["evaluation_mean"] is not None:
            if "dream_evaluation_mean" in row:
                line += "\n  in the dream: {dream_evaluation_mean:.1f} +- {dream_evaluation_std:.1f}".format(**row)
            line += (
                f"\n  the mean of the population on {self._config.controller_eval_episode} {self._course}s for "
                f"evaluation: {row['evaluation_mean']:.1f} +- {row['evaluation_std']:.1f} "
                f"(best so far {state.best['evaluation_mean']:.1f}, generation {state.best['generation']}); "
                f"the largest worker holds {row['worker_memory_mb']:.0f} MB"
            )
        return line

    def open_tensorboard(self) -> None:
        from utils.system.compute import start_tensorflow

        self._tf = start_tensorflow(threads=1)
        self._tensorboard = self._tf.summary.create_file_writer(str(self._run.controller / "tensorboard"))

    def _write_tensorboard(self, row: dict, drawn: bool) -> None:
        with self._tensorboard.as_default(step=row["generation"]):
            for name, value in row.items():
                if value is not None and name not in ("generation", "cma_stop"):
                    self._tf.summary.scalar(f"controller/{name}", value)
            for name in ("learning_curve", "weights") if drawn else ():
                picture = (self._run.controller / f"{name}.png").read_bytes()
                self._tf.summary.image(f"controller/{name}", self._tf.io.decode_png(picture, channels=3)[None])
        self._tensorboard.flush()
