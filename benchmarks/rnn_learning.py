"""How much does M learn in a few minutes, by the shape of its batches and its learning rate?

RUN is a run folder that has done step 3. For each of the given rows x steps x rate, M learns from nothing for the same
time, its learning rate falling to a tenth, and reads the same held-out rows, which are as long as the run's longest
ones. Updates are fewer where batches are larger: that is the question.

examples
  python -m benchmarks.rnn_learning runs/doom_laptop 64x500x1e-3 64x50x1e-3 64x50x4e-3 --seconds 300 --store
"""

import time

from benchmarks.report import announce, at_least_1, command, store, with_store
from utils.run import cli
from utils.run.config import Config
from utils.run.folder import RunFolder
from utils.system import compute
from utils.system.errors import UsageError
from utils.system.files import user_path

WARM_UP = 3  # updates before the clock starts: the first ones compile
LAST_RATE = 0.1  # of the first one


def main() -> None:
    parser = with_store(command("rnn_learning", __doc__))
    parser.add_argument("run", type=user_path, metavar="RUN", help="run folder that has done step 3")
    parser.add_argument("batches", nargs="+", metavar="ROWSxSTEPSxRATE", help="as 64x500x1e-3")
    parser.add_argument("--seconds", type=at_least_1, default=300, metavar="N", help="for each (%(default)s)")
    parser.add_argument("--seeds", type=at_least_1, default=1, metavar="N", help="of M's first weights (%(default)s)")
    arguments = parser.parse_args()
    announce(arguments)
    run = RunFolder(arguments.run)
    config, rows = run.read_config(), []
    batches = {text: _parsed(text) for text in arguments.batches}
    compute.start_tensorflow(rows=max(size for size, *_ in batches.values()))
    for text, (size, steps, rate) in batches.items():
        for seed in range(arguments.seeds):
            settings = {"rnn_batch_size": size, "rnn_max_seq_len": steps, "rnn_learning_rate": rate, "seed": seed}
            rows.append({"batch": text, "seed": seed, **_train(run, config, settings, arguments.seconds)})
            print(*(f"{value:.5g}" if isinstance(value, float) else value for value in rows[-1].values()), flush=True)
    name = f"rnn_learning_{run.path.resolve().name}"
    store(arguments, name, {"seconds": arguments.seconds, "rows": rows})


def _parsed(text: str) -> tuple[int, int, float]:
    try:
        size, steps, rate = text.split("x")
        return int(size), int(steps), float(rate)
    except ValueError:
        raise UsageError(f"{text}: give rows, steps and learning rate, as 64x500x1e-3") from None


def _train(run: RunFolder, config: Config, settings: dict, seconds: int) -> dict[str, float]:
    import keras
    import tensorflow as tf

    from utils.agent.checkpoints import build_rnn
    from utils.data.frames import prefetched
    from utils.data.sequences import SequenceSet, split_series
    from utils.training.train_rnn import HELD_OUT_SEQUENCES, make_steps

    class Falling(keras.optimizers.schedules.LearningRateSchedule):
        """A learning rate that is set by the clock."""

        def __init__(self) -> None:
            self.rate = tf.Variable(settings["rnn_learning_rate"], trainable=False)

        def __call__(self, step: tf.Tensor) -> tf.Tensor:
            return self.rate

    training_paths, held_out_paths = split_series(run.read_config(), run)
    held_out = SequenceSet(held_out_paths, config).first(HELD_OUT_SEQUENCES)
    config = config.model_copy(update=settings)
    keras.utils.set_random_seed(config.seed)
    train_step, losses, optimizer = make_steps(build_rnn(config), config, compute.parts_at_once(config.rnn_batch_size))
    optimizer._learning_rate = falling = Falling()
    batches = prefetched(SequenceSet(training_paths, config).batches(0, config.rnn_batch_size, config.seed), depth=4)
    for step, batch in enumerate(batches):
        if step == WARM_UP:
            began = time.perf_counter()
        elif step > WARM_UP:
            share = (time.perf_counter() - began) / seconds
            if share >= 1:
                break
            falling.rate.assign(config.rnn_learning_rate * LAST_RATE**share)
        float(train_step(batch, tf.constant(step, tf.int64))["loss"])  # waits for it
    held = {name: float(value) for name, value in losses(held_out, tf.constant(-1, tf.int64)).items()}
    return {"updates": step, **held}


if __name__ == "__main__":
    cli.call(main)
