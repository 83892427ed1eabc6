"""Episodes on disk: plain uncompressed `.npz`, one a file, written whole or not at all.

Uncompressed, because pictures are read again and again in random order while V trains, and because zlib at
its fastest would take as long to write a frame as the environment takes to make it.
"""

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from utils.environments import get_spec
from utils.run.config import Config
from utils.system.errors import UsageError
from utils.system.files import UNREADABLE, write_npz


@dataclass
class Rollout:
    """What happened: row t is what was seen, what was done, and what came of it.

    obs: uint8 (T, 64, 64, 3). action: float32 (T, action_size). reward: float32 (T,), received for that
    action. done: bool (T,), true only where the environment itself ended the episode.
    """

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    done: np.ndarray


@dataclass
class Series:
    """A rollout as V sees it. mu, logvar: float32 (T, z_size); the rest as in `Rollout`."""

    mu: np.ndarray
    logvar: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    done: np.ndarray


_DTYPES = {"obs": np.uint8, "done": np.bool_}  # all others are float32


def _row_shapes(config: Config | None) -> dict[str, tuple[int | None, ...]]:
    """The shape of a row of each array; None is a size that only the run's configuration tells."""
    z_size, action_size = (config.z_size, get_spec(config.env_name).action_size) if config else (None, None)
    return {
        "obs": (64, 64, 3), "mu": (z_size,), "logvar": (z_size,), "action": (action_size,), "reward": (), "done": (),
    }  # fmt: skip


def save(path: Path, episode: Rollout | Series) -> None:
    write_npz(path, **{field.name: getattr(episode, field.name) for field in fields(episode)})


def load(
    path: Path, kind: type[Rollout] | type[Series], config: Config | None = None, only: tuple[str, ...] | None = None
):
    """Reads a whole episode, or only the arrays named (the others are None).

    Raises `UsageError` that names the file if it is truncated or damaged, not an episode of that kind, or holds a
    number that is not finite; with the run's `config` also if z or the action has another size than in this run.
    """
    names = [field.name for field in fields(kind)]
    try:
        with np.load(path, allow_pickle=False) as file:
            if sorted(file.files) != sorted(names):
                raise ValueError(f"it holds {file.files}, not {names}")
            arrays = {name: file[name] for name in only or names}
    except UNREADABLE as error:
        raise UsageError(f"{path} is truncated, damaged or foreign ({error}); delete it and make it again") from None
    shapes, lengths = _row_shapes(config), {array.shape[:1] for array in arrays.values()}
    for name, array in arrays.items():
        dtype, row = np.dtype(_DTYPES.get(name, np.float32)), array.shape[1:]
        fits = len(row) == len(shapes[name]) and all(size in (None, asked) for asked, size in zip(row, shapes[name]))
        if array.dtype != dtype or not fits or len(lengths) != 1 or array.size == 0:
            asked = ", ".join(["T", *("any" if size is None else str(size) for size in shapes[name])])
            raise UsageError(
                f"{path}: {name} is {array.dtype} {array.shape} where this run has {dtype} ({asked}), "
                "T the same for all; delete it and make it again"
            )
        if dtype == np.float32 and not np.isfinite(array).all():
            raise UsageError(f"{path}: {name} holds numbers that are not finite; delete it and make it again")
    return kind(**{name: arrays.get(name) for name in names})


def is_whole(path: Path, kind: type[Rollout] | type[Series]) -> bool:
    """Whether `path` is a finished episode. Reads the directory at the file's end, which a truncated one lacks."""
    names = sorted(f"{field.name}.npy" for field in fields(kind))
    try:
        with zipfile.ZipFile(path) as file:
            return sorted(file.namelist()) == names
    except (OSError, zipfile.BadZipFile):
        return False


def split(paths: list[Path], held_out_fraction: float) -> tuple[list[Path], list[Path]]:
    """Training and held-out episodes. Spread evenly, so that each process and V and M hold out the same ones."""
    if len(paths) < 2:
        raise UsageError("one episode is not enough: some are held out from training; raise max_trials")
    every = max(2, round(1 / held_out_fraction))
    held_out = paths[every - 1 :: every] or paths[-1:]
    return [path for path in paths if path not in set(held_out)], held_out


def spread_frames(paths: list[Path], count: int) -> np.ndarray:
    """About `count` frames, or all if there are less, evenly out of the rollouts `paths`, uint8 (n, 64, 64, 3)."""
    paths = paths[:: -(-len(paths) // count)]
    each = -(-count // len(paths))
    picked = []
    for path in paths:
        frames = load(path, Rollout, only=("obs",)).obs
        chosen = np.linspace(0, len(frames) - 1, each + 2)[1:-1].round().astype(int)
        picked.append(frames[np.unique(chosen)])
    return np.concatenate(picked)


def most_rewarded(paths: list[Path], kind: type[Rollout] | type[Series]) -> Path:
    return max(paths, key=lambda path: load(path, kind, only=("reward",)).reward.sum())
