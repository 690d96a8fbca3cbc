"""Each reader on small synthetic sources."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest

from rethinking.files import UserError
from rethinking.readers import (
    describe_source,
    read_cifar,
    read_dataset,
    read_digits,
    read_idx,
    read_images,
    read_mnist,
)
from rethinking.sources import SOURCES, SourceFile
from rethinking.streams import stream

from .image_files import write_image


def accept(monkeypatch, name, paths):
    """Make these synthetic files the published ones of a data set."""
    files = [
        SourceFile(path.name, (), hashlib.sha256(path.read_bytes()).hexdigest(), md5, path.stat().st_size)
        for path in paths
        for md5 in [hashlib.md5(path.read_bytes()).hexdigest()]
    ]
    monkeypatch.setitem(SOURCES, name, tuple(files))


# --- digits ---------------------------------------------------------------------------------------


def test_digits():
    digits = read_digits()
    assert digits.train.images.shape == (1437, 1, 8, 8)
    assert digits.test.images.shape == (360, 1, 8, 8)
    assert digits.train.images.dtype == np.uint8
    assert digits.train.labels.dtype == np.int64
    assert (digits.train.images.min(), digits.train.images.max()) == (0, 255)
    assert digits.class_names == tuple("0123456789")


def test_digits_split_is_a_stratified_partition():
    from sklearn.datasets import load_digits

    digits = read_digits()
    everything = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    both = np.concatenate([digits.train.images, digits.test.images])[:, 0]
    # No two of the 1,797 images are equal, so equal sets mean disjoint splits.
    assert sorted(map(bytes, both)) == sorted(map(bytes, everything))
    assert len(set(map(bytes, everything))) == len(everything)
    per_class = np.bincount(digits.test.labels) / np.bincount(load_digits().target)
    np.testing.assert_allclose(per_class, 360 / 1797, atol=1 / 170)
    # The split must not move between versions: all results on digits hang on it.
    assert digits.test.labels[:20].tolist() == [1, 9, 0, 9, 8, 4, 1, 5, 2, 2, 2, 6, 3, 5, 2, 3, 1, 7, 3, 4]


# --- idx and MNIST --------------------------------------------------------------------------------


def write_idx(path, array, magic=None):
    header = bytes([0, 0, 8, array.ndim]) if magic is None else magic
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + shape + array.tobytes(), mtime=0))


@pytest.fixture
def mnist(tmp_path):
    """Four small files with MNIST's names; returns their folder and arrays."""
    rng = stream(0, "test")
    shapes = ((30, 28, 28), (30,), (12, 28, 28), (12,))
    arrays = [rng.integers(0, 10, shape, np.uint8) for shape in shapes]
    for file, array in zip(SOURCES["mnist"], arrays, strict=True):
        write_idx(tmp_path / file.name, array)
    return tmp_path, arrays


def test_idx_roundtrip(tmp_path):
    array = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "a.gz", array)
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz", 3), array)


@pytest.mark.parametrize("magic", [b"\0\0\x0d\x03", b"\0\0\x08\x01", b"\x01\0\x08\x03"])
def test_idx_of_another_kind_is_refused(tmp_path, magic):
    write_idx(tmp_path / "a.gz", np.zeros((2, 3, 4), np.uint8), magic)
    with pytest.raises(UserError, match=r"a\.gz starts with"):
        read_idx(tmp_path / "a.gz", 3)


def test_idx_with_wrong_sizes_is_refused(tmp_path):
    path = tmp_path / "a.gz"
    whole = bytes([0, 0, 8, 1]) + struct.pack(">I", 5) + b"12345"
    for content in (whole[:-1], whole + b"6", whole[:6], whole[:2]):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(UserError, match=r"a\.gz"):
            read_idx(path, 1)
    path.write_bytes(gzip.compress(whole)[:-9])
    with pytest.raises(UserError, match="cut short"):
        read_idx(path, 1)
    path.write_bytes(whole)
    with pytest.raises(UserError, match="no gzip file"):
        read_idx(path, 1)


