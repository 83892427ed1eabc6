"""Step 4's work: M learns from the series to predict the next step."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from models.mdn_rnn import MDNRNN, mdn_rnn_losses
from models.vae import FrameCodec, kl_per_dimension, sample_z
from utils.agent.checkpoints import build_rnn, load_vae, load_weights
from utils.data.frames import prefetched
from utils.data.sequences import Batch, SequenceSet
from utils.environments import get_spec
from utils.figures import memory
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Series
from utils.run.folder import RunFolder, previous
from utils.run.steps import Step
from utils.system import seeding
from utils.system.progress import Progress
from utils.system.resources import say_memory
from utils.training.trainer import Training

HELD_OUT_SEQUENCES = 50
NUM_LOGS = 40

Losses = dict[str, tf.Tensor]


def train_rnn(config: Config, run: RunFolder, progress: Progress) -> dict[str, float | None]:
    """Trains M for `rnn_num_steps` iterations and writes weights, log and pictures. Returns the last row of the log.

    0 iterations: M of the previous run is taken over as it is.
    """
    paths = run.series_paths(config)
    training_paths, held_out_paths = episodes.split(paths, config.held_out_fraction)
    say_memory("the series", sum(path.stat().st_size for path in paths))
    training_set, held_out_set = SequenceSet(training_paths, config), SequenceSet(held_out_paths, config)

    keras.utils.set_random_seed(config.seed)
    rnn = build_rnn(config)
    train_step, losses, optimizer = make_steps(rnn, config)
    variables = rnn.trainable_variables + optimizer.variables
    pictures = _pictures(rnn, held_out_paths, config, run)
    training = Training(run.rnn, variables, NUM_LOGS, config.checkpoint_seconds, pictures)
    if training.step == 0 and (before := previous(config)):
        before.require(before.rnn_weights, Step.RNN, "this run goes on from its M")
        load_weights(rnn, before.rnn_weights)
        if not config.rnn_num_steps:
            return training.take_over(before.rnn, run.rnn_weights)
    held_out_batch = held_out_set.batch(
        np.arange(min(len(held_out_set), HELD_OUT_SEQUENCES)), seeding.generator(config.seed, "held-out sequences")
    )

    def held_out() -> dict[str, float]:
        return {name: float(value) for name, value in losses(held_out_batch, tf.constant(-1, tf.int64)).items()}

    batches = prefetched(training_set.batches(training.step, config.rnn_batch_size, config.draw_seed), depth=4)
    steps_per_batch = config.rnn_batch_size * training_set.time
    training.run(config.rnn_num_steps, batches, train_step, held_out, progress, steps_per_batch)
    training.keep_weights(rnn, run.rnn_weights)
    return training.last_row()


def _pictures(rnn: MDNRNN, held_out_paths: list, config: Config, run: RunFolder) -> dict[str, Callable]:
    """What is drawn of M while it trains: its predictions in the held-out episode with the most reward."""
    predicts, codec = get_spec(config.env_name).predicts, FrameCodec(load_vae(config, run))
    shown = episodes.load(episodes.most_rewarded(held_out_paths, Series), Series, config)
    dimension = kl_per_dimension(shown.mu, shown.logvar).mean(axis=0).argmax()
    temperature = config.controller_temperature
    return {
        "mixture": lambda path: memory.save_mixture(rnn, shown, dimension, predicts, path),
        "dream": lambda path: memory.save_dream_comparison(codec, rnn, predicts, shown, None, temperature, path),
    }


def make_steps(
    rnn: MDNRNN, config: Config
) -> tuple[Callable[[Batch, tf.Tensor], Losses], Callable[[Batch, tf.Tensor], Losses], keras.optimizers.Optimizer]:
    """A compiled training step and compiled held-out losses, of (batch, int64 step) each, and the optimiser."""
    predicts = get_spec(config.env_name).predicts
    rate = keras.optimizers.schedules.ExponentialDecay(config.rnn_learning_rate, 1, config.rnn_learning_rate_decay)
    optimizer = keras.optimizers.Adam(rate, clipvalue=config.rnn_grad_clip)
    variables = rnn.trainable_variables
    optimizer.build(variables)

    def forward(batch: Batch, step: tf.Tensor) -> Losses:
        """Row t holds z, the action and the reward before it. M predicts the next z and the reward after it."""
        noise = tf.random.stateless_normal(tf.shape(batch.mu), seed=tf.stack([config.draw_seed, step]))
        z = sample_z(batch.mu, batch.logvar, noise)
        before = tf.pad(batch.reward_or_done[:, :-1], [[0, 0], [1, 0]])
        hidden = rnn.hidden(rnn.inputs(z, batch.action, before))
        next_z = tf.pad(z[:, 1:], [[0, 0], [0, 1], [0, 0]])
        next_mask = tf.pad(batch.mask[:, 1:], [[0, 0], [0, 1]])  # the last step of an episode has no next z
        # Padding is most of a batch of short episodes, and the mixture takes a fifth of a step: leave padding out.
        valid = tf.where(batch.mask > 0)
        hidden, next_z, next_mask, reward_or_done = (
            tf.gather_nd(array, valid) for array in (hidden, next_z, next_mask, batch.reward_or_done)
        )
        mixture, prediction = rnn.split(rnn.outputs_of(hidden))
        nll, loss = mdn_rnn_losses(mixture, prediction, next_z, reward_or_done, next_mask, predicts)
        return {"loss": nll + loss, "nll": nll, predicts: loss}

    @tf.function
    def train_step(batch: Batch, step: tf.Tensor) -> Losses:
        with tf.GradientTape() as tape:
            losses = forward(batch, step)
        optimizer.apply(tape.gradient(losses["loss"], variables), variables)
        return losses

    @tf.function
    def held_out_losses(batch: Batch, step: tf.Tensor) -> Losses:
        return forward(batch, step)

    return train_step, held_out_losses, optimizer
