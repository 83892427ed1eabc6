import numpy as np
import pytest

from utils.data.frames import FrameStream, prefetched
from utils.run import episodes
from utils.run.episodes import Rollout, Series
from utils.system.errors import UsageError


def rollout(length: int, first: int = 0) -> Rollout:
    """Frame t is filled with first + t, so that it can be recognised."""
    obs = np.broadcast_to((first + np.arange(length, dtype=np.uint8))[:, None, None, None], (length, 64, 64, 3))
    zeros = np.zeros(length, np.float32)
    return Rollout(obs.copy(), np.zeros((length, 3), np.float32), zeros, zeros.astype(bool))


@pytest.fixture
def paths(tmp_path):
    """Five episodes of 7, 11, 15, 19 and 23 frames; every frame of all has a colour of its own."""
    result = []
    first = 0
    for index, length in enumerate((7, 11, 15, 19, 23)):
        result.append(tmp_path / f"episode_{index:05d}.npz")
        episodes.save(result[-1], rollout(length, first))
        first += length
    return result


def test_an_episode_is_read_back_the_same(paths):
    loaded = episodes.load(paths[0], Rollout)
    np.testing.assert_array_equal(loaded.obs, rollout(7).obs)
    assert (loaded.action.dtype, loaded.done.dtype) == (np.float32, np.bool_)
    assert episodes.load(paths[0], Rollout, only=("reward",)).obs.size == 0


def test_truncated_and_foreign_files_are_named(paths, tmp_path):
    whole = paths[0].read_bytes()
    for keep in (0, 10, len(whole) // 2, len(whole) - 1):
        paths[0].write_bytes(whole[:keep])
        assert not episodes.is_whole(paths[0], Rollout)
        with pytest.raises(UsageError, match=r"episode_00000\.npz"):
            episodes.load(paths[0], Rollout)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    paths[0].write_bytes(bytes(damaged))
    with pytest.raises(UsageError, match=r"episode_00000\.npz"):
        episodes.load(paths[0], Rollout)
    assert not episodes.is_whole(paths[1], Series)
    with pytest.raises(UsageError, match=r"episode_00001\.npz"):
        episodes.load(paths[1], Series)


def test_pickles_are_not_loaded(tmp_path):
    path = tmp_path / "episode.npz"
    values = np.array([{"code": 1}], dtype=object)
    np.savez(path, obs=values, action=values, reward=values, done=values)
    with pytest.raises(UsageError, match=r"episode\.npz"):
        episodes.load(path, Rollout)


def test_split_holds_out_some_and_never_shares(paths):
    training, held_out = episodes.split(paths * 20, 0.05)
    assert len(held_out) == 5
    training, held_out = episodes.split(paths, 0.2)
    assert (len(training), len(held_out)) == (4, 1)
    assert not set(training) & set(held_out)
    with pytest.raises(UsageError, match="max_trials"):
        episodes.split(paths[:1], 0.05)


def colours(batches) -> list[int]:
    return [int(colour) for batch in batches for colour in batch[:, 0, 0, 0]]


@pytest.mark.parametrize("pool", [1, 20, 1000])
def test_an_epoch_shows_each_frame_at_most_once_and_nearly_all(paths, pool):
    stream = FrameStream(paths, 4, pool, seed=0)
    assert stream.num_frames == 75
    seen = colours(stream.batches(0, 1))
    assert len(seen) == 4 * stream.steps_in(0)
    assert len(set(seen)) == len(seen) > 75 - 4 * 5
    assert seen != sorted(seen)


@pytest.mark.parametrize("pool", [20, 1000])
def test_a_stream_goes_on_from_any_step(paths, pool):
    stream = FrameStream(paths, 4, pool, seed=0)
    whole = colours(stream.batches(0, 3))
    for first in (1, 9, stream.steps_in(0), stream.steps_in(0) + 3):
        assert colours(stream.batches(first, 3)) == whole[4 * first :]
    assert stream.steps_of(3) == sum(stream.steps_in(epoch) for epoch in range(3)) == len(whole) // 4
    assert stream.steps_of(1.5) == stream.steps_in(0) + round(0.5 * stream.steps_in(1))
    assert stream.steps_of(1e-9) == 1
    assert colours(FrameStream(paths, 4, pool, seed=1).batches(0, 3)) != whole


def test_prefetched_keeps_order_and_raises_what_its_source_raises():
    assert list(prefetched(iter(range(20)), 3)) == list(range(20))

    def broken():
        yield 1
        raise UsageError("episode_00003.npz is damaged")

    items = prefetched(broken(), 3)
    assert next(items) == 1
    with pytest.raises(UsageError, match="episode_00003"):
        next(items)
