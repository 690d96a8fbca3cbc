"""What a corruption stores beside the prepared data set, and how both are read together."""

import hashlib
import json
import shutil
from functools import reduce
from operator import getitem

import numpy as np
import pytest

from rethinking.corruption import Draws, overlays
from rethinking.corruption.labels import replace_labels
from rethinking.corruption.loading import load_corrupted
from rethinking.corruption.overlays import moments, write
from rethinking.corruption.signs import write_sample
from rethinking.data.prepared import digests
from rethinking.run.files import UserError, load_array, read_json, save_array, write_json

from ..faults import flip


def test_label_corruption_stores_labels_alone(prepared, tmp_path):
    manifest = write(prepared, tmp_path, "labels_p0.5", "cifar10", seed=3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "manifest.json", "test_labels.npy", "train_labels.npy",
    ]  # fmt: skip
    assert manifest == read_json(tmp_path / "manifest.json")
    assert (manifest["dataset"], manifest["corruption"], manifest["seed"]) == ("cifar10", "labels_p0.5", 3)
    assert manifest["p"] == 0.5
    for split in ("train", "test"):
        true, stored = (np.array(load_array(folder / f"{split}_labels.npy")) for folder in (prepared, tmp_path))
        np.testing.assert_array_equal(stored, replace_labels(true, 4, Draws(3, "cifar10", split), 0.5))
        assert stored.dtype == np.int64
        assert manifest[split]["fraction_changed"] == np.mean(true != stored) > 0
        assert manifest[split]["labels_sha256"] == hashlib.sha256(stored.tobytes()).hexdigest()


def test_labels_can_depend_on_the_images(plugin, prepared, tmp_path):
    plugin(
        "@corruption('dark_p{p:0.0..1.0}')\n"
        "def dark(labels, images, moments, num_classes, p):\n"
        "    is_dark = images.mean(axis=(1, 2, 3)) < moments[0]\n"
        "    return (labels + is_dark * (p > 0)) % num_classes\n"
    )
    write(prepared, tmp_path, "dark_p0.5", "cifar10", seed=0)
    brightness = np.mean(load_array(prepared / "train_images.npy"), axis=(1, 2, 3))
    for split in ("train", "test"):
        true, given = (load_array(folder / f"{split}_labels.npy") for folder in (prepared, tmp_path))
        is_dark = np.mean(load_array(prepared / f"{split}_images.npy"), axis=(1, 2, 3)) < brightness.mean()
        np.testing.assert_array_equal((np.array(given) - true) % 4, is_dark)


def test_label_overlay(prepared, tmp_path):
    write(prepared, tmp_path, "random_labels", "cifar10", seed=0)
    data = load_corrupted(prepared, tmp_path)
    expected = {
        "train_images": load_array(prepared / "train_images.npy"),
        "train_labels": load_array(tmp_path / "train_labels.npy"),
        "train_labels_true": load_array(prepared / "train_labels.npy"),
        "test_images": load_array(prepared / "test_images.npy"),
        "test_labels": load_array(prepared / "test_labels.npy"),
        "test_labels_corrupted": load_array(tmp_path / "test_labels.npy"),
    }
    for name, array in expected.items():
        np.testing.assert_array_equal(getattr(data, name), array)
    assert data.num_classes == 4
    assert not np.array_equal(data.train_labels, data.train_labels_true)
    assert not np.array_equal(data.test_labels, data.test_labels_corrupted)


def test_image_overlay(prepared, tmp_path):
    write(prepared, tmp_path, "gaussian", "cifar10", seed=0)
    data = load_corrupted(prepared, tmp_path)
    for split in ("train", "test"):
        after = load_array(tmp_path / f"{split}_images.npy")
        np.testing.assert_array_equal(getattr(data, f"{split}_images"), after)
    np.testing.assert_array_equal(data.train_labels, load_array(prepared / "train_labels.npy"))
    np.testing.assert_array_equal(data.train_labels_true, data.train_labels)
    np.testing.assert_array_equal(data.test_labels_corrupted, data.test_labels)


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_overlay_of_another_size_is_named(prepared, tmp_path, name):
    split, kind = name.split("_")
    manifest = write(prepared, tmp_path, {"images": "gaussian", "labels": "random_labels"}[kind], "cifar10", 0)
    save_array(tmp_path / f"{name}.npy", load_array(prepared / f"{name}.npy")[:-1])
    write_json(tmp_path / "manifest.json", manifest | {split: digests(tmp_path, split)})
    with pytest.raises(UserError) as error:
        load_corrupted(prepared, tmp_path)
    count = {"train": 40, "test": 20}[name.split("_")[0]]
    assert f"{count - 1} {name.replace('_', ' ')}" in str(error.value)
    assert f"has {count}; delete {tmp_path}" in str(error.value)


