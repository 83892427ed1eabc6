"""Step 2's work: V learns from frames that are streamed from the rollouts."""

import math
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from models.vae import VAE, FrameCodec, images_from_obs, sample_z, vae_losses
from utils.agent.checkpoints import load_weights, new_vae
from utils.data.frames import FrameStream, prefetched
from utils.figures import vision
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Rollout
from utils.run.folder import RunFolder
from utils.run.lineage import previous
from utils.run.steps import Step
from utils.system import compute, seeding
from utils.system.errors import UsageError
from utils.system.progress import Progress
from utils.system.resources import say_memory
from utils.training.adam import Adam
from utils.training.parts import added, part_sizes
from utils.training.trainer import Training

HELD_OUT_FRAMES = 1000  # for the held-out losses
LOGS_PER_EPOCH = 5

Losses = dict[str, tf.Tensor]
Compiled = Callable[[tf.Tensor, tf.Tensor], Losses]


def train_vae(config: Config, run: RunFolder, progress: Progress) -> dict[str, float | None]:
    """Trains V for `vae_num_epoch` epochs and writes weights, log and pictures. Returns the last row of the log.

    0 epochs: V of the previous run is taken over as it is.
    """
    training_paths, held_out_paths = episodes.split(run.rollout_paths(config), config.held_out_fraction)
    stream = FrameStream(training_paths, config.vae_batch_size, config.vae_shuffle_frames, config.draw_seed)
    if stream.num_frames < config.vae_batch_size:
        raise UsageError(f"{stream.num_frames} frames do not fill a batch of vae_batch_size {config.vae_batch_size}")

    frames = 3 * min(config.vae_shuffle_frames, stream.num_frames)
    say_memory("pools of frames", frames * 64 * 64 * 3)
    keras.utils.set_random_seed(config.seed)
    vae = new_vae(config)
    train_step, losses, optimizer = make_steps(vae, config, compute.parts_at_once(config.vae_batch_size))
    variables = vae.vae.trainable_variables + optimizer.variables
    held_out_obs = episodes.spread_steps(held_out_paths, Rollout, ("obs",), HELD_OUT_FRAMES)[0]
    codec = FrameCodec(vae, frozen=False)
    num_logs = math.ceil(LOGS_PER_EPOCH * config.vae_num_epoch)
    training = Training(
        run, Step.VAE, variables, num_logs, config.checkpoint_seconds,
        {
            "reconstructions": lambda path: vision.save_reconstructions(codec, held_out_obs, path),
            "traversal": lambda path: vision.save_traversal(codec, *codec.encode(held_out_obs), path),
            "prior": lambda path: vision.save_prior(codec, path),
        },
    )  # fmt: skip
    if training.step == 0 and (before := previous(config)):
        before.require(before.vae_weights, Step.VAE, "this run goes on from its V")
        load_weights(vae.vae, before.vae_weights)
        if not config.vae_num_epoch:
            return training.take_over(before.vae, run.vae_weights)

    def held_out() -> dict[str, float]:
        return _held_out(losses, held_out_obs, config)

    batches = prefetched(stream.batches(training.step, math.ceil(config.vae_num_epoch)), depth=8)

    def frames_in(steps: int) -> int:
        return steps * config.vae_batch_size

    training.run(stream.steps_of(config.vae_num_epoch), batches, train_step, held_out, progress, frames_in)
    training.keep_weights(vae.vae, run.vae_weights)
    return training.last_row()


def make_steps(vae: VAE, config: Config, parts: int = 1) -> tuple[Compiled, Compiled, keras.optimizers.Optimizer]:
    """A compiled training step, of uint8 obs and an int64 step, compiled losses, of obs and noise, and the optimiser.

    noise: standard normal, float32 (batch, z_size), of which z is drawn. The step seeds its own.
    parts: of a batch that are worked on at once, `compute.parts_at_once`.
    """
    rate = keras.optimizers.schedules.ExponentialDecay(config.vae_learning_rate, 1, config.vae_learning_rate_decay)
    optimizer = Adam(rate)
    variables = vae.vae.trainable_variables
    optimizer.build(variables)

    def in_parts(obs: tf.Tensor, noise: tf.Tensor) -> Iterator[tuple[tf.Tensor, tf.Tensor, float]]:
        sizes = part_sizes(obs.shape[0], parts)
        return zip(tf.split(obs, sizes), tf.split(noise, sizes), (size / obs.shape[0] for size in sizes))

    def losses_of(obs: tf.Tensor, noise: tf.Tensor, share: float, training: bool) -> list[tf.Tensor]:
        """What a part, this share of the batch, adds to the two losses."""
        images = images_from_obs(obs)
        mu, logvar = vae.encode_mu_logvar(images, training=training)
        reconstructions = vae.decode(sample_z(mu, logvar, noise), training=training)
        return [loss * share for loss in vae_losses(images, reconstructions, mu, logvar, config.vae_kl_tolerance)]

    def named(losses: list[list[tf.Tensor]]) -> Losses:
        reconstruction, kl = added(losses)
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    @tf.function(autograph=False)
    def train_step(obs: tf.Tensor, step: tf.Tensor) -> Losses:
        noise = tf.random.stateless_normal((obs.shape[0], config.z_size), seed=tf.stack([config.draw_seed, step]))
        losses, gradients = [], []
        for part in in_parts(obs, noise):
            with tf.GradientTape() as tape:
                of_part = losses_of(*part, training=True)
                loss = tf.add_n(of_part)
            losses.append(of_part)
            gradients.append(tape.gradient(loss, variables))
        optimizer.apply(added(gradients), variables)
        return named(losses)

    @tf.function(autograph=False)
    def losses(obs: tf.Tensor, noise: tf.Tensor) -> Losses:
        return named([losses_of(*part, training=False) for part in in_parts(obs, noise)])

    return train_step, losses, optimizer


def _held_out(losses: Compiled, obs: np.ndarray, config: Config) -> dict[str, float]:
    """The training loss on held-out frames, with the same draws of z each time."""
    found, rng = [], seeding.generator(config.seed, "held-out draws")
    for begin in range(0, len(obs), 100):
        batch = obs[begin : begin + 100]
        noise = rng.standard_normal((len(batch), config.z_size), np.float32)
        of_batch = losses(batch, noise)
        found.append([float(of_batch[name]) for name in ("reconstruction", "kl")])
    reconstruction, kl = np.mean(found, axis=0)
    return {"reconstruction": float(reconstruction), "kl": float(kl)}
