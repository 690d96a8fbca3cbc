"""Every corruption against what section 2.1 of the paper makes one expect of it.

All draws are fixed by their seeds, so that these tests pass or fail for good. Where they
compare a number with its distribution, a correct implementation would fail for fewer than
one seed in 10,000.
"""

import hashlib
import itertools
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from rethinking import registry
from rethinking.corruption import Draws, overlays
from rethinking.corruption.labels import replace_labels
from rethinking.corruption.overlays import write
from rethinking.run.code import SCRIPTS
from rethinking.run.files import UserError, load_array, read_json

PIXEL_CORRUPTIONS = [each.name for each in registry.entries("corruption") if each.changes == "images"]

RARE = 1e-4
N, K = 50_000, 10
TENTHS = [tenth / 10 for tenth in range(11)]
# Unequal classes: a new label that depended on the old one would show in its frequencies.
TRUE_LABELS = np.random.default_rng(0).choice(K, N, p=np.arange(1, K + 1) / 55)


def replaced(p, seed=0, dataset="cifar10", split="train"):
    return replace_labels(TRUE_LABELS, K, Draws(seed, dataset, split), p)


def assert_share(events, probability):
    """The share of events is plausible for draws with this probability."""
    low, high = stats.binom.interval(1 - RARE, len(events), probability)
    assert low <= np.sum(events) <= high


# --- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", TENTHS[1:])
def test_share_of_changed_labels(p):
    assert_share(replaced(p) != TRUE_LABELS, p * (1 - 1 / K))


def contingency(p):
    """How often each true label (row) became each new one (column)."""
    table = np.zeros((K, K))
    np.add.at(table, (TRUE_LABELS, replaced(p)), 1)
    return table


@pytest.mark.parametrize("p", [0.1, 0.5, 1.0])
def test_changed_labels_are_uniform_over_the_other_classes(p):
    for old, counts in enumerate(contingency(p)):
        assert stats.chisquare(np.delete(counts, old)).pvalue > RARE / K


def test_random_labels_know_nothing_of_the_true_ones():
    table = contingency(1.0)
    assert stats.chi2_contingency(table).pvalue > RARE
    assert stats.chisquare(table.sum(0)).pvalue > RARE


def test_which_images_are_corrupted_does_not_depend_on_the_labels():
    # The new label of every image is known from p = 1.
    chosen = (replaced(0.5) != TRUE_LABELS)[replaced(1.0) != TRUE_LABELS]
    assert_share(chosen, 0.5)
    for labels in (TRUE_LABELS, replaced(1.0)):
        labels = labels[replaced(1.0) != TRUE_LABELS]
        table = [np.bincount(labels[chosen == wanted], minlength=K) for wanted in (True, False)]
        assert stats.chi2_contingency(table).pvalue > RARE


@pytest.mark.parametrize(("p", "larger"), list(itertools.pairwise(TENTHS)))
def test_corruption_is_nested(p, larger):
    """What is changed at p is changed to the same label at every larger p."""
    few, many = replaced(p), replaced(larger)
    changed = few != TRUE_LABELS
    np.testing.assert_array_equal(few[changed], many[changed])
    assert (many != TRUE_LABELS).sum() > changed.sum()


@pytest.mark.parametrize("other", [{"seed": 1}, {"dataset": "cifar100"}, {"split": "test"}])
def test_draws_are_independent(other):
    """Seeds, data sets and splits agree only as often as expected by chance."""
    assert_share(replaced(1.0) == replaced(1.0, **other), 1 / K)
    changed, changed_other = replaced(0.5) != TRUE_LABELS, replaced(0.5, **other) != TRUE_LABELS
    assert_share(changed & changed_other, (0.5 * (1 - 1 / K)) ** 2)


@pytest.mark.parametrize(("one", "other"), [("labels_p1.0", "random_labels"), ("labels_p0.0", "true_labels")])
def test_two_names_of_one_corruption_give_the_same_labels(prepared, tmp_path, one, other):
    manifests = [write(prepared, tmp_path, name, "cifar10", seed=0) for name in (one, other)]
    assert manifests[0]["train"] == manifests[1]["train"]
    assert (manifests[0]["train"]["fraction_changed"] == 0) == (other == "true_labels")


