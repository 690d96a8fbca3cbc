"""scikit-learn's digits, the data of the demo."""

import numpy as np

from rethinking.data.mnist import DIGIT_NAMES
from rethinking.data.prepared import Dataset, Split, stratified_sample
from rethinking.registry import dataset
from rethinking.streams import stream

TEST_COUNT = 360  # a fifth of the 1,797 images


@dataset("digits", title="digits", size=8, train=1437, test=360, classes=10, sources=("embedded",))
def read_digits() -> Dataset:
    """scikit-learn's digits, (1, 8, 8), values 0..16 stretched to 0..255; 1,437 to train, 360 to test."""
    # Imported here: it takes a second, and only this data set needs it.
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images[:, None] * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    test = stratified_sample(labels, TEST_COUNT, stream(0, "digits split"))
    train = np.setdiff1d(np.arange(len(labels)), test)
    return Dataset(Split(images[train], labels[train]), Split(images[test], labels[test]), DIGIT_NAMES)
