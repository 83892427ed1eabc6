"""Step 3's work: V encodes every rollout, so that M never needs a frame."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from models.vae import FrameCodec
from utils.agent.checkpoints import load_vae
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Rollout, Series
from utils.run.folder import RunFolder
from utils.system.files import write_npz
from utils.system.progress import Progress
from utils.system.resources import check_disk

EPISODES_AT_ONCE = 4


def encode_rollouts(config: Config, run: RunFolder, progress: Progress) -> int:
    """Encodes the episodes that are not encoded yet and gathers the first frames. Returns the number of frames."""
    paths = run.rollout_paths(config)
    todo = [i for i in range(config.num_episodes) if not episodes.is_whole(run.encoded(i), Series)]
    if not todo:
        print(f"{run.series}: all episodes are encoded already, nothing to do")
    else:
        frame, encoded = 64 * 64 * 3, 4 * (2 * config.z_size + 2)  # bytes of a step, before and after
        size = sum(paths[index].stat().st_size for index in todo) / frame * encoded
        check_disk(run.series, size, "fewer max_trials")
        progress.start(len(todo))
        codec = FrameCodec(load_vae(config, run))

        def encode_episode(index: int) -> None:
            rollout = episodes.load(paths[index], Rollout, config)
            episodes.save(run.encoded(index), to_series(rollout, codec))

        # TensorFlow's threads wait for each other within an operation: with several episodes at once, no core does.
        pool = ThreadPoolExecutor(EPISODES_AT_ONCE)
        try:
            for _ in pool.map(encode_episode, todo):
                progress.advance()
        finally:
            pool.shutdown(cancel_futures=True)
        progress.close()
    return _gather_starts(config, run)


def to_series(rollout: Rollout, codec: FrameCodec) -> Series:
    return Series(*codec.encode(rollout.obs), rollout.action, rollout.reward, rollout.done)


def _gather_starts(config: Config, run: RunFolder) -> int:
    """Writes mu and logvar, (episodes, z_size), of all first frames, from which dreams start. Counts all frames."""
    series = [episodes.load(path, Series, config, only=("mu", "logvar")) for path in run.series_paths(config)]
    write_npz(run.starts, mu=np.stack([s.mu[0] for s in series]), logvar=np.stack([s.logvar[0] for s in series]))
    return sum(len(s.mu) for s in series)
