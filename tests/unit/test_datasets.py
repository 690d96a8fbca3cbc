"""Subsets of data sets, and the files of prepared ones."""

import hashlib

import numpy as np
import pytest

from rethinking.data.prepared import Dataset, Split, prepare, stratified_sample, subset
from rethinking.run.files import UserError, load_array, read_json
from rethinking.streams import stream

# --- subsets --------------------------------------------------------------------------------------


def split_of(labels):
    labels = np.asarray(labels, np.int64)
    return Split(np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1), labels)


def test_subset_is_balanced_and_in_order():
    split = split_of(stream(0, "test").permutation(np.repeat(np.arange(10), 20)))
    part = subset(split, 55, stream(1, "test"))
    counts = np.bincount(part.labels)
    assert counts.sum() == 55
    assert set(counts) == {5, 6}
    chosen = part.images.ravel().astype(int)
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(split.labels[chosen], part.labels)
    other = subset(split, 55, stream(2, "test")).images.ravel()
    assert other.tolist() != chosen.tolist()


def test_sample_keeps_the_shares_of_unequal_classes():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    assert np.bincount(labels[stratified_sample(labels, 50, stream(0, "test"))]).tolist() == [30, 15, 5]
    assert stratified_sample(labels, 100, stream(0, "test")).tolist() == list(range(100))


@pytest.mark.parametrize("n", [0, -1, 5])
def test_impossible_subset_is_refused(n):
    with pytest.raises(UserError, match=f"choose {n} of 4"):
        subset(split_of([0, 0, 1, 1]), n, stream(0, "test"))


# --- prepared folders -----------------------------------------------------------------------------


def tiny_dataset():
    rng = stream(0, "tiny")
    labels = np.repeat(np.arange(4), 5)

    def split():
        return Split(rng.integers(0, 256, (20, 1, 2, 3), np.uint8), labels.astype(np.int64))

    return Dataset(split(), split(), tuple("abcd"))


def test_prepared_folder(tmp_path):
    dataset, source = tiny_dataset(), {"kind": "embedded", "files": {}}
    prepare(dataset, tmp_path, name="tiny", provenance="made up", source=source, train_limit=8)
    manifest = read_json(tmp_path / "manifest.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "manifest.json", "test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy",
    ]  # fmt: skip
    assert (manifest["dataset"], manifest["provenance"], manifest["source"]) == ("tiny", "made up", source)
    assert (manifest["class_names"], manifest["num_classes"]) == (list("abcd"), 4)
    assert manifest["image_shape"] == [1, 2, 3]
    assert (manifest["train"]["count"], manifest["train"]["full_count"], manifest["train"]["limit"]) == (8, 20, 8)
    assert [manifest[part]["class_counts"] for part in ("train", "test")] == [[2] * 4, [5] * 4]
    assert (manifest["test"]["count"], manifest["test"]["full_count"]) == (20, 20)
    for part in ("train", "test"):
        for kind in ("images", "labels"):
            array = load_array(tmp_path / f"{part}_{kind}.npy")
            assert hashlib.sha256(array.tobytes()).hexdigest() == manifest[part][f"{kind}_sha256"]
    np.testing.assert_array_equal(load_array(tmp_path / "test_images.npy"), dataset.test.images)
    assert np.bincount(load_array(tmp_path / "train_labels.npy")).tolist() == [2, 2, 2, 2]


def test_a_class_without_a_test_image_counts_none(tmp_path):
    """The last one, which no label shows."""
    whole = Dataset(split_of([0, 1, 2]), split_of([0, 1, 1]), tuple("abc"))
    prepare(whole, tmp_path, name="tiny", provenance="", source={})
    assert read_json(tmp_path / "manifest.json")["test"]["class_counts"] == [1, 2, 0]


def test_training_and_test_images_are_drawn_apart(tmp_path):
    split = tiny_dataset().train  # as both, so that equal draws would choose equal images
    for name in ("one", "other"):
        both = Dataset(split, split, tuple("abcd"))
        prepare(both, tmp_path / name, name=name, provenance="", source={}, train_limit=8, test_limit=8)
    kept = [load_array(tmp_path / each).tobytes() for each in ("one/train_images.npy", "one/test_images.npy")]
    assert len({*kept, load_array(tmp_path / "other/train_images.npy").tobytes()}) == 3


def test_a_limit_is_at_most_the_number_of_images(tmp_path):
    tiny = {"name": "tiny", "provenance": "", "source": {}}
    prepare(tiny_dataset(), tmp_path, **tiny, train_limit=20)
    assert read_json(tmp_path / "manifest.json")["train"]["count"] == 20
    for limit, title in (("train_limit", "training"), ("test_limit", "test")):
        message = f"datasets.tiny.{limit} is 1,437, but tiny has 20 {title} images; give at most that, or null"
        with pytest.raises(UserError, match=message):
            prepare(tiny_dataset(), tmp_path, **tiny, **{limit: 1437})


def test_limits_are_those_of_their_splits(tmp_path):
    tiny = {"name": "tiny", "provenance": "", "source": {}}
    dataset = Dataset(split_of(np.repeat([0, 1], 10)), split_of([0, 1, 0, 1]), ("a", "b"))
    prepare(dataset, tmp_path, **tiny, train_limit=16, test_limit=2)
    with pytest.raises(UserError, match="test_limit is 16, but tiny has 4 test images"):
        prepare(dataset, tmp_path, **tiny, test_limit=16)


def test_all_contradictions_count_and_the_first_are_shown(tmp_path):
    same = Split(np.zeros((8, 1, 1, 1), np.uint8), np.arange(8))
    prepare(Dataset(same, same, tuple("abcdefgh")), tmp_path, name="tiny", provenance="", source={})
    found = read_json(tmp_path / "manifest.json")["train"]["contradictions"]
    assert found == {"count": 7, "first": [[0, number] for number in range(1, 6)]}


@pytest.mark.parametrize(("sizes", "limit", "least"), [((5, 5, 5, 5), 3, 4), ((98, 1, 1), 3, 100)])
def test_a_limit_leaves_no_class_without_an_image(tmp_path, sizes, limit, least):
    split = split_of(np.repeat(range(len(sizes)), sizes))
    dataset = Dataset(split, split, tuple("abcd")[: len(sizes)])
    tiny = {"name": "tiny", "provenance": "", "source": {}}
    for key, title in (("train_limit", "training"), ("test_limit", "test")):
        message = rf"datasets.tiny.{key} is {limit}, .* classes without a {title} image; give at least {least}, or null"
        with pytest.raises(UserError, match=message):
            prepare(dataset, tmp_path, **tiny, **{key: limit})
        prepare(dataset, tmp_path, **tiny, **{key: least})
