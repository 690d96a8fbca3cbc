"""CIFAR-10 and CIFAR-100, from synthetic files in their formats."""

import hashlib
import pickle
from dataclasses import replace

import numpy as np
import pytest

from rethinking.data.cifar import CIFAR10_NAMES
from rethinking.data.published import published, read_published
from rethinking.run.files import UserError
from rethinking.streams import stream

from .published_files import SOMETHING_ELSE, accept, describe, pack, unpack


def images_and_labels(n, classes=10):
    rng = stream(n, "test")
    return rng.integers(0, 256, (n, 3, 32, 32), np.uint8), rng.permutation(np.arange(n) % classes)


def as_binary(images, *labels):
    """Records of the binary version, written out byte by byte."""
    records = zip(images, *labels, strict=True)
    return b"".join(
        bytes(map(int, some)) + b"".join(bytes(plane.ravel()) for plane in image) for image, *some in records
    )


def as_pickle(images, **labels):
    named = {key.encode(): list(map(int, some)) for key, some in labels.items()}
    return pickle.dumps({b"data": images.reshape(len(images), -1), **named}, protocol=2)


@pytest.fixture
def cifar10():
    """Twenty training and seven test images: arrays, and the files of both versions."""
    train, test = images_and_labels(20), images_and_labels(7)
    binary, python = {}, {}
    for number in (3, 1, 5, 2, 4):
        part = [each[4 * (number - 1) : 4 * number] for each in train]
        binary[f"data_batch_{number}.bin"] = as_binary(*part)
        python[f"data_batch_{number}"] = as_pickle(part[0], labels=part[1])
    binary["test_batch.bin"] = as_binary(*test)
    python["test_batch"] = as_pickle(test[0], labels=test[1])
    binary["batches.meta.txt"] = b"airplane"
    return train, test, binary, python