# --- pixels ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(prepared, tmp_path_factory):
    """For each pixel corruption and split: the images before, after, and the manifest."""
    result = {}
    for name in PIXEL_CORRUPTIONS:
        folder = tmp_path_factory.mktemp(name)
        manifest = write(prepared, folder, name, "cifar10", seed=0)
        assert manifest == read_json(folder / "manifest.json")
        assert sorted(path.name for path in folder.iterdir()) == [
            "manifest.json", "test_images.npy", "train_images.npy",
        ]  # fmt: skip
        for split in ("train", "test"):
            before, after = (np.array(load_array(f / f"{split}_images.npy")) for f in (prepared, folder))
            assert before.shape == after.shape
            assert manifest[split]["images_sha256"] == hashlib.sha256(after.tobytes()).hexdigest()
            result[name, split] = before, after, manifest
    return result


def pixels(image):
    """The pixels of (channels, height, width) as a list of tuples over channels."""
    return list(map(tuple, image.reshape(len(image), -1).T.tolist()))


def recover_permutation(before, after):
    """Where each pixel of ``after`` came from; the pixels of ``before`` must differ from each other."""
    source = {pixel: position for position, pixel in enumerate(pixels(before))}
    assert len(source) == before[0].size
    return np.array([source[pixel] for pixel in pixels(after)])


def test_shuffled_pixels_is_one_permutation_of_all_images(images):
    # All images and channels stacked are one image of many channels.
    permutations = []
    for split in ("train", "test"):
        before, after, _ = images["shuffled_pixels", split]
        stacked = [part.reshape(-1, *part.shape[2:]) for part in (before, after)]
        permutations.append(recover_permutation(*stacked))
        assert after.dtype == np.uint8
    np.testing.assert_array_equal(*permutations)
    order = permutations[0].astype(np.int64)
    assert sorted(order) == list(range(100))
    # A random permutation has one fixed point on average.
    assert np.sum(order == np.arange(100)) <= stats.poisson.isf(RARE, 1)
    restored = after.reshape(*after.shape[:2], -1)[..., np.argsort(order)].reshape(after.shape)
    np.testing.assert_array_equal(restored, before)


def test_random_pixels_is_a_permutation_for_each_image(images):
    permutations = []
    for split in ("train", "test"):
        before, after, _ = images["random_pixels", split]
        assert after.dtype == np.uint8
        for pair in zip(before, after, strict=True):
            assert sorted(pixels(pair[0])) == sorted(pixels(pair[1]))  # channels move together
            permutations.append(recover_permutation(*pair))
    permutations = np.array(permutations)
    assert len(np.unique(permutations, axis=0)) == len(permutations) == 60
    # One fixed point per image on average, and images that agree at one position on average.
    low, high = stats.poisson.interval(1 - RARE, 60)
    assert low <= np.sum(permutations == np.arange(100)) <= high
    low, high = stats.poisson.interval(1 - RARE, 59)
    assert low <= np.sum(permutations[1:] == permutations[:-1]) <= high


@pytest.mark.parametrize("name", ["shuffled_values", "random_values"])
def test_values_are_permuted_over_channels(images, name):
    """One permutation of all 300 values, or one for each of the images."""
    permutations = []
    for split in ("train", "test"):
        before, after, _ = images[name, split]
        assert after.dtype == np.uint8
        flat, permuted = (part.reshape(len(part), -1).astype(np.int64) for part in (before, after))
        np.testing.assert_array_equal(np.sort(flat, 1), np.sort(permuted, 1))
        assert all(set(pixels(one)) != set(pixels(other)) for one, other in zip(before, after, strict=True))
        if name == "shuffled_values":
            permutations.append(recover_permutation(flat[:, :, None], permuted[:, :, None]))
        else:
            # Images differ in their order, so equal values stand at places that differ.
            permutations.append(np.argsort(permuted, 1, kind="stable"))
    if name == "shuffled_values":
        np.testing.assert_array_equal(*permutations)
    else:
        assert len(np.unique(np.concatenate(permutations), axis=0)) == 60


