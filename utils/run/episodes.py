"""Episodes on disk: one plain uncompressed `.npz` file each, written whole or not at all.

Uncompressed, because frames are read many times in random order while V trains, and because even the fastest zlib takes
as long to write a frame as the environment takes to make it.
"""

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import numpy as np

from utils.environments import get_spec
from utils.run.config import Config
from utils.system.errors import UsageError
from utils.system.files import UNREADABLE, atomic_write, link_or_copy, write_npz


@dataclass
class Rollout:
    """An episode of T steps: in row t an observation, the action taken on it, and what the action brought."""

    obs: np.ndarray  # uint8 (T, 64, 64, 3)
    action: np.ndarray  # float32 (T, action_size)
    reward: np.ndarray  # float32 (T,)
    done: np.ndarray  # bool (T,), true only if the environment itself ended the episode


@dataclass
class Series:
    """A rollout, encoded by V. The last three arrays are as in `Rollout`."""

    mu: np.ndarray  # float32 (T, z_size)
    logvar: np.ndarray  # float32 (T, z_size)
    action: np.ndarray
    reward: np.ndarray
    done: np.ndarray


Episode = TypeVar("Episode", Rollout, Series)
_DTYPES = {"obs": np.uint8, "done": np.bool_}  # all others are float32


def _row_shapes(config: Config | None) -> dict[str, tuple[int | None, ...]]:
    """The shape of a row of each array. None is a size that only the configuration knows."""
    z_size, action_size = (config.z_size, get_spec(config.env_name).action_size) if config else (None, None)
    return {
        "obs": (64, 64, 3), "mu": (z_size,), "logvar": (z_size,), "action": (action_size,), "reward": (), "done": (),
    }  # fmt: skip


def save(path: Path, episode: Rollout | Series) -> None:
    write_npz(path, **{field.name: getattr(episode, field.name) for field in fields(episode)})


def load(path: Path, kind: type[Episode], config: Config | None = None, only: tuple[str, ...] | None = None) -> Episode:
    """Reads an episode.

    config: of the run, to check the sizes of z and of the action.
    only: names of the arrays to read. The others are empty.
    Raises `UsageError` that names the file if it is truncated or damaged, not an episode of this kind, of another
    size, or holds numbers that are not finite.
    """
    names = [field.name for field in fields(kind)]
    try:
        with np.load(path, allow_pickle=False) as file:
            if sorted(file.files) != sorted(names):
                raise ValueError(f"it holds {file.files}, not {names}")
            arrays = {name: file[name] for name in only or names}
    except UNREADABLE as error:
        raise UsageError(f"{path} is truncated, damaged or foreign ({error}); delete it and make it again") from None
    _check(path, arrays, _row_shapes(config))
    return kind(**{name: arrays.get(name, np.empty(0)) for name in names})


def _check(path: Path, arrays: dict[str, np.ndarray], row_shapes: dict[str, tuple[int | None, ...]]) -> None:
    """Raises `UsageError` if an array has another dtype, shape or length, or numbers that are not finite."""
    lengths = {array.shape[:1] for array in arrays.values()}
    for name, array in arrays.items():
        dtype, row, expected = np.dtype(_DTYPES.get(name, np.float32)), array.shape[1:], row_shapes[name]
        fits = len(row) == len(expected) and all(size in (None, found) for found, size in zip(row, expected))
        if array.dtype != dtype or not fits or len(lengths) != 1 or array.size == 0:
            asked = ", ".join(["T", *("any" if size is None else str(size) for size in expected)])
            raise UsageError(
                f"{path}: {name} is {array.dtype} {array.shape} where this run has {dtype} ({asked}), "
                "T the same for all; delete it and make it again"
            )
        if dtype == np.float32 and not np.isfinite(array).all():
            raise UsageError(f"{path}: {name} holds numbers that are not finite; delete it and make it again")


def is_whole(path: Path, kind: type[Rollout] | type[Series]) -> bool:
    """Whether `path` is a whole episode. Reads the directory at the end of the file, which a truncated one lacks."""
    names = sorted(f"{field.name}.npy" for field in fields(kind))
    try:
        with zipfile.ZipFile(path) as file:
            return sorted(file.namelist()) == names
    except (OSError, zipfile.BadZipFile):
        return False


def take_over(path: Path, target: Path, kind: type[Episode]) -> None:
    """Makes an episode of another run one of this run, unless it has that one already: the same file, or a copy."""
    if not is_whole(target, kind):
        with atomic_write(target) as temporary:
            link_or_copy(path, temporary)


def split(paths: list[Path], held_out_fraction: float) -> tuple[list[Path], list[Path]]:
    """Training and held-out episodes. V and M hold out the same ones: every n-th."""
    if len(paths) < 2:
        raise UsageError("one episode is not enough, since some are held out from training; raise max_trials")
    every = max(2, round(1 / held_out_fraction))
    held_out = paths[every - 1 :: every] or paths[-1:]
    return [path for path in paths if path not in set(held_out)], held_out


def spread_steps(paths: list[Path], kind: type[Episode], names: tuple[str, ...], count: int) -> list[np.ndarray]:
    """About `count` steps of the episodes `paths`, evenly spread, or all if there are fewer: (n, ...) of each name."""
    paths = paths[:: -(-len(paths) // count)]
    each = -(-count // len(paths))
    picked = []
    for path in paths:
        episode = load(path, kind, only=names)
        arrays = [getattr(episode, name) for name in names]
        chosen = np.unique(np.linspace(0, len(arrays[0]) - 1, each + 2)[1:-1].round().astype(int))
        picked.append([array[chosen] for array in arrays])
    return [np.concatenate(parts) for parts in zip(*picked)]


def load_latents(path: Path, z_size: int, again: str) -> tuple[np.ndarray, np.ndarray]:
    """mu and logvar, float32 (n, z_size), of a file that holds nothing else.

    again: the command that makes it.
    Raises `UsageError` if the file is damaged or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            mu, logvar = file["mu"], file["logvar"]
    except UNREADABLE as error:
        raise UsageError(f"{path} is truncated, damaged or foreign ({error}); delete it, then `{again}`") from None
    for name, array in (("mu", mu), ("logvar", logvar)):
        if array.shape != (len(mu), z_size) or array.dtype != np.float32 or not np.isfinite(array).all():
            raise UsageError(
                f"{path}: {name} is {array.dtype} {array.shape}, not finite float32 (n, {z_size}); "
                f"delete it, then `{again}`"
            )
    return mu, logvar


def most_rewarded(paths: list[Path], kind: type[Episode]) -> Path:
    """The episode with the most reward."""
    return max(paths, key=lambda path: load(path, kind, only=("reward",)).reward.sum())
