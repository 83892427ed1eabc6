"""Step 3's work: every rollout through V's encoder, so that M never has to look at a picture."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from models.vae import VAE, frozen_encoder
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Rollout, Series
from utils.run.folder import RunFolder
from utils.system.files import write_npz
from utils.system.progress import Progress
from utils.system.resources import check_disk
from utils.training.train_vae import load_vae

EPISODES_AT_ONCE = 4
BATCH = 512


def encode_rollouts(config: Config, run: RunFolder, progress: Progress) -> int:
    """Encodes the episodes that are not encoded yet and gathers the first frames. Returns how many frames."""
    paths = run.rollout_paths(config)
    todo = [i for i in range(config.num_episodes) if not episodes.is_whole(run.encoded(i), Series)]
    if not todo:
        print(f"{run.series}: all episodes are encoded already, nothing to do")
    else:
        frame, encoded = 64 * 64 * 3, 4 * (2 * config.z_size + 2)  # bytes of a step, before and after
        size = sum(paths[index].stat().st_size for index in todo) / frame * encoded
        check_disk(run.series, size, "fewer max_trials")
        progress.start(len(todo))
        encode = make_encoder(load_vae(config, run))

        def encode_episode(index: int) -> None:
            rollout = episodes.load(paths[index], Rollout, config)
            mu, logvar = encode(batched(rollout.obs))
            episodes.save(run.encoded(index), Series(mu, logvar, rollout.action, rollout.reward, rollout.done))

        # TensorFlow's threads wait for each other within an operation: with several episodes at once, no core does.
        pool = ThreadPoolExecutor(EPISODES_AT_ONCE)
        try:
            for _ in pool.map(encode_episode, todo):
                progress.advance()
        finally:
            pool.shutdown(cancel_futures=True)
        progress.close()
    return _gather_starts(config, run)


def batched(obs: np.ndarray) -> list[tf.Tensor]:
    """uint8 (T, 64, 64, 3) in batches of about one size and of BATCH frames at most."""
    return [tf.constant(batch) for batch in np.array_split(obs, -(-len(obs) // BATCH))]


def make_encoder(vae: VAE):
    """A function of an episode's batches to its mu and logvar, float32 (T, z_size)."""
    spec = tf.TensorSpec((None, 64, 64, 3), tf.uint8)
    encode_batch = tf.function(frozen_encoder(vae), input_signature=[spec], autograph=False)

    def encode(batches):
        mu, logvar = zip(*(encode_batch(batch) for batch in batches))
        return np.concatenate(mu), np.concatenate(logvar)

    return encode


def _gather_starts(config: Config, run: RunFolder) -> int:
    """Writes mu and logvar, (episodes, z_size), of every first frame: where dreams start from."""
    series = [episodes.load(path, Series, config, only=("mu", "logvar")) for path in run.series_paths(config)]
    write_npz(run.starts, mu=np.stack([s.mu[0] for s in series]), logvar=np.stack([s.logvar[0] for s in series]))
    return sum(len(s.mu) for s in series)
