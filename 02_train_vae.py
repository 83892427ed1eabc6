"""Step 2: train V, the variational autoencoder.

V learns to encode a 64x64x3 frame as z, `z_size` numbers drawn from the mu and logvar that it predicts, and to decode
the frame from z. It trains for `vae_num_epoch` epochs on all rollouts but the held-out ones. A run that was stopped
goes on from its last checkpoint.

reads   runs/<exp_name>/rollouts
writes  runs/<exp_name>/vae: vae.weights.h5, log.csv, pictures, TensorBoard's log, state.npz

examples
  python 02_train_vae.py
  python 02_train_vae.py --config config/quickstart.yaml
  python 02_train_vae.py vae_num_epoch=20 vae_precision=float32
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # PYTHONSAFEPATH leaves it out

from utils.run import cli
from utils.run.steps import Step
from utils.system import compute


def main() -> None:
    with cli.step(Step.VAE, __doc__) as (config, run, results):
        compute.start_tensorflow(rows=config.vae_batch_size)
        print(f"V trains on {compute.device(config.vae_precision)}", flush=True)
        from utils.run.summaries import of_vae
        from utils.system.progress import Progress
        from utils.training.train_vae import train_vae

        last = train_vae(config, run, Progress("V", "images"))
        results["V"] = f"{of_vae(last)}: {run.vae_weights}"
        results["what it sees"] = str(run.vae / "reconstructions.png")


if __name__ == "__main__":
    cli.call(main)