@pytest.mark.parametrize("compression", ["gz", "xz", "bz2", ""])
@pytest.mark.parametrize("version", [0, 1], ids=["binary", "python"])
def test_cifar10(cifar10, version, compression, tmp_path, monkeypatch):
    train, test, *contents = cifar10
    accept(monkeypatch, "cifar10", contents[version], version)
    path = pack(tmp_path / "c.tar", contents[version], "cifar-10-batches", compression)
    dataset, verified = read_published("cifar10", path)
    assert verified
    assert dataset.class_names == CIFAR10_NAMES
    for split, (images, labels) in ((dataset.train, train), (dataset.test, test)):
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.labels, labels)
        assert (split.images.dtype, split.labels.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize("version", [0, 1], ids=["binary", "python"])
@pytest.mark.parametrize("depth", [0, 1])
def test_unpacked_folder(cifar10, version, depth, tmp_path, monkeypatch):
    train, _, *contents = cifar10
    accept(monkeypatch, "cifar10", contents[version], version)
    unpack(tmp_path / "outer" / "inner", contents[version])
    dataset, verified = read_published("cifar10", tmp_path / "outer" / ("" if depth else "inner"))
    assert verified
    np.testing.assert_array_equal(dataset.train.images, train[0])


def lay(form, folder, contents):
    """These files as an archive or as a folder."""
    if form == "archive":
        return pack(folder / "c.tar", contents, "x", "xz")
    return unpack(folder / "c", contents)


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_flipped_byte_is_named(cifar10, form, tmp_path, monkeypatch):
    contents = cifar10[2]
    accept(monkeypatch, "cifar10", contents)
    content = bytearray(contents["data_batch_3.bin"])
    content[5000] ^= 1
    path = lay(form, tmp_path, contents | {"data_batch_3.bin": bytes(content)})
    with pytest.raises(
        UserError, match=r"data_batch_3\.bin is not the published file of CIFAR-10.*get the data set again"
    ):
        read_published("cifar10", path)


def test_missing_batch_is_named(cifar10, tmp_path, monkeypatch):
    contents = dict(cifar10[2])
    accept(monkeypatch, "cifar10", contents)
    del contents["test_batch.bin"]
    with pytest.raises(UserError, match=r"has no test_batch\.bin, which the binary version of CIFAR-10 has"):
        read_published("cifar10", pack(tmp_path / "c.tar", contents, "x", "gz"))


@pytest.mark.parametrize("end", [-1000, 3000])
def test_cut_archive_is_named(cifar10, end, tmp_path, monkeypatch):
    accept(monkeypatch, "cifar10", cifar10[2])
    path = pack(tmp_path / "c.tar.gz", cifar10[2], "x", "gz")
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(UserError, match=r"c\.tar\.gz is damaged or cut short"):
        read_published("cifar10", path)


def test_another_data_set_is_named(cifar10, tmp_path):
    contents = {"train.bin": b"", "test.bin": b"", "fine_label_names.txt": b""}
    with pytest.raises(UserError, match="holds CIFAR-100, not CIFAR-10; give the path to CIFAR-10"):
        read_published("cifar10", pack(tmp_path / "c.tar", contents, "cifar-100-binary", "gz"))
    with pytest.raises(UserError, match="holds CIFAR-10, not CIFAR-100"):
        read_published("cifar100", unpack(tmp_path / "c", cifar10[2]))


def test_folder_of_something_else(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(
        UserError, match=r"holds no files of CIFAR-10; it should hold data_batch_1\.bin.*\(binary version\)"
    ):
        read_published("cifar10", tmp_path)


@pytest.mark.parametrize("version", [0, 1], ids=["binary", "python"])
def test_cifar100_takes_the_fine_labels(version, tmp_path, monkeypatch):
    names = [f"name{number}" for number in range(100)]
    train, test = images_and_labels(200, 100), images_and_labels(100, 100)
    coarse = [np.zeros(len(labels), int) + 19 for _, labels in (train, test)]
    binary = {
        "train.bin": as_binary(train[0], coarse[0], train[1]),
        "test.bin": as_binary(test[0], coarse[1], test[1]),
        "fine_label_names.txt": "\n".join(names).encode(),
        "coarse_label_names.txt": b"others",
    }
    python = {
        "train": as_pickle(train[0], fine_labels=train[1], coarse_labels=coarse[0]),
        "test": as_pickle(test[0], fine_labels=test[1], coarse_labels=coarse[1]),
        "meta": pickle.dumps({b"fine_label_names": [name.encode() for name in names]}),
    }
    if version:
        accept(monkeypatch, "cifar100", python, 1)
    path = pack(tmp_path / "c.tar.gz", (binary, python)[version], "x", "gz")
    dataset, verified = read_published("cifar100", path)
    assert dataset.train.labels.tolist() == train[1].tolist()
    np.testing.assert_array_equal(dataset.test.images, test[0])
    assert dataset.class_names == tuple(names)
    # The files of the binary version have no published checksums: only their archive does.
    assert verified == bool(version)
    if not version:
        (archive,) = published("cifar100").downloads
        right = replace(archive, md5=hashlib.md5(path.read_bytes()).hexdigest())
        describe(monkeypatch, "cifar100", downloads=(right,))
        assert read_published("cifar100", path)[1]


def test_records_of_another_size_are_refused(tmp_path):
    contents = {"train.bin": bytes(3074 * 2 + 1), "test.bin": bytes(3074), "fine_label_names.txt": b"a b"}
    with pytest.raises(UserError, match=r"train\.bin has 6,149 bytes, not whole records of 3,074"):
        read_published("cifar100", unpack(tmp_path / "c", contents))
    contents["train.bin"] = b"\0\2" + bytes(3072)
    with pytest.raises(UserError, match=r"train\.bin has the label 2 of 2 classes"):
        read_published("cifar100", unpack(tmp_path / "d", contents))


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("form", ["archive", "folder"])
def test_nothing_is_unpickled_that_was_not_checked(cifar10, form, tmp_path, monkeypatch):
    crater = tmp_path / "crater"
    contents = cifar10[3] | {"data_batch_1": pickle.dumps(Bomb(crater))}
    path = lay(form, tmp_path, contents)
    with pytest.raises(UserError, match="data_batch_1 is not the published file"):
        read_published("cifar10", path)
    assert not crater.exists()
    # The bomb works: with its checksum accepted it goes off.
    accept(monkeypatch, "cifar10", contents, 1)
    with pytest.raises(TypeError):  # a file is no batch
        read_published("cifar10", path)
    assert crater.exists()


@pytest.mark.parametrize(("content", "kind"), SOMETHING_ELSE)
def test_something_else_in_place_of_a_file_is_named(cifar10, content, kind, tmp_path):
    with pytest.raises(UserError, match=rf"data_batch_1\.bin is not the published file.*seems to be .*{kind}"):
        read_published("cifar10", unpack(tmp_path / "c", cifar10[2] | {"data_batch_1.bin": content}))
    (tmp_path / "c.tar.gz").write_bytes(content)
    with pytest.raises(UserError, match=rf"c\.tar\.gz is damaged.*seems to be .*{kind}"):
        read_published("cifar10", tmp_path / "c.tar.gz")


def test_images_in_place_of_published_files(tmp_path):
    for part in ("train", "test"):
        unpack(tmp_path / "x" / part / "cat", {"0.png": b""})
    with pytest.raises(UserError, match="it has folders train/ or test/, which source: images reads"):
        read_published("cifar10", tmp_path / "x")
