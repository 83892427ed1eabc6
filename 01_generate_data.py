"""Step 1: collect random rollouts.

`parallel_processes` processes play `max_trials` episodes each, of at most `max_frames` steps, with the environment's
exploration policy. The score does not matter: V learns to see from the frames, M learns the dynamics from the
sequences.

With `previous_run` the rollouts of another run are taken over. With `rollout_policy=controller` the trained
controller of that run plays the new ones, with noise on its actions, so that M learns the states that C visits.

Under mpiexec or srun all MPI ranks but the first play, on any number of hosts that share the run folder. There are
still `parallel_processes` x `max_trials` episodes, the same ones.

reads   nothing, or previous_run
writes  runs/<exp_name>/config.yaml and rollouts/episode_*.npz (obs, action, reward, done)

examples
  python 01_generate_data.py
  python 01_generate_data.py --config config/quickstart.yaml
  python 01_generate_data.py exp_name=small parallel_processes=2 max_trials=50
  mpiexec -n 65 python 01_generate_data.py
  python 01_generate_data.py exp_name=second previous_run=runs/first rollout_policy=controller max_trials=250
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from utils.data.collect import collect
from utils.data.ranks import ranks_that_play
from utils.run import cli
from utils.run.steps import Step
from utils.system.progress import Progress


def main() -> None:
    with ranks_that_play() as (leads, ranks):
        if leads:
            with cli.step(Step.ROLLOUTS, __doc__) as (config, run, results):
                frames = collect(config, run, Progress("rollouts", "episodes"), ranks)
                results["rollouts"] = f"{config.num_episodes} episodes, {frames} frames in {run.rollouts}"


if __name__ == "__main__":
    cli.call(main)
