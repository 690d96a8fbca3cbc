"""Fixtures of the unit tests."""

import pytest

from rethinking.corruption.labels import write_corrupted_labels
from rethinking.corruption.loading import load_corrupted


@pytest.fixture(scope="session")
def data(prepared, tmp_path_factory):
    """The tiny data set with random labels."""
    overlay = tmp_path_factory.mktemp("overlay")
    write_corrupted_labels(prepared, overlay, "labels_p0.5", "cifar10", seed=0)
    return load_corrupted(prepared, overlay)
