"""Read published data sets, from their archives or from unpacked folders: CIFAR-10, CIFAR-100 and MNIST."""

import gzip
import hashlib
import math
import pickle
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from rethinking.data.archives import iter_members
from rethinking.data.prepared import Dataset, Split
from rethinking.data.sources import SOURCES, Version, local_files, published_name, sources, what_lies_in
from rethinking.registry import dataset
from rethinking.run.file_types import what_is
from rethinking.run.files import UserError, hash_file

DIGIT_NAMES = tuple("0123456789")
CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_SHAPE = (3, 32, 32)
IDX_UNSIGNED_BYTE = 0x08


@dataset("mnist", title="MNIST", size=28, train=60_000, sources=("official", "archive"))
@dataset("cifar10", title="CIFAR-10", size=32, train=50_000, sources=("official", "archive", "images"))
@dataset("cifar100", title="CIFAR-100", size=32, train=50_000, sources=("official", "archive", "images"))
def read_published(name: str, path: str | Path) -> tuple[Dataset, bool]:
    """Read a published data set.

    Args:
        name: ``cifar10``, ``cifar100`` (fine labels) or ``mnist``.
        path: an archive of one of its published versions (gzip, xz, bzip2 or no compression), or the folder of
            its files, or a folder with that folder in it.

    Returns:
        The data set, and whether every file of it, or the archive, has its published checksum.

    Raises:
        UserError: files are missing, damaged, not the published ones, or of another data set.
    """
    path = Path(path)
    if path.is_file() and published_name(path.name):
        raise UserError(
            f"{path} is one of the files of a data set; give the path to the folder with all of them"
        )
    contents = _collect(path)
    version = _choose_version(name, path, contents)
    verified = all(version.files.values())
    for file, digest in version.files.items():
        if digest is None:
            continue
        actual = hashlib.new("md5" if len(digest) == 32 else "sha256", contents[file]).hexdigest()
        if actual != digest:
            kind = what_is(contents[file])
            seems = f"; it seems to be {kind}" if kind and "idx" not in kind else ""
            raise UserError(
                f"{path}: {file} is not the published file of {SOURCES[name].title} (digest {actual}, "
                f"expected {digest}{seems}); get the data set again"
            )
    if not verified and path.is_file():
        (archive,) = SOURCES[name].downloads
        verified = hash_file(path, "md5") == archive.md5
    if name == "mnist":
        return read_mnist(contents, path), verified
    # Unpickling runs whatever code a file asks for: only contents that have just been checked get there.
    read = read_binary if version is SOURCES[name].versions[0] else read_python
    return read(name, contents, path), verified


def _collect(path: Path) -> dict[str, bytes]:
    """Contents, by file name, of the files of any published version; gzipped files count under their unpacked name."""
    if path.is_dir():
        members = ((file.name, file.read_bytes()) for file in local_files(path))
    else:
        found = iter_members(path, lambda parts: published_name(parts[-1]) is not None)
        members = ((PurePosixPath(member).name, content) for member, content in found)
    contents: dict[str, bytes] = {}
    for file, content in members:
        key = published_name(file)
        if file.endswith(".gz"):
            content = _unpack(content, f"{path}: {file}")
        if contents.setdefault(key, content) != content:
            raise UserError(f"{path} holds two different files called {key}; keep the published one")
    return contents


def _unpack(content: bytes, name: str) -> bytes:
    """The contents of a gzipped file; a file that was unpacked but kept its name is returned unchanged."""
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{name} is damaged or cut short ({error}); get it again") from error


def _choose_version(name: str, path: Path, contents: Mapping[str, bytes]) -> Version:
    """The version of a data set of which all files are there."""
    published = SOURCES[name]
    for version in published.versions:
        if version.files.keys() <= contents.keys():
            return version
    for other in SOURCES.values():
        if other is not published and any(
            version.files.keys() <= contents.keys() for version in other.versions
        ):
            raise UserError(
                f"{path} holds {other.title}, not {published.title}; give the path to {published.title}"
            )
    most = max(published.versions, key=lambda version: len(version.files.keys() & contents.keys()))
    missing = ", ".join(file for file in most.files if file not in contents)
    if most.files.keys().isdisjoint(contents):
        known = " or ".join(f"{', '.join(each.files)} ({each.title})" for each in published.versions)
        raise UserError(
            f"{path} holds no files of {published.title}; it should hold {known}; "
            + what_lies_in(path, "archive" if "images" in sources(name) else "")
        )
    raise UserError(
        f"{path} has no {missing}, which the {most.title} of {published.title} has; get the data set again"
    )


def read_binary(name: str, contents: Mapping[str, bytes], path: Path) -> Dataset:
    """CIFAR's binary version: records of a label (CIFAR-100: a coarse and a fine one) and the planes of an image.

    Raises:
        UserError: a file does not hold whole records, or a label is out of range.
    """
    if name == "cifar10":
        train, test = [f"data_batch_{number}.bin" for number in range(1, 6)], ["test_batch.bin"]
        class_names, label_bytes = CIFAR10_NAMES, 1
    else:
        train, test = ["train.bin"], ["test.bin"]
        class_names = tuple(contents["fine_label_names.txt"].decode("ascii", "replace").split())
        label_bytes = 2
    size = label_bytes + math.prod(CIFAR_SHAPE)

    def split(files: list[str]) -> Split:
        for file in files:
            if not contents[file] or len(contents[file]) % size:
                raise UserError(
                    f"{path}: {file} has {len(contents[file]):,} bytes, not whole records of {size:,}"
                )
        records = np.frombuffer(b"".join(contents[file] for file in files), np.uint8).reshape(-1, size)
        labels = records[:, label_bytes - 1].astype(np.int64)
        if labels.max() >= len(class_names):
            raise UserError(f"{path}: {files[0]} has the label {labels.max()} of {len(class_names)} classes")
        return Split(np.ascontiguousarray(records[:, label_bytes:]).reshape(-1, *CIFAR_SHAPE), labels)

    return Dataset(split(train), split(test), class_names)


def read_python(name: str, contents: Mapping[str, bytes], path: Path) -> Dataset:
    """CIFAR's Python version, pickles of dictionaries. The caller has checked the contents against their digests."""
    if name == "cifar10":
        train, test, label_key = [f"data_batch_{number}" for number in range(1, 6)], ["test_batch"], b"labels"
        class_names = CIFAR10_NAMES
    else:
        train, test, label_key = ["train"], ["test"], b"fine_labels"
        meta = pickle.loads(contents["meta"], encoding="bytes")
        class_names = tuple(each.decode() for each in meta[b"fine_label_names"])

    def split(files: list[str]) -> Split:
        batches = [pickle.loads(contents[file], encoding="bytes") for file in files]
        images = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, *CIFAR_SHAPE)
        return Split(images, np.concatenate([batch[label_key] for batch in batches]).astype(np.int64))

    return Dataset(split(train), split(test), class_names)


def read_mnist(contents: Mapping[str, bytes], path: Path) -> Dataset:
    """MNIST, (1, 28, 28), from the contents of its four files."""
    (version,) = SOURCES["mnist"].versions
    train_images, train_labels, test_images, test_labels = (
        read_idx(contents[file], dimensions, f"{path}: {file}")
        for file, dimensions in zip(version.files, (3, 1, 3, 1), strict=True)
    )
    return Dataset(
        Split(train_images[:, None], train_labels.astype(np.int64)),
        Split(test_images[:, None], test_labels.astype(np.int64)),
        DIGIT_NAMES,
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
            f"{name} holds {len(content) - header:,} values, but its idx header says {math.prod(shape):,}; "
            "get it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
