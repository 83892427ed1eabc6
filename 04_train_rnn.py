"""Step 4: train M, the MDN-RNN.

M reads a series step by step: z, drawn from mu and logvar for each batch, the action and the last reward (or end). It
learns to predict the next z, as a mixture of normal distributions for each of its numbers, and the reward (or end). A
run that was stopped goes on from its last checkpoint.

reads   runs/<exp_name>/series; vae, to draw what M dreams
writes  runs/<exp_name>/rnn: rnn.weights.h5, log.csv, pictures, TensorBoard's log, state.npz

examples
  python 04_train_rnn.py
  python 04_train_rnn.py --config config/quickstart.yaml
  python 04_train_rnn.py rnn_num_steps=500 rnn_batch_size=50
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from utils.run import cli
from utils.run.steps import Step
from utils.system import compute


def main() -> None:
    with cli.step(Step.RNN, __doc__) as (config, run, results):
        compute.start_tensorflow(rows=config.rnn_batch_size)
        print(f"M trains on {compute.device(config.rnn_precision)}", flush=True)
        from utils.environments import get_spec
        from utils.run.summaries import of_rnn
        from utils.system.progress import Progress
        from utils.training.train_rnn import train_rnn

        last = train_rnn(config, run, Progress("M", "steps"))
        results["M"] = f"{of_rnn(last, get_spec(config.env_name).predicts)}: {run.rnn_weights}"
        results["what it expects"] = str(run.rnn / "mixture.png")


if __name__ == "__main__":
    cli.call(main)
