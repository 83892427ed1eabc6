"""Step 2's work: V learns to see from frames streamed from the rollouts."""

import keras
import numpy as np
import tensorflow as tf

from models.vae import VAE, build_vae, images_from_obs, vae_losses
from utils import compute, episodes
from utils.config import Config
from utils.episodes import Rollout
from utils.errors import UsageError
from utils.figures.reconstructions import save_reconstructions
from utils.frame_stream import FrameStream, prefetched
from utils.progress import Progress
from utils.run_folder import RunFolder
from utils.training import Training, load_weights, save_weights

HELD_OUT_FRAMES = 1000  # that the held-out losses are measured on
LOGS_AN_EPOCH = 5


def train_vae(config: Config, run: RunFolder, progress: Progress) -> dict[str, float]:
    """Trains V up to `vae_num_epoch` epochs and writes weights, log and pictures. Returns the last log row."""
    paths = run.rollout_paths(config)
    training_paths, held_out_paths = episodes.split(paths, config.held_out_fraction)
    stream = FrameStream(training_paths, config.vae_batch_size, config.vae_shuffle_frames, config.seed)
    if stream.num_frames < config.vae_batch_size:
        raise UsageError(f"{stream.num_frames} frames do not fill a batch of vae_batch_size {config.vae_batch_size}")
    steps = [stream.steps_in(epoch) for epoch in range(config.vae_num_epoch)]

    keras.utils.set_random_seed(config.seed)
    vae = build_vae(config.z_size, compute.precision(config.vae_precision), config.seed)
    train_step, optimizer = _train_step(vae, config)
    log_every = max(1, steps[0] // LOGS_AN_EPOCH)
    variables = vae.vae.trainable_variables + optimizer.variables
    training = Training(run.vae, variables, log_every, config.checkpoint_seconds)
