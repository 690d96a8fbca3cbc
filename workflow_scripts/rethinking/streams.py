"""Named random streams: every draw says what it is for.

Seed, purpose and key are hashed into a ``numpy.random.SeedSequence``, so two purposes
never share numbers, and adding a draw for one purpose changes no other.
"""

import hashlib

import numpy as np


def seed_sequence(seed: int, purpose: str, *key: str) -> np.random.SeedSequence:
    """The seed sequence of one purpose.

    Args:
        seed: the run's seed, from the cell's ``seed{N}`` folder.
        purpose: what the numbers are for, e.g. ``"label corruption"``.
        key: what they belong to, e.g. the data set's or the cell's name.
    """
    text = "\0".join([str(seed), purpose, *key])
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.SeedSequence(np.frombuffer(digest, dtype=np.uint32).tolist())


def stream(seed: int, purpose: str, *key: str) -> np.random.Generator:
    """A numpy generator for one purpose (see :func:`seed_sequence`)."""
    return np.random.Generator(np.random.PCG64(seed_sequence(seed, purpose, *key)))


def torch_seed(seed: int, purpose: str, *key: str) -> int:
    """A 63-bit seed for a ``torch.Generator``."""
    return int(seed_sequence(seed, purpose, *key).generate_state(1, np.uint64)[0] >> 1)
