"""MNIST in the format in which it is published."""

import gzip
import struct

import numpy as np
import pytest

from rethinking.data.mnist import FILES, read_idx
from rethinking.data.published import read_published
from rethinking.run.files import UserError
from rethinking.streams import stream

from .published_files import SOMETHING_ELSE, accept, pack, unpack


def as_idx(array, magic=None):
    header = bytes([0, 0, 8, array.ndim]) if magic is None else magic
    return header + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def mnist():
    """The contents of four small files with MNIST's names, and their arrays."""
    rng = stream(0, "test")
    shapes = ((30, 28, 28), (30,), (12, 28, 28), (12,))
    arrays = [rng.integers(0, 10, shape, np.uint8) for shape in shapes]
    return {name: as_idx(array) for name, array in zip(FILES, arrays, strict=True)}, arrays


def test_idx_of_another_kind_is_refused():
    array = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(read_idx(as_idx(array), 3, "a"), array)
    for magic in (b"\0\0\x0d\x03", b"\0\0\x08\x01", b"\x01\0\x08\x03"):
        with pytest.raises(UserError, match=r"^a starts with"):
            read_idx(as_idx(array, magic), 3, "a")


def test_idx_with_wrong_sizes_is_refused():
    whole = bytes([0, 0, 8, 1]) + struct.pack(">I", 5) + b"12345"
    for content in (whole[:-1], whole + b"6", whole[:6], whole[:2]):
        with pytest.raises(UserError, match=r"^a\.gz"):
            read_idx(content, 1, "a.gz")


@pytest.mark.parametrize("packed", ["gzip", "unpacked", "unpacked but called .gz", "tar"])
def test_mnist(mnist, packed, tmp_path, monkeypatch):
    contents, arrays = mnist
    accept(monkeypatch, "mnist", contents)
    files = {
        name + ("" if packed == "unpacked" else ".gz"): content if "unpacked" in packed else gzip.compress(content)
        for name, content in contents.items()
    }
    path = pack(tmp_path / "m.tar", files, "mnist", "") if packed == "tar" else unpack(tmp_path / "m", files)
    dataset, verified = read_published("mnist", path)
    assert verified
    np.testing.assert_array_equal(dataset.train.images, arrays[0][:, None])
    np.testing.assert_array_equal(dataset.test.labels, arrays[3])
    assert dataset.train.labels.dtype == np.int64


def test_mnist_as_some_archivers_unpack_it(mnist, tmp_path, monkeypatch):
    contents, arrays = mnist
    accept(monkeypatch, "mnist", contents)
    for name, content in contents.items():  # once as train-images.idx3-ubyte, once in a folder of its own
        unpack(tmp_path / "m" / name, {name: content})
        (tmp_path / "m" / name.replace("-idx", ".idx")).write_bytes(content)
    np.testing.assert_array_equal(read_published("mnist", tmp_path / "m")[0].train.labels, arrays[1])


def test_path_to_one_of_the_files(mnist, tmp_path):
    folder = unpack(tmp_path / "m", mnist[0])
    with pytest.raises(UserError, match="is one of the files of a data set; give the path to the folder"):
        read_published("mnist", folder / "train-images-idx3-ubyte")


def test_mnist_with_other_contents_is_refused(mnist, tmp_path):
    with pytest.raises(
        UserError, match=r"train-images-idx3-ubyte is not the published file of MNIST.*expected ba891046"
    ):
        read_published("mnist", unpack(tmp_path / "m", mnist[0]))


def test_cut_gzip_is_named(mnist, tmp_path):
    files = {f"{name}.gz": gzip.compress(content)[:-9] for name, content in mnist[0].items()}
    with pytest.raises(UserError, match=r"ubyte\.gz is damaged or cut short"):
        read_published("mnist", unpack(tmp_path / "m", files))


def test_two_different_files_of_one_name(mnist, tmp_path):
    contents = mnist[0]
    first = next(iter(contents))
    with pytest.raises(UserError, match=f"two different files called {first}"):
        read_published("mnist", unpack(tmp_path / "m", contents | {f"{first}.gz": gzip.compress(b"other")}))


@pytest.mark.parametrize("content", [content for content, _ in SOMETHING_ELSE])
def test_something_else_in_place_of_a_file(mnist, content, tmp_path):
    names = ("t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte.gz")
    for number, name in enumerate(names):
        files = {key: value for key, value in mnist[0].items() if key != names[0]} | {name: content}
        with pytest.raises(UserError, match="is not the published file"):
            read_published("mnist", unpack(tmp_path / f"m{number}", files))