def test_mnist(mnist, monkeypatch):
    folder, arrays = mnist
    accept(monkeypatch, "mnist", [folder / file.name for file in SOURCES["mnist"]])
    dataset = read_mnist(folder)
    np.testing.assert_array_equal(dataset.train.images, arrays[0][:, None])
    np.testing.assert_array_equal(dataset.test.labels, arrays[3])
    assert dataset.train.labels.dtype == np.int64


def test_mnist_with_other_checksums_is_refused(mnist):
    folder, _ = mnist
    with pytest.raises(UserError, match="expected 440fcabf") as error:
        read_mnist(folder)
    assert "truncated" in str(error.value)


def test_missing_mnist_file_is_named(mnist):
    folder, _ = mnist
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz is not a file"):
        read_mnist(folder)


# --- CIFAR ----------------------------------------------------------------------------------------


def write_cifar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            data = pickle.dumps(content, protocol=2)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def cifar_batch(rng, n, **labels):
    return {b"data": rng.integers(0, 256, (n, 3072), np.uint8), **{k.encode(): v for k, v in labels.items()}}


def test_cifar10(tmp_path, monkeypatch):
    rng = stream(0, "test")
    batches = {f"data_batch_{i}": cifar_batch(rng, 4, labels=[i, 0, 1, 9]) for i in (3, 1, 5, 2, 4)}
    batches["test_batch"] = cifar_batch(rng, 3, labels=[7, 8, 9])
    batches["batches.meta"] = {b"label_names": [f"class{i}".encode() for i in range(10)]}
    path = write_cifar(tmp_path / "c.tar.gz", {f"cifar-10-batches-py/{k}": v for k, v in batches.items()})
    accept(monkeypatch, "cifar10", [path])
    dataset = read_cifar(path, "cifar10")
    assert dataset.train.images.shape == (20, 3, 32, 32)
    assert dataset.train.labels[::4].tolist() == [1, 2, 3, 4, 5]  # by number, not as they lie in the archive
    np.testing.assert_array_equal(dataset.test.images.reshape(3, -1), batches["test_batch"][b"data"])
    assert dataset.test.labels.tolist() == [7, 8, 9]
    assert dataset.class_names[3] == "class3"


def test_cifar100_takes_the_fine_labels(tmp_path, monkeypatch):
    rng = stream(0, "test")
    members = {
        "cifar-100-python/train": cifar_batch(rng, 2, fine_labels=[98, 99], coarse_labels=[0, 1]),
        "cifar-100-python/test": cifar_batch(rng, 1, fine_labels=[42], coarse_labels=[2]),
        "cifar-100-python/meta": {b"fine_label_names": [str(i).encode() for i in range(100)]},
    }
    path = write_cifar(tmp_path / "c.tar.gz", members)
    accept(monkeypatch, "cifar100", [path])
    dataset = read_cifar(path, "cifar100")
    assert dataset.train.labels.tolist() == [98, 99]
    assert dataset.test.labels.tolist() == [42]
    assert len(dataset.class_names) == 100


class Bomb:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_unverified_archive_is_never_unpickled(tmp_path, monkeypatch):
    crater = tmp_path / "crater"
    path = write_cifar(tmp_path / "c.tar.gz", {"cifar-10-batches-py/data_batch_1": Bomb(crater)})
    with pytest.raises(UserError, match="expected 6d958be0"):
        read_cifar(path, "cifar10")
    assert not crater.exists()
    # The bomb works: with its checksum accepted it goes off.
    accept(monkeypatch, "cifar10", [path])
    with pytest.raises(TypeError):  # a file is no batch
        read_cifar(path, "cifar10")
    assert crater.exists()


# --- images ---------------------------------------------------------------------------------------


def pack(folder, path, names=None):
    with tarfile.open(path, "w:xz") as archive:
        for file in names or sorted(folder.rglob("*"), reverse=True):
            archive.add(file, file.relative_to(folder).as_posix(), recursive=False)
    return path


