"""Step 5: train C, the controller, with CMA-ES.

The orchestrator asks a cma object for a population of `controller_num_worker` x `controller_num_worker_trial`
candidates; workers drive each of them through `controller_num_episode` episodes with V and M; the scores go
back into the cma object. Every `controller_eval_steps` generations the mean of the population drives on
tracks kept for that, the same each time and never trained on; the best one is kept. A run that was stopped
goes on where it was.

With `controller_environment=dream` C trains in M's dream and never drives while it learns; the mean of the
population is then evaluated in both worlds, so that a C that only cheats the dream is seen.

reads   runs/<exp_name>/vae and rnn; for dreams series/starts.npz
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

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which PYTHONSAFEPATH leaves out

from utils.evolution import single_thread_blas  # noqa: F401  isort: skip
from utils.evolution import ranks
from utils.evolution.session import evolve
from utils.run import cli


def main() -> int:
    parser = cli.parser(__doc__)
    ranks.worker_option(parser)
    return evolve(parser)


if __name__ == "__main__":
    cli.call(main)
