"""MNIST, and the format of its files."""

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rethinking.data.prepared import Dataset, Split
from rethinking.data.published import Published, SourceFile, Version
from rethinking.registry import dataset
from rethinking.run.files import UserError

DIGIT_NAMES = tuple("0123456789")
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
IDX_UNSIGNED_BYTE = 0x08


@dataset("mnist", title="MNIST", size=28, train=60_000, test=10_000, classes=10, published=True)
def mnist() -> Published:
    """MNIST, (1, 28, 28): 60,000 images to train, 10,000 to test."""
    return Published(
        downloads=(
            _file(
                "train-images-idx3-ubyte.gz",
                sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                md5="f68b3c2dcbeaaa9fbdd348bbdeb94873",
                size=9_912_422,
            ),
            _file(
                "train-labels-idx1-ubyte.gz",
                sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                md5="d53e105ee54ea40749a09fcbcd1e9432",
                size=28_881,
            ),
            _file(
                "t10k-images-idx3-ubyte.gz",
                sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                md5="9fb629c4189551a2d022fa330f9573f3",
                size=1_648_877,
            ),
            _file(
                "t10k-labels-idx1-ubyte.gz",
                sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                md5="ec29112dd5afa0611ce80d1b7f02629c",
                size=4_542,
            ),
        ),
        versions=(
            Version(
                "idx version",
                # Of the unpacked bytes, because compressing them again need not give the published file.
                {
                    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                },
                read_mnist,
            ),
        ),
        records=(
            "da6370735bf1d490f086dde49c15f2ed0480ad05dc7c70abf5d36bf471d5e312",
            "0c7bc63f656fb2440dc2b5bea4ff3ac8632e305b73ec1dc88141a32d36204fac",
        ),
    )


def _file(name: str, sha256: str, md5: str, size: int) -> SourceFile:
    mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    return SourceFile(name, tuple(mirror + name for mirror in mirrors), md5, sha256, size)


def read_mnist(contents: Mapping[str, bytes], path: Path, class_names: Sequence[str] = DIGIT_NAMES) -> Dataset:
    """Images (1, height, width) and labels from the contents of four idx files with MNIST's names."""
    train_images, train_labels, test_images, test_labels = (
        read_idx(contents[file], dimensions, f"{path}: {file}")
        for file, dimensions in zip(FILES, (3, 1, 3, 1), strict=True)
    )
    return Dataset(
        Split(train_images[:, None], train_labels.astype(np.int64)),
        Split(test_images[:, None], test_labels.astype(np.int64)),
        tuple(class_names),
    )


def read_idx(content: bytes, dimensions: int, name: str) -> np.ndarray:
    """The uint8 array in an idx file.

    The header is big-endian: two zero bytes, the type of the values (0x08, unsigned byte), the number
    of dimensions, then the length of each as a 32-bit integer.

    Args:
        content: the file.
        dimensions: the number of dimensions it must have.
        name: of the file, for messages.

    Raises:
        UserError: another type or number of dimensions, or not as long as the header says.
    """
    expected = bytes([0, 0, IDX_UNSIGNED_BYTE, dimensions])
    if content[:4] != expected:
        raise UserError(
            f"{name} starts with {content[:4].hex()}, but an idx file of bytes in {dimensions} dimension(s) "
            f"starts with {expected.hex()}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UserError(f"{name} ends inside its idx header; get it again")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != math.prod(shape):
        raise UserError(
            f"{name} holds {len(content) - header:,} values, but its idx header says {math.prod(shape):,}; get it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
