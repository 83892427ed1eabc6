"""Step 5: train C, the controller, with CMA-ES.

The orchestrator asks a cma object for a population of `controller_num_worker` x `controller_num_worker_trial`
candidates. Workers play `controller_num_episode` episodes with each, with V and M, and the scores go back into the
cma object. Every `controller_eval_steps` generations the mean of the population plays on evaluation tracks, the same
each time and never used for training; the best one is kept. With `controller_num_mean` it is an average of the means
of so many last generations. A run that was stopped goes on where it was.

With `controller_environment=dream` C trains in M's dream, without a real step. The mean of the population is then
evaluated in the dream and in the real environment, to show whether C cheats the dream. C is then the last mean, or
the one that scored best in the dreams of `controller_judge_run`: no real score selects it.

reads   runs/<exp_name>/vae and rnn; for dreams series, and the M of each run that `controller_num_rnn` or
        `controller_judge_run` asks for
writes  runs/<exp_name>/controller: best.npz, mean.npz, log.csv, fitness.csv, pictures, TensorBoard's log,
        resume.pkl

examples
  python 05_train_controller.py
  python 05_train_controller.py --config config/quickstart.yaml --workers 2
  python 05_train_controller.py --config config/carracing_dream.yaml controller_temperature=1.15
  mpiexec -n 9 python 05_train_controller.py controller_num_generation=400
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from utils.evolution import single_thread_blas  # noqa: F401  isort: skip
from utils.evolution.session import evolve, worker_option
from utils.run import cli


def main() -> int:
    parser = cli.parser(__doc__)
    worker_option(parser)
    return evolve(parser)


if __name__ == "__main__":
    cli.call(main)
