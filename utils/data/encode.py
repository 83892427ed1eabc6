"""Step 3's work: V encodes every rollout, so that M never needs a frame.

M may need many more episodes than V needs frames (`encoded_trials`): they are encoded as they are played.
"""

from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import gymnasium
import numpy as np

from models.vae import FrameCodec
from utils.agent.checkpoints import load_vae
from utils.agent.rollouts import Policy
from utils.data.collect import Rollouts, play
from utils.run import episodes
from utils.run.config import Config
from utils.run.episodes import Rollout, Series
from utils.run.folder import RunFolder
from utils.run.lineage import previous
from utils.run.provenance import fingerprint
from utils.system import compute
from utils.system.files import write_npz
from utils.system.progress import Progress
from utils.system.resources import check_disk

EPISODES_AT_ONCE = 4


def encode_rollouts(config: Config, run: RunFolder, progress: Progress, ranks: Executor | None = None) -> int:
    """Encodes or plays the episodes of which there is no series, and gathers the first frames.

    ranks: who plays, in place of `parallel_processes` processes.
    Returns the number of frames.
    """
    rollouts, to_play = _missing(config, run)
    before = previous(config) if rollouts + to_play else None
    if before and fingerprint(before.vae_weights) == fingerprint(run.vae_weights):
        _take_over(before, run)
        rollouts, to_play = _missing(config, run)
    if not rollouts + to_play:
        run.say_done(f"{run.series}: all episodes are encoded")
    if rollouts:
        _encode(rollouts, config, run, progress)
    if to_play:
        play(EncodedRollouts(config, run), to_play, progress, ranks)
    return _gather_starts(config, run)


def _missing(config: Config, run: RunFolder) -> tuple[list[int], list[int]]:
    """The numbers of the rollouts, and of the episodes to play, of which there is no series."""
    rollouts = [i for i in range(config.num_episodes) if not episodes.is_whole(run.encoded(i), Series)]
    return rollouts, [i for i in range(config.num_encoded) if not episodes.is_whole(run.played(i), Series)]


def _take_over(before: RunFolder, run: RunFolder) -> None:
    """Makes the series of an earlier run with the same V the first ones of this run."""
    theirs = before.read_config()
    for place, count in (RunFolder.encoded, theirs.num_episodes), (RunFolder.played, theirs.num_encoded):
        for index in range(count):
            if episodes.is_whole(place(before, index), Series):
                episodes.take_over(place(before, index), place(run, index), Series)


def _encode(indices: list[int], config: Config, run: RunFolder, progress: Progress) -> None:
    """Encodes the rollouts with these numbers."""
    frame, encoded = 64 * 64 * 3, 4 * (2 * config.z_size + 2)  # bytes of a step, before and after
    size = sum(run.rollout(index).stat().st_size for index in indices) / frame * encoded
    check_disk(run.series, size, "fewer max_trials")
    progress.start(len(indices))
    codec = FrameCodec(load_vae(config, run))

    def encode_episode(index: int) -> None:
        rollout = episodes.load(run.rollout(index), Rollout, config)
        episodes.save(run.encoded(index), to_series(rollout, codec))

    # TensorFlow's threads wait for each other within an operation: with several episodes at once, no core does.
    pool = ThreadPoolExecutor(EPISODES_AT_ONCE)
    try:
        for _ in pool.map(encode_episode, indices):
            progress.advance()
    finally:
        pool.shutdown(cancel_futures=True)
    progress.close()


class EncodedRollouts(Rollouts):
    """Episodes of which only the series is kept."""

    what, remedy = "encoded rollout", "fewer encoded_trials"

    def path(self, index: int) -> Path:
        return self.run.played(index)

    def envs_and_policy(self) -> tuple[list[gymnasium.Env], Policy]:
        compute.start_tensorflow(threads=1)
        from models.vae import FrameCodec
        from utils.agent.checkpoints import load_vae

        self._codec = FrameCodec(load_vae(self.config, self.run))
        return super().envs_and_policy()

    def save(self, index: int, rollout: Rollout) -> None:
        episodes.save(self.path(index), to_series(rollout, self._codec))


def to_series(rollout: Rollout, codec: FrameCodec) -> Series:
    return Series(*codec.encode(rollout.obs), rollout.action, rollout.reward, rollout.done)


def _gather_starts(config: Config, run: RunFolder) -> int:
    """Writes mu and logvar, (episodes, z_size), of all first frames, from which dreams start. Counts all frames."""
    series = [episodes.load(path, Series, config, only=("mu", "logvar")) for path in run.series_paths(config)]
    write_npz(run.starts, mu=np.stack([s.mu[0] for s in series]), logvar=np.stack([s.logvar[0] for s in series]))
    return sum(len(s.mu) for s in series)
