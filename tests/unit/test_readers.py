"""Each reader on small synthetic sources."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from rethinking import registry
from rethinking.data.digits import read_digits
from rethinking.data.image_folders import read_images
from rethinking.data.prepared import Split, records_sha256
from rethinking.data.readers import choose_provenance, describe_source, read_dataset
from rethinking.run.files import UserError
from rethinking.streams import stream

from .image_files import write_image
from .published_files import describe

# --- digits ---------------------------------------------------------------------------------------


def test_digits():
    digits = read_digits()
    assert digits.train.images.shape == (1437, 1, 8, 8)
    assert registry.entry("dataset", "digits").options["train"] == len(digits.train.labels)
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
    # The split must not change between versions: all results on digits depend on it.
    assert digits.test.labels[:20].tolist() == [1, 9, 0, 9, 8, 4, 1, 5, 2, 2, 2, 6, 3, 5, 2, 3, 1, 7, 3, 4]


# --- images ---------------------------------------------------------------------------------------


def test_images(images):
    dataset = read_images(images)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.images.shape == (6, 3, 4, 5)
    assert dataset.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert dataset.test.labels.tolist() == [0, 1]
    pixels = stream(1, "image").integers(0, 256, (4, 5, 3), np.uint8)  # dog/1.png
    np.testing.assert_array_equal(dataset.train.images[4], pixels.transpose(2, 0, 1))


def test_grayscale_images(tmp_path):
    for part in ("train", "test"):
        pixels = write_image(tmp_path / part / "a" / "0.png", 1, mode="L")
    dataset = read_images(tmp_path)
    assert dataset.train.images.shape == (1, 1, 4, 5)
    np.testing.assert_array_equal(dataset.test.images[0, 0], pixels)
    write_image(tmp_path / "train" / "a" / "1.png", 2)
    dataset = read_images(tmp_path)
    np.testing.assert_array_equal(dataset.test.images[0], np.stack([pixels] * 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: write_image(folder / "train/cat/1.png", 5, size=(6, 4)), r"train/cat/1\.png is 6x4.*5x4"),
        (lambda folder: (folder / "test/dog/0.JPEG").unlink(), r"test/ has no images of the class\(es\) dog"),
        (lambda folder: (folder / "test").rename(folder / "validation"), "no images in test/<class>/"),
        (lambda folder: write_image(folder / "train/0.png", 5), r"train/0\.png"),
        (lambda folder: write_image(folder / "test/dog/more/0.png", 5), r"test/dog/more/0\.png"),
        (lambda folder: (folder / "train/dog/notes.txt").touch(), r"train/dog/notes\.txt"),
        (lambda folder: folder.rename(folder.with_name("renamed")), "images"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(images, change, message):
    change(images)
    with pytest.raises(UserError, match=message):
        read_images(images)


# --- all of them ----------------------------------------------------------------------------------


def test_source_descriptions(images, tmp_path):
    archive = tmp_path / "images.tar.xz"
    archive.write_bytes(b"any")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert describe_source("cifar10", "images", archive) == {
        "kind": "images",
        "files": {"images.tar.xz": digest},
    }
    assert describe_source("digits", "embedded", None) == {"kind": "embedded", "files": {}}
    before = describe_source("cifar10", "images", images)
    assert list(before["files"]) == ["images"]
    (images / "train" / "dog" / "0.png").rename(images / "train" / "dog" / "7.png")
    assert describe_source("cifar10", "images", images) != before


@pytest.mark.parametrize(
    ("name", "source", "path", "message"),
    [
        ("cifar10", "embedded", None, "has no source embedded; it can be official or archive or images"),
        ("cifar10", "archive", None, "needs a path"),
        ("digits", "official", "somewhere", "has no source official; it can be embedded"),
    ],
)
def test_impossible_sources(name, source, path, message):
    with pytest.raises(UserError, match=message):
        read_dataset(name, source, path)


# --- which copies are exact -----------------------------------------------------------------------


def test_records_have_no_order():
    rng = stream(0, "test")
    images, labels = rng.integers(0, 256, (20, 1, 2, 2), np.uint8), rng.integers(0, 3, 20)
    order = rng.permutation(20)
    digest = records_sha256(Split(images, labels))
    assert digest == records_sha256(Split(images[order], labels[order]))
    assert digest != records_sha256(Split(images, labels[order]))
    records = sorted(bytes([label, *image.ravel()]) for label, image in zip(labels, images, strict=True))
    assert digest == hashlib.sha256(b"".join(records)).hexdigest()


def test_images_that_match_the_published_ones_are_exact(images, monkeypatch):
    dataset = read_images(images)
    records = records_sha256(dataset.train), records_sha256(dataset.test)
    describe(monkeypatch, "cifar10", records=records)
    assert choose_provenance("cifar10", dataset, False, None) is None
    assert choose_provenance("cifar10", dataset, False, "JPEG copy") is None  # still exact
    changed = replace(dataset, test=Split(dataset.test.images ^ 1, dataset.test.labels))
    with pytest.raises(UserError, match=r"not the published ones.*datasets\.cifar10\.provenance.*JPEG copy"):
        choose_provenance("cifar10", changed, True, None)
    assert choose_provenance("cifar10", changed, True, "noisy copy") == "noisy copy"


def test_images_of_a_data_set_without_known_records_need_a_name(images):
    dataset = read_images(images)
    assert choose_provenance("cifar100", dataset, True, None) is None
    for name in ("cifar100", "mnist"):
        with pytest.raises(UserError, match=rf"datasets\.{name}\.provenance"):
            choose_provenance(name, dataset, False, None)
