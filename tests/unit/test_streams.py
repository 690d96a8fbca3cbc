"""One name gives one sequence of numbers, everywhere and for nothing else."""

import hashlib
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from rethinking import streams
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


def test_numbers_are_the_same_in_another_process():
    code = (
        "from rethinking.streams import stream, torch_seed\n"
        "print(stream(3, 'batches', 'a/b', '7').integers(2**62, size=5).tolist(), torch_seed(3, 'weights', 'a'))"
    )
    source = os.path.dirname(os.path.dirname(streams.__file__))
    environment = {**os.environ, "PYTHONPATH": source, "PYTHONHASHSEED": "random"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    here = stream(3, "batches", "a/b", "7").integers(2**62, size=5).tolist()
    assert done.stdout.strip() == f"{here} {torch_seed(3, 'weights', 'a')}"


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NAMES, 2)))
def test_names_have_numbers_of_their_own(one, other):
    # 100 draws of 62 bits: equal ones do not happen by chance.
    assert not set(stream(*one).integers(2**62, size=100)) & set(stream(*other).integers(2**62, size=100))
    assert torch_seed(*one) != torch_seed(*other)


def test_same_name_same_numbers():
    np.testing.assert_array_equal(stream(*NAMES[0]).random(10), stream(*NAMES[0]).random(10))


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
