"""Step 3: encode the rollouts with V.

V encodes each frame as the mu and logvar of its z. They are stored with the action, reward and done of the step: a
series. The first frames are stored once more, for dreams to start from. With `encoded_trials` each of
`parallel_processes` processes plays that many more episodes as in step 1, which are encoded as they are played: M may
need many more episodes than V needs frames. A run that goes on from another one with the same V takes its series over.
Under mpiexec or srun all ranks but the first play these episodes, on several hosts as well.

reads   runs/<exp_name>/rollouts and vae
writes  runs/<exp_name>/series: episode_*.npz, played_*.npz (mu, logvar, action, reward, done), starts.npz

examples
  python 03_generate_rnn_data.py
  python 03_generate_rnn_data.py --config config/quickstart.yaml
  python 03_generate_rnn_data.py exp_name=small parallel_processes=2 max_trials=50
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from utils.data.ranks import ranks_that_play
from utils.run import cli
from utils.run.steps import Step
from utils.system import compute


def main() -> None:
    with ranks_that_play() as (leads, ranks):
        if leads:
            with cli.step(Step.SERIES, __doc__) as (config, run, results):
                compute.start_tensorflow()
                from utils.data.encode import encode_rollouts
                from utils.system.progress import Progress

                frames = encode_rollouts(config, run, Progress("series", "episodes"), ranks)
                count = config.num_episodes + config.num_encoded
                results["series"] = f"{count} episodes, {frames} frames in {run.series}"


if __name__ == "__main__":
    cli.call(main)
