"""Step 4's work: M learns from the series what comes next."""

from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from models.mdn_rnn import MDNRNN, mdn_rnn_losses
from models.vae import kl_per_dimension, sample_z
from utils.data.frames import prefetched
from utils.environments import get_spec
from utils.figures import memory
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Series
from utils.run.folder import RunFolder, previous
from utils.system import compute, seeding
from utils.system.progress import Progress
from utils.system.resources import say_memory
from utils.training.train_vae import load_vae
from utils.training.trainer import Training, load_weights

HELD_OUT_SEQUENCES = 50
NUM_LOGS = 40


class Batch(NamedTuple):
    """float32. mu, logvar: (batch, time, z_size); action: (batch, time, action_size); reward_or_done, the reward or end
    that came of the action, and mask, 1 where the episode has a step: (batch, time)."""

    mu: np.ndarray
    logvar: np.ndarray
    action: np.ndarray
    reward_or_done: np.ndarray
    mask: np.ndarray


class SequenceSet:
    """Series in memory, 0.3 KB a step at z_size 32, dealt out as padded batches of episodes or random pieces."""

    def __init__(self, paths, config: Config):
        series = [episodes.load(path, Series, config) for path in paths]
        predicts = get_spec(config.env_name).predicts
        self._lengths = np.array([len(s.mu) for s in series])
        self._begins = np.concatenate([[0], np.cumsum(self._lengths)[:-1]])
        self._arrays = [np.concatenate([getattr(s, name) for s in series]) for name in ("mu", "logvar", "action")]
        self._arrays.append(np.concatenate([getattr(s, predicts) for s in series]).astype(np.float32))
        self.time = int(min(config.rnn_max_seq_len, self._lengths.max()))

    def __len__(self) -> int:
        return len(self._lengths)

    def batch(self, chosen: np.ndarray, rng: np.random.Generator) -> Batch:
        """The episodes `chosen`, each from its start, or a random piece if it is longer than `time`.

        The piece lies anywhere that it touches the episode, and is then moved into it: beginnings and ends, which is
        where dreams start and what M must foretell, are seen as often as the steps between.
        """
        lengths = self._lengths[chosen]
        spare = np.maximum(lengths - self.time, 0)
        begins = self._begins[chosen] + np.clip(rng.integers(1 - self.time, lengths), 0, spare)
        mask = np.arange(self.time) < np.minimum(self._lengths[chosen], self.time)[:, None]
        rows = np.where(mask, begins[:, None] + np.arange(self.time), 0)
        arrays = [array[rows] * mask.reshape(mask.shape + (1,) * (array.ndim - 1)) for array in self._arrays]
        return Batch(*arrays, mask.astype(np.float32))

    def batches(self, first_step: int, size: int, seed: int) -> Iterator[Batch]:
        """Endless; each batch depends on (seed, step) alone."""
        step = first_step
        while True:
            rng = seeding.generator(seed, "sequences", step)
            chosen = rng.choice(len(self), size, replace=len(self) < size)
            yield self.batch(chosen, rng)
            step += 1


def train_rnn(config: Config, run: RunFolder, progress: Progress) -> dict[str, float]:
    """Trains M up to `rnn_num_steps` iterations and writes weights and log. Returns the last log row.

    0 iterations: M of the previous run is taken over as it is.
    """
    paths = run.series_paths(config)
    training_paths, held_out_paths = episodes.split(paths, config.held_out_fraction)
    say_memory("the series", sum(path.stat().st_size for path in paths))
    training_set, held_out_set = SequenceSet(training_paths, config), SequenceSet(held_out_paths, config)

    keras.utils.set_random_seed(config.seed)
    model = build_rnn(config)
    train_step, losses, optimizer = make_steps(model, config)
    variables = model.trainable_variables + optimizer.variables
    predicts, vae = get_spec(config.env_name).predicts, load_vae(config, run)
    shown = episodes.load(episodes.most_rewarded(held_out_paths, Series), Series, config)
    dimension = kl_per_dimension(shown.mu, shown.logvar).mean(axis=0).argmax()
    training = Training(
        run.rnn, variables, NUM_LOGS, config.checkpoint_seconds,
        {
            "mixture": lambda path: memory.save_mixture(model, shown, dimension, predicts, path),
            "dream": lambda path: memory.save_dream_comparison(
                vae, model, predicts, shown, None, config.controller_temperature, path
            ),
        },
    )  # fmt: skip
    if training.step == 0 and (before := previous(config)):
        before.require(before.rnn_weights, 4, "this run goes on from its M")
        load_weights(model, before.rnn_weights)
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
    training.keep_weights(model, run.rnn_weights)
    return training.last_row()


def build_rnn(config: Config) -> MDNRNN:
    return MDNRNN(
        config.z_size,
        get_spec(config.env_name).action_size,
        config.rnn_size,
        config.rnn_num_mixture,
        compute.precision(config.rnn_precision),
        config.seed,
        name="mdn_rnn",
    )


def make_steps(model: MDNRNN, config: Config):
    """A compiled training step and held-out losses, (batch, int64 step) to losses each, and the optimiser."""
    predicts = get_spec(config.env_name).predicts
    rate = keras.optimizers.schedules.ExponentialDecay(config.rnn_learning_rate, 1, config.rnn_learning_rate_decay)
    optimizer = keras.optimizers.Adam(rate, clipvalue=config.rnn_grad_clip)
    variables = model.trainable_variables
    optimizer.build(variables)

    def forward(batch: Batch, step):
        """Row t sees z, action and the reward_or_done before it, and is asked for the next z and the reward_or_done after."""
        noise = tf.random.stateless_normal(tf.shape(batch.mu), seed=tf.stack([config.draw_seed, step]))
        z = sample_z(batch.mu, batch.logvar, noise)
        before = tf.pad(batch.reward_or_done[:, :-1], [[0, 0], [1, 0]])
        hidden = model.hidden(tf.concat([z, batch.action, before[..., None]], axis=-1))
        next_z = tf.pad(z[:, 1:], [[0, 0], [0, 1], [0, 0]])
        next_mask = tf.pad(batch.mask[:, 1:], [[0, 0], [0, 1]])  # of an episode's last step no next z is known
        # The mixture takes a fifth of a step, and padding is most of a batch of short episodes: left out of it.
        there = tf.where(batch.mask > 0)
        hidden, next_z, next_mask, reward_or_done = (
            tf.gather_nd(of, there) for of in (hidden, next_z, next_mask, batch.reward_or_done)
        )
        outputs = model.outputs_of(hidden)
        nll, prediction = mdn_rnn_losses(
            model, outputs, next_z, reward_or_done, next_mask, tf.ones_like(reward_or_done), predicts
        )
        return {"loss": nll + prediction, "nll": nll, predicts: prediction}

    @tf.function
    def train_step(batch, step):
        with tf.GradientTape() as tape:
            losses = forward(batch, step)
        optimizer.apply(tape.gradient(losses["loss"], variables), variables)
        return losses

    @tf.function
    def held_out_losses(batch, step):
        return forward(batch, step)

    return train_step, held_out_losses, optimizer


def load_rnn(config: Config, run: RunFolder) -> MDNRNN:
    """The trained M of a run."""
    model = build_rnn(config)
    load_weights(model, run.rnn_weights)
    return model
