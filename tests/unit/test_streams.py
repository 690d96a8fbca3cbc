"""One name gives one sequence of numbers, everywhere and for nothing else."""

import hashlib

from rethinking.streams import seed_sequence, stream, torch_seed

NAMES = [
    (0, "purpose", "a", "bc"),
    (1, "purpose", "a", "bc"),
    (10, "purpose", "a", "bc"),
    (0, "purposes", "a", "bc"),
    (0, "purpose", "ab", "c"),
    (0, "purpose", "abc"),
    (0, "purpose", "bc", "a"),
    (0, "purpose", "a/bc"),
    (0, "purpose", "a", "bc", ""),
    (0, "purposea", "bc"),
    (0, "purpose"),
]


def test_names_have_numbers_of_their_own():
    # 100 draws of 62 bits: equal ones do not happen by chance.
    draws = {number for name in NAMES for number in stream(*name).integers(2**62, size=100).tolist()}
    assert len(draws) == 100 * len(NAMES)
    assert len({torch_seed(*name) for name in NAMES}) == len(NAMES)


def test_scheme():
    """All results depend on these numbers: a change of the scheme must not go unnoticed."""
    digest = hashlib.sha256(b"3\0batches\0cifar10\x001").digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)]
    assert seed_sequence(3, "batches", "cifar10", "1").entropy == words
    expected = [570805, 433765, 233196, 96360]
    assert stream(3, "batches", "cifar10", "1").integers(10**6, size=4).tolist() == expected
    assert torch_seed(3, "batches", "cifar10", "1") == 1911916179210596071


def test_torch_seeds_fit_a_signed_integer():
    seeds = [torch_seed(seed, "weights") for seed in range(100)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**61  # and use its width
