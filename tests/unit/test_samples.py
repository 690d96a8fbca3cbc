"""Samples with signs and sets with one example replaced."""

import numpy as np
import pytest

from rethinking.corruption import Draws
from rethinking.corruption.loading import load_corrupted
from rethinking.corruption.overlays import write
from rethinking.corruption.replacements import exchanged
from rethinking.corruption.signs import random_signs, write_sample
from rethinking.run.files import UserError, load_array, read_json


@pytest.fixture
def sample(prepared, tmp_path):
    write_sample(prepared, tmp_path / "sample", 24)
    return tmp_path / "sample"


def test_sample_has_two_classes_of_the_first_images_of_one_order(prepared, sample, tmp_path):
    write_sample(prepared, tmp_path / "smaller", 10)
    images, labels = (load_array(prepared / f"train_{name}.npy") for name in ("images", "labels"))
    found = {}
    for name, n in (("sample", 24), ("smaller", 10)):
        drawn = load_array(tmp_path / name / "train_images.npy")
        places = [int(np.flatnonzero((images == image).all((1, 2, 3)))[0]) for image in drawn]
        assert len(set(places)) == n
        np.testing.assert_array_equal(
            load_array(tmp_path / name / "train_labels.npy"), (labels[places] >= 2).astype(int)
        )
        found[name] = set(places)
    assert found["smaller"] < found["sample"]
    np.testing.assert_array_equal(load_array(sample / "test_images.npy"), load_array(prepared / "test_images.npy"))


def test_manifest_of_a_sample_says_what_it_was_drawn_from(prepared, sample):
    manifest, whole = read_json(sample / "manifest.json"), read_json(prepared / "manifest.json")
    assert (manifest["num_classes"], manifest["class_names"]) == (2, ["a or b", "c or d"])
    assert (manifest["train"]["count"], manifest["train"]["full_count"]) == (24, 40)
    assert manifest["drawn_from"] == {split: whole[split] for split in ("train", "test")}


def test_too_large_a_sample_says_how_many_images_there_are(prepared, tmp_path):
    with pytest.raises(UserError, match=r"tiny has 40 \(datasets.tiny.train_limit\); give at most 40"):
        write_sample(prepared, tmp_path, 41)


def test_a_sample_can_be_all_images(prepared, tmp_path):
    write_sample(prepared, tmp_path, 40)
    np.testing.assert_array_equal(load_array(tmp_path / "train_images.npy"), load_array(prepared / "train_images.npy"))


def test_signs_are_true_or_random_and_drawn_per_seed(sample, tmp_path):
    labels = {}
    for kind in ("true", "random"):
        for seed in (0, 1):
            folder = tmp_path / f"{kind}{seed}"
            write(sample, folder, f"{kind}_signs_n24", "digits", seed)
            data = load_corrupted(sample, folder)
            assert data.num_classes == 2
            assert set(data.train_labels) <= {0, 1}
            assert set(data.test_labels_corrupted) <= {0, 1}
            labels[kind, seed] = list(data.train_labels)
    assert labels["true", 0] == labels["true", 1] == list(load_array(sample / "train_labels.npy"))
    assert len({tuple(values) for values in labels.values()}) == 3


def test_random_signs_are_fair():
    """Over many draws, not of this sample's size."""
    labels = np.zeros(24, np.int64)
    draws = [random_signs(labels, Draws(seed, "digits", "train"), 24) for seed in range(500)]
    assert np.mean(draws) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(500 * 24))


def test_random_signs_of_samples_are_independent():
    """The images of a smaller sample are among those of a larger one; their signs are drawn again."""
    labels, draws = np.zeros(400, np.int64), Draws(0, "digits", "train")
    few, many = random_signs(labels, draws, 400), random_signs(labels, Draws(0, "digits", "train"), 800)
    assert np.mean(few == many) == pytest.approx(0.5, abs=4 * 0.5 / 20)


@pytest.mark.parametrize("number", [0, 1, 2])  # of some, old and new label are equal by chance
@pytest.mark.parametrize("base", ["true_labels", "random_labels"])
def test_one_example_is_replaced_and_nothing_else(prepared, tmp_path, base, number):
    write(prepared, tmp_path / "base", base, "digits", 3)
    write(prepared, tmp_path / "replaced", f"{base}_replaced{number}", "digits", 3)
    before = load_corrupted(prepared, tmp_path / "base")
    after = load_corrupted(prepared, tmp_path / "replaced")
    i, j = exchanged("digits", 3, number, 40, 20)
    others = np.arange(40) != i
    np.testing.assert_array_equal(after.train_images[others], before.train_images[others])
    np.testing.assert_array_equal(after.train_labels[others], before.train_labels[others])
    np.testing.assert_array_equal(after.train_images[i], before.test_images[j])
    assert after.train_labels[i] == before.test_labels_corrupted[j]
    for name in ("test_images", "test_labels", "test_labels_corrupted"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_replacements_differ_in_number_and_seed():
    assert len({exchanged("digits", seed, number, 40, 20) for seed in range(3) for number in range(3)}) == 9


def test_too_many_replacements_are_refused():
    with pytest.raises(UserError, match="there are 20 examples; give at most 19"):
        exchanged("digits", 0, 20, 40, 20)
