"""Every random draw comes from a generator named by (run seed, purpose, and what it is for)."""

import zlib

import numpy as np


def sequence(seed: int, purpose: str, *indices: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *indices])


def generator(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """A generator that is the same wherever and whenever it is made from the same arguments."""
    return np.random.Generator(np.random.PCG64(sequence(seed, purpose, *indices)))


def integer(seed: int, purpose: str, *indices: int) -> int:
    """A seed in [0, 2**31) for something that takes an integer, such as an environment's reset."""
    return int(sequence(seed, purpose, *indices).generate_state(1)[0] >> 1)
