"""Step 4's work: M learns from the series to predict the next step."""

import math
from collections.abc import Callable

import keras
import tensorflow as tf

from models.mdn_loss import MDNLoss
from models.mdn_rnn import MDNRNN, dropout_mask
from models.vae import FrameCodec, kl_per_dimension, sample_z
from utils.agent.checkpoints import build_rnn, dream_model, load_vae, load_weights
from utils.data.frames import prefetched
from utils.data.sequences import Batch, SequenceSet, split_series
from utils.environments import get_spec
from utils.figures import memory
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Series
from utils.run.folder import RunFolder
from utils.run.lineage import previous
from utils.run.steps import Step
from utils.system import compute
from utils.system.progress import Progress
from utils.system.resources import say_memory
from utils.training.adam import Adam
from utils.training.parts import added, part_sizes
from utils.training.trainer import Training

HELD_OUT_SEQUENCES = 50
NUM_LOGS = 40

Losses = dict[str, tf.Tensor]


def train_rnn(config: Config, run: RunFolder, progress: Progress) -> dict[str, float | None]:
    """Trains M for `rnn_num_steps` iterations and writes weights, log and pictures. Returns the last row of the log.

    0 iterations: M of the previous run is taken over as it is, and a random one stays as it is drawn.
    """
    paths = run.series_paths(config)
    training_paths, held_out_paths = split_series(config, run)
    say_memory("the series", sum(path.stat().st_size for path in paths))
    training_set, held_out_set = SequenceSet(training_paths, config), SequenceSet(held_out_paths, config)

    keras.utils.set_random_seed(config.seed)
    rnn = build_rnn(config)
    train_step, losses, optimizer = make_steps(rnn, config, compute.parts_at_once(config.rnn_batch_size))
    variables = rnn.trainable_variables + optimizer.variables
    pictures = _pictures(rnn, held_out_paths, config, run)
    training = Training(run, Step.RNN, variables, NUM_LOGS, config.checkpoint_seconds, pictures)
    if training.step == 0 and config.rnn_start == "previous" and (before := previous(config)):
        before.require(before.rnn_weights, Step.RNN, "this run goes on from its M")
        load_weights(rnn, before.rnn_weights)
        if not config.rnn_num_steps:
            return training.take_over(before.rnn, run.rnn_weights)
    held_out_batch = held_out_set.first(HELD_OUT_SEQUENCES)

    def held_out() -> dict[str, float]:
        return {name: float(value) for name, value in losses(held_out_batch, tf.constant(-1, tf.int64)).items()}

    if not config.rnn_num_steps:
        training.leave_untrained(held_out())
        training.keep_weights(rnn, run.rnn_weights)
        return training.last_row()
    batches = prefetched(training_set.batches(training.step, config.rnn_batch_size, config.draw_seed), depth=4)

    def time_steps(iterations: int) -> int:
        return training_set.steps_in(iterations, config.rnn_batch_size)

    training.run(config.rnn_num_steps, batches, train_step, held_out, progress, time_steps)
    training.keep_weights(rnn, run.rnn_weights)
    return training.last_row()


class DecayByTimeSteps(keras.optimizers.schedules.LearningRateSchedule):
    """`rnn_learning_rate_decay` for each iteration with the longest rows, and less for shorter ones, in proportion."""

    def __init__(self, config: Config):
        self._rate, self._decay = config.rnn_learning_rate, config.rnn_learning_rate_decay
        self._stages = config.row_stages

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        step, longest = tf.cast(step, tf.float32), max(self._stages.values())
        begins, iterations = [first - 1.0 for first in self._stages], tf.zeros_like(step)
        for begin, end, time in zip(begins, [*begins[1:], math.inf], self._stages.values()):
            iterations += tf.clip_by_value(step - begin, 0.0, end - begin) * (time / longest)
        return self._rate * tf.pow(self._decay, iterations)


def _pictures(rnn: MDNRNN, held_out_paths: list, config: Config, run: RunFolder) -> dict[str, Callable]:
    """What is drawn of M while it trains: its predictions in the held-out episode with the most reward."""
    predicts, codec = get_spec(config.env_name).predicts, FrameCodec(load_vae(config, run))
    shown = episodes.load(episodes.most_rewarded(held_out_paths, Series), Series, config)
    dimension = kl_per_dimension(shown.mu, shown.logvar).mean(axis=0).argmax()
    model, temperature = dream_model(rnn, config), config.controller_temperature
    return {
        "mixture": lambda path: memory.save_mixture(rnn, shown, dimension, predicts, "a held-out episode", path),
        "dream": lambda path: memory.save_dream_comparison(codec, model, shown, None, temperature, path),
    }


