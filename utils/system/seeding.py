"""Every random draw comes from a generator named by the run's seed, a purpose and indices."""

import zlib

import numpy as np


def sequence(seed: int, purpose: str, *indices: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *indices])


def generator(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """The same arguments always give the same generator."""
    return np.random.Generator(np.random.PCG64(sequence(seed, purpose, *indices)))


def integer(seed: int, purpose: str, *indices: int) -> int:
    """A seed in [0, 2**31), for example for the reset of an environment."""
    return int(sequence(seed, purpose, *indices).generate_state(1)[0] >> 1)
