"""Does bfloat16 change what M learns? M of a run, trained from nothing in float32 and in bfloat16.

RUN is a run folder that has done step 3. Shown are M's held-out losses after the same number of updates with the same
batches, each in its own precision, for two seeds, and time steps a second.

examples
  python -m benchmarks.rnn_precision runs/quickstart --updates 250 --store
"""

import argparse
import time

from benchmarks.report import announce, at_least_1, command, store, with_store
from utils.run import cli
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.files import user_path


def main() -> None:
    parser = with_store(command("rnn_precision", __doc__))
    parser.add_argument("run", type=user_path, metavar="RUN", help="run folder that has done step 3")
    parser.add_argument("--updates", type=at_least_1, default=250, metavar="N", help="of M's weights (%(default)s)")
    parser.add_argument("--seeds", type=at_least_1, default=2, metavar="N", help="of M's first weights (%(default)s)")
    arguments = parser.parse_args()
    announce(arguments)
    run = RunFolder(arguments.run)
    compute.start_tensorflow(rows=run.read_config().rnn_batch_size)
    rows = []
    for precision in ("float32", "bfloat16"):
        for seed in range(arguments.seeds):
            rows.append({"precision": precision, "seed": seed, **_train(run, precision, seed, arguments)})
            print(*(f"{value:.5g}" if isinstance(value, float) else value for value in rows[-1].values()), flush=True)
    store(arguments, f"rnn_precision_{run.path.resolve().name}", {"updates": arguments.updates, "rows": rows})


def _train(run: RunFolder, precision: str, seed: int, arguments: argparse.Namespace) -> dict[str, float]:
    import tensorflow as tf

    from utils.agent.checkpoints import build_rnn
    from utils.data.frames import prefetched
    from utils.data.sequences import SequenceSet, split_series
    from utils.training.train_rnn import HELD_OUT_SEQUENCES, make_steps

    config = run.read_config().model_copy(update={"rnn_precision": precision, "seed": seed})
    training, held_out = (SequenceSet(paths, config) for paths in split_series(config, run))
    train_step, losses, _ = make_steps(build_rnn(config), config, compute.parts_at_once(config.rnn_batch_size))
    batches = prefetched(training.batches(0, config.rnn_batch_size, seed), depth=4)
    began = time.perf_counter()
    for step, batch in zip(range(arguments.updates), batches):
        float(train_step(batch, tf.constant(step, tf.int64))["loss"])
    seconds = time.perf_counter() - began
    held = {name: float(v) for name, v in losses(held_out.first(HELD_OUT_SEQUENCES), tf.constant(-1, tf.int64)).items()}
    return held | {"steps_per_second": training.steps_in(arguments.updates, config.rnn_batch_size) / seconds}


if __name__ == "__main__":
    cli.call(main)