def make_steps(
    rnn: MDNRNN, config: Config, parts: int = 1
) -> tuple[Callable[[Batch, tf.Tensor], Losses], Callable[[Batch, tf.Tensor], Losses], keras.optimizers.Optimizer]:
    """A compiled training step and compiled held-out losses, of (batch, int64 step) each, and the optimiser.

    parts: of a batch that are worked on at once, `compute.parts_at_once`. The LSTM's steps are too small to share one
        among cores.
    """
    predicts = get_spec(config.env_name).predicts
    optimizer = Adam(DecayByTimeSteps(config), clipvalue=config.rnn_grad_clip)
    variables = rnn.trainable_variables
    optimizer.build(variables)
    mdn_loss = MDNLoss(rnn, predicts)

    def rows(batch: Batch, step: tf.Tensor) -> list[tf.Tensor]:
        """What M reads, what it should predict, and what each step weighs in the two losses, (batch, time, ...) each.

        Step t holds z, the action and the reward before. M predicts the next z and the reward after it.
        """
        noise = tf.random.stateless_normal(tf.shape(batch.mu), seed=tf.stack([config.draw_seed, step]))
        z = sample_z(batch.mu, batch.logvar, noise)
        next_z = tf.pad(z[:, 1:], [[0, 0], [0, 1], [0, 0]])
        has_next = tf.pad(batch.goes_on[:, 1:], [[0, 0], [0, 1]])  # no next z at the end of an episode, and of a row
        weights = (mask / tf.maximum(tf.reduce_sum(mask), 1.0) for mask in (has_next, tf.ones_like(has_next)))
        return [rnn.inputs(z, batch.action, batch.before), batch.goes_on, next_z, batch.reward_or_done, *weights]

    def masks(sizes: list[int], step: tf.Tensor) -> list[tf.Tensor] | list[None]:
        """What h is multiplied by in each part of a batch, (rows, rnn_size) each, if anything."""
        if not config.rnn_dropout:
            return [None] * len(sizes)
        seed = tf.stack([config.draw_seed, -2 - step])  # no seed of `rows`
        uniform = tf.random.stateless_uniform((sum(sizes), config.rnn_size), seed)
        return tf.split(dropout_mask(uniform, config.rnn_dropout), sizes)

    def outputs_and_losses(
        inputs: tf.Tensor, goes_on: tf.Tensor, *of_loss: tf.Tensor, mask: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, ...]:
        """M's raw outputs, the two losses, and the gradient of their sum by the outputs."""

        def flat(array: tf.Tensor) -> tf.Tensor:
            return tf.reshape(array, (-1, *array.shape[2:]))

        outputs = rnn.planes(flat(rnn.hidden(inputs, goes_on, mask)))
        next_z, reward_or_done, next_weight, weight = map(flat, of_loss)
        return outputs, *mdn_loss(outputs, next_z, next_weight, reward_or_done, weight)

    def named(losses: list[list[tf.Tensor]]) -> Losses:
        nll, loss = added(losses)
        return {"loss": nll + loss, "nll": nll, predicts: loss}

    @tf.function(autograph=False)
    def train_step(batch: Batch, step: tf.Tensor) -> Losses:
        sizes = part_sizes(batch.goes_on.shape[0], parts)
        losses, gradients = [], []
        split = zip(*(tf.split(array, sizes) for array in rows(batch, step)))
        for part, mask in zip(split, masks(sizes, step)):
            with tf.GradientTape() as tape:
                outputs, *of_part, upstream = outputs_and_losses(*part, mask=mask)
            losses.append(of_part)
            gradients.append(tape.gradient(outputs, variables, output_gradients=upstream))
        optimizer.apply(added(gradients), variables)
        return named(losses)

    @tf.function(autograph=False)
    def held_out_losses(batch: Batch, step: tf.Tensor) -> Losses:
        _, *losses, _ = outputs_and_losses(*rows(batch, step))
        return named([losses])

    return train_step, held_out_losses, optimizer