@pytest.mark.parametrize("name", ["random_pixels", "random_values"])
def test_permutations_take_little_memory(name):
    """An index of 8 bytes for each pixel would take more than the images."""
    entry = registry.entry("corruption", name)
    images, draws = np.zeros((100, 3, 64, 64), np.uint8), Draws(0, "cifar10", "train")
    tracemalloc.start()
    try:
        entry.call(images=images, draws=draws, rng=draws(name))
        assert tracemalloc.get_traced_memory()[1] < 4 * images.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("split", ["train", "test"])
def test_gaussian_has_the_moments_of_the_training_set(images, split):
    train = images["gaussian", "train"][0].astype(np.float64)
    _, after, manifest = images["gaussian", split]
    assert after.dtype == np.float32
    assert stats.kstest(after.ravel(), stats.norm(train.mean(), train.std()).cdf).pvalue > RARE
    # Stricter than the distribution as a whole: standard errors of the mean and of the variance.
    limit, n = stats.norm.isf(RARE / 2), after.size
    assert abs(after.mean(dtype=np.float64) - train.mean()) < limit * train.std() / n**0.5
    assert abs(after.var(dtype=np.float64) / train.var() - 1) < limit * (2 / n) ** 0.5
    assert manifest["mean"] == pytest.approx(train.mean())
    assert manifest["variance"] == pytest.approx(train.var())


def test_gaussian_is_neither_clipped_nor_repeated(images):
    after = np.concatenate([images["gaussian", split][1] for split in ("train", "test")])
    train = images["gaussian", "train"][0]
    outside = stats.norm(train.mean(), train.std())
    assert_share(after.ravel() < 0, outside.cdf(0))
    assert_share(after.ravel() > 255, outside.sf(255))
    values = after.reshape(len(after) * 3, -1)  # images and channels
    correlations = np.corrcoef(values)[np.triu_indices(len(values), 1)]
    # 100 values each: a correlation has a standard deviation of 0.1.
    assert np.abs(correlations).max() < 0.1 * stats.norm.isf(RARE / len(correlations))


@pytest.mark.parametrize("name", PIXEL_CORRUPTIONS)
def test_overlays_are_independent(prepared, tmp_path, images, name):
    first = images[name, "train"][1]
    for seed, dataset in ((1, "cifar10"), (0, "cifar100")):
        write(prepared, tmp_path, name, dataset, seed)
        other = load_array(tmp_path / "train_images.npy")
        assert not any(np.array_equal(*pair) for pair in zip(first, other, strict=True))


@pytest.mark.parametrize("name", PIXEL_CORRUPTIONS)
def test_numbers_do_not_depend_on_the_block_size(prepared, tmp_path, images, monkeypatch, name):
    monkeypatch.setattr(overlays, "BLOCK", 7)
    manifest = write(prepared, tmp_path, name, "cifar10", seed=0)
    # The blocks of a sum add up in another order.
    assert manifest.pop("variance", None) == pytest.approx(images[name, "train"][2].get("variance"))
    np.testing.assert_allclose(load_array(tmp_path / "train_images.npy"), images[name, "train"][1], rtol=1e-6)


def test_what_nothing_draws_is_refused(prepared, tmp_path):
    with pytest.raises(UserError, match="unknown corruption 'random_label'; did you mean 'random_labels'"):
        write(prepared, tmp_path, "random_label", "cifar10", seed=0)


def test_draws_are_the_same_in_another_process(prepared, tmp_path, images):
    names = ["labels_p0.5", *PIXEL_CORRUPTIONS]
    program = (
        "import sys; from pathlib import Path; from rethinking.corruption.overlays import write\n"
        "for name in sys.argv[3:]: write(Path(sys.argv[1]), Path(sys.argv[2], name), name, 'cifar10', 0)"
    )
    environment = os.environ | {"PYTHONHASHSEED": "random", "PYTHONPATH": str(SCRIPTS)}
    command = [sys.executable, "-c", program, prepared, tmp_path / "there", *names]
    subprocess.run(command, env=environment, check=True)
    write(prepared, tmp_path / "here", names[0], "cifar10", 0)
    here = {name: manifest for (name, _), (*_, manifest) in images.items()}
    here[names[0]] = read_json(tmp_path / "here" / "manifest.json")
    assert here == {name: read_json(tmp_path / "there" / name / "manifest.json") for name in names}