def test_overlay_whose_images_and_labels_are_of_another_data_set_is_named(prepared, tmp_path):
    manifest = write(prepared, tmp_path, "true_labels_replaced0", "cifar10", 0)
    for name in ("train_images", "train_labels"):
        save_array(tmp_path / f"{name}.npy", load_array(prepared / f"{name}.npy")[:-1])
    write_json(tmp_path / "manifest.json", manifest | {"train": digests(tmp_path, "train")})
    with pytest.raises(UserError, match=r"39 train images and 39 train labels, but .* has 40"):
        load_corrupted(prepared, tmp_path)


@pytest.mark.parametrize("corruption", ["labels_p0.5", "gaussian", "true_labels_replaced0", "true_signs_n24"])
def test_a_changed_byte_is_noticed(prepared, tmp_path, corruption):
    """In each array that is read, of the data set as of the overlay, also of a sample."""
    data, overlay = tmp_path / "data", tmp_path / "overlay"
    overlay.mkdir()
    if corruption == "true_signs_n24":
        data.mkdir()
        write_sample(prepared, data, 24)
    else:
        shutil.copytree(prepared, data)
    write(data, overlay, corruption, "digits", 0)
    load_corrupted(data, overlay)
    changed = {path.name for path in overlay.glob("*.npy")}
    unused = {data / name for name in changed if "images" in name}
    for path in {*data.glob("*.npy"), *overlay.glob("*.npy")} - unused:
        flip(path)
        with pytest.raises(UserError, match=f"{path} are not those .* delete {path}"):
            load_corrupted(data, overlay)
        flip(path)  # back


@pytest.mark.parametrize("corruption", ["random_labels", "gaussian", "true_labels_replaced0"])
def test_a_lost_file_is_noticed(prepared, tmp_path, corruption):
    """The true labels and pixels never take the place of corrupted ones, which a purge of the disk can delete."""
    write(prepared, tmp_path, corruption, "cifar10", 0)
    for path in list(tmp_path.iterdir()):
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(UserError, match=f"{path} cannot be used .No such file"):
            load_corrupted(prepared, tmp_path)
        path.write_bytes(content)
    shutil.rmtree(tmp_path)
    with pytest.raises(UserError, match=f"{tmp_path}/manifest.json .* start again, to have it made"):
        load_corrupted(prepared, tmp_path)


def without(manifest, *path):
    """A manifest with one entry less."""
    *sections, last = path
    copy = json.loads(json.dumps(manifest))
    reduce(getitem, sections, copy).pop(last)
    return copy


def test_a_damaged_manifest_is_named(prepared, tmp_path):
    data = shutil.copytree(prepared, tmp_path / "data")
    overlay = tmp_path / "overlay"
    write(data, overlay, "random_labels", "cifar10", 0)
    for folder, keys in (
        (
            data,
            [("num_classes",), ("image_shape",), ("train", "count"), ("test", "labels_sha256"), ("train",)],
        ),
        (overlay, [("corruption",), ("train", "labels_sha256"), ("test",)]),
    ):
        file = folder / "manifest.json"
        manifest = read_json(file)
        for damaged in ({}, [], None, *(without(manifest, *each) for each in keys)):
            write_json(file, damaged)
            with pytest.raises(UserError, match=f"{file} has no .*; delete it"):
                load_corrupted(data, overlay)
        write_json(file, manifest)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_moments(monkeypatch, dtype):
    monkeypatch.setattr(overlays, "BLOCK", 7)  # 30 images: the last block is smaller
    values = np.random.default_rng(0).integers(0, 256, (30, 3, 5, 4)).astype(dtype)
    values[:10] //= 2
    mean, variance = moments(values)
    # In float64 both lose at most a few of 16 digits.
    assert mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-12)
    assert variance == pytest.approx(values.var(dtype=np.float64), rel=1e-12)


def test_variance_of_equal_values_is_not_negative():
    for value in np.linspace(0, 1, 50, dtype=np.float32):
        assert moments(np.full((3, 3, 5, 5), value))[1] >= 0


@pytest.mark.parametrize("corruption", ["shuffled_pixels", "gaussian", "true_labels_replaced0"])
def test_images_that_are_not_stored_are_named(prepared, tmp_path, corruption):
    """A set of more than 32 GiB has files and labels alone."""
    own = shutil.copytree(prepared, tmp_path / "prepared")
    manifest = read_json(own / "manifest.json")
    for split in ("train", "test"):
        save_array(own / f"{split}_images.npy", np.zeros((0, 3, 0, 0), np.uint8))
        manifest[split]["images_sha256"] = None
    write_json(own / "manifest.json", manifest)
    message = r"the train images in .*prepared are not stored, .* give the data set a smaller stored_size"
    with pytest.raises(UserError, match=message):
        write(own, tmp_path / "overlay", corruption, "cifar10", 0)
    with pytest.raises(UserError, match=message):
        write_sample(own, tmp_path / "sample", 4)