def test_images(images):
    (images / "README.txt").write_text("passed over")
    (images / "train" / "dog" / ".DS_Store").write_text("passed over")
    dataset = read_images(images)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.images.shape == (6, 3, 4, 5)
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test.labels.tolist() == [0, 1]
    pixels = stream(1, "image").integers(0, 256, (4, 5, 3), np.uint8)  # dog/1.png
    np.testing.assert_array_equal(dataset.train.images[4], pixels.transpose(2, 0, 1))


def test_folder_and_archive_are_equal(images, tmp_path):
    folder, archive = read_images(images), read_images(pack(images, tmp_path / "images.tar.xz"))
    assert folder.class_names == archive.class_names
    for part in ("train", "test"):
        a, b = getattr(folder, part), getattr(archive, part)
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)


def test_grayscale_images(tmp_path):
    for part in ("train", "test"):
        pixels = write_image(tmp_path / part / "a" / "0.png", 1, mode="L")
    dataset = read_images(tmp_path)
    assert dataset.train.images.shape == (1, 1, 4, 5)
    np.testing.assert_array_equal(dataset.test.images[0, 0], pixels)
    write_image(tmp_path / "train" / "a" / "1.png", 2)
    dataset = read_images(tmp_path)
    np.testing.assert_array_equal(dataset.test.images[0], np.stack([pixels] * 3))


def test_odd_sized_image_is_named(images):
    write_image(images / "train" / "cat" / "1.png", 5, size=(6, 4))
    with pytest.raises(UserError, match=r"train/cat/1\.png is 6x4.*5x4"):
        read_images(images)


def test_missing_class_is_named(images):
    (images / "test" / "dog" / "0.JPEG").unlink()
    with pytest.raises(UserError, match=r"test/ has no images of the class\(es\) dog"):
        read_images(images)


def test_missing_split_is_named(images):
    (images / "test").rename(images / "validation")
    with pytest.raises(UserError, match="no images in test/<class>/"):
        read_images(images)


def test_broken_image_is_named(images):
    path = images / "train" / "dog" / "2.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match=r"train/dog/2\.png cannot be read"):
        read_images(images)


@pytest.mark.parametrize("name", ["train/dog/notes.txt", "train/0.png", "test/dog/more/0.png"])
def test_file_at_an_odd_place_is_named(images, name):
    (images / name).parent.mkdir(exist_ok=True)
    (images / name).write_bytes((images / "train/dog/0.png").read_bytes())
    with pytest.raises(UserError, match=name):
        read_images(images)


def test_missing_images_path(tmp_path):
    with pytest.raises(UserError, match="absent"):
        read_images(tmp_path / "absent")


# --- all of them ----------------------------------------------------------------------------------


def test_source_descriptions(images, mnist, tmp_path):
    archive = pack(images, tmp_path / "images.tar.xz")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert describe_source("x", "images", archive) == {"kind": "images", "files": {"images.tar.xz": digest}}
    assert describe_source("digits", "embedded", None) == {"kind": "embedded", "files": {}}
    assert set(describe_source("mnist", "archive", mnist[0])["files"]) == {f.name for f in SOURCES["mnist"]}
    before = describe_source("x", "images", images)
    assert list(before["files"]) == ["images"]
    (images / "train" / "dog" / "0.png").rename(images / "train" / "dog" / "7.png")
    assert describe_source("x", "images", images) != before


@pytest.mark.parametrize(
    ("name", "source", "path", "message"),
    [
        ("cifar10", "embedded", None, "only the data set digits"),
        ("cifar10", "archive", None, "needs a path"),
        ("digits", "official", "somewhere", "no published files"),
        ("cifar10", "archive", "absent.tar.gz", "absent.tar.gz is not a file"),
    ],
)
def test_impossible_sources(name, source, path, message):
    with pytest.raises(UserError, match=message):
        read_dataset(name, source, path)
