"""CIFAR-10 and CIFAR-100."""

import math
import pickle
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from rethinking.data.prepared import Dataset, Split
from rethinking.data.published import Published, SourceFile, Version
from rethinking.registry import dataset
from rethinking.run.files import UserError

CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)


@dataset("cifar10", title="CIFAR-10", size=32, train=50_000, test=10_000, classes=10, published=True)
def cifar10() -> Published:
    """CIFAR-10, (3, 32, 32): 50,000 images to train, 10,000 to test."""
    batches = range(1, 6)
    return Published(
        downloads=(
            SourceFile(
                name="cifar-10-binary.tar.gz",
                urls=("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
                md5="c32a1d4ab5d03f1284b67883e8d87530",
                sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                size=170_052_171,
            ),
        ),
        versions=(
            Version(
                "binary version",
                {
                    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
                    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
                    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
                    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
                    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
                    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
                },
                partial(
                    read_binary,
                    train=[f"data_batch_{number}.bin" for number in batches],
                    test="test_batch.bin",
                    class_names=CIFAR10_NAMES,
                ),
            ),
            Version(
                "Python version",
                {
                    "data_batch_1": "c99cafc152244af753f735de768cd75f",
                    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                    "data_batch_4": "634d18415352ddfa80567beed471001a",
                    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
                    "test_batch": "40351d587109b95175f43aff81a1287e",
                },
                partial(
                    read_python,
                    train=[f"data_batch_{number}" for number in batches],
                    test="test_batch",
                    labels=b"labels",
                    class_names=CIFAR10_NAMES,
                ),
            ),
        ),
        records=(
            "72083841cd0fa633f09b24c0833cf6d6a1809caff400317117334e0aa6b0ed46",
            "f1bbb931260cda782c84c1948c82d910e2c193cb1d56756293f445027090946b",
        ),
    )


@dataset("cifar100", title="CIFAR-100", size=32, train=50_000, test=10_000, classes=100, published=True)
def cifar100() -> Published:
    """CIFAR-100, (3, 32, 32), with the fine labels: 50,000 images to train, 10,000 to test."""
    return Published(
        downloads=(
            SourceFile(
                name="cifar-100-binary.tar.gz",
                urls=("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
                md5="03b5dce01913d631647c71ecec9e9cb8",
            ),
        ),
        versions=(
            Version(
                "binary version",
                # No digests of these three files are published, only that of their archive.
                {"train.bin": None, "test.bin": None, "fine_label_names.txt": None},
                _cifar100_binary,
            ),
            Version(
                "Python version",
                {
                    "train": "16019d7e3df5f24257cddd939b257f8d",
                    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
                    "meta": "7973b15100ade9c7d40fb424638fde48",
                },
                _cifar100_python,
            ),
        ),
    )


def read_binary(
    contents: Mapping[str, bytes],
    path: Path,
    *,
    train: Sequence[str],
    test: str,
    class_names: Sequence[str],
    label_bytes: int = 1,
) -> Dataset:
    """The binary version: records of a label (CIFAR-100: a coarse and a fine one) and the planes of an image.

    Args:
        contents: of the files.
        path: where they are from, for messages.
        train: the files of training images, in order.
        test: the file of test images.
        class_names: in the order of the labels.
        label_bytes: labels of an image; the last one counts.

    Raises:
        UserError: a file does not hold whole records, or a label is out of range.
    """
    size = label_bytes + math.prod(SHAPE)

    def split(files: Sequence[str]) -> Split:
        for file in files:
            if not contents[file] or len(contents[file]) % size:
                raise UserError(f"{path}: {file} has {len(contents[file]):,} bytes, not whole records of {size:,}")
        records = np.frombuffer(b"".join(contents[file] for file in files), np.uint8).reshape(-1, size)
        labels = records[:, label_bytes - 1].astype(np.int64)
        if labels.max() >= len(class_names):
            raise UserError(f"{path}: {files[0]} has the label {labels.max()} of {len(class_names)} classes")
        return Split(np.ascontiguousarray(records[:, label_bytes:]).reshape(-1, *SHAPE), labels)

    return Dataset(split(train), split([test]), tuple(class_names))


def read_python(
    contents: Mapping[str, bytes],
    _path: Path,
    *,
    train: Sequence[str],
    test: str,
    labels: bytes,
    class_names: Sequence[str],
) -> Dataset:
    """The Python version, pickles of dictionaries; ``labels`` is the key of the labels, the rest as in :func:`read_binary`.

    Unpickling runs whatever code a file asks for: all files must have been compared with their digests.
    """

    def split(files: Sequence[str]) -> Split:
        batches = [pickle.loads(contents[file], encoding="bytes") for file in files]
        images = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, *SHAPE)
        return Split(images, np.concatenate([batch[labels] for batch in batches]).astype(np.int64))

    return Dataset(split(train), split([test]), tuple(class_names))


def _cifar100_binary(contents: Mapping[str, bytes], path: Path) -> Dataset:
    names = contents["fine_label_names.txt"].decode("ascii", "replace").split()
    return read_binary(contents, path, train=["train.bin"], test="test.bin", class_names=names, label_bytes=2)


def _cifar100_python(contents: Mapping[str, bytes], path: Path) -> Dataset:
    meta = pickle.loads(contents["meta"], encoding="bytes")
    names = [each.decode() for each in meta[b"fine_label_names"]]
    return read_python(contents, path, train=["train"], test="test", labels=b"fine_labels", class_names=names)
