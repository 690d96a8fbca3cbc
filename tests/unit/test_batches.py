"""Order, cropping and augmentation of the training set."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rethinking.streams import stream
from rethinking.training.batches import Batches, to_inputs
from rethinking.training.preprocessing import centre_crop, crop_at, flip_and_rotate, whiten

from .tiny import CPU, make_cell, numbered_batches, plain_whiten, settings_with


def test_epochs_are_different_permutations(data):
    epochs = [list(numbered_batches(data, make_cell()).epoch(epoch)) for epoch in (1, 2)]
    orders = []
    for batches in epochs:
        assert [len(images) for images, *_ in batches] == [16, 16, 8]
        orders.append(torch.cat([images.flatten().long() for images, *_ in batches]))
        labels = torch.cat([labels for _, labels, _ in batches])
        np.testing.assert_array_equal(labels, data.train_labels[orders[-1]])
        assert sorted(orders[-1].tolist()) == list(range(40))
    assert not torch.equal(*orders)


@pytest.mark.parametrize("other", [make_cell(seed=1), make_cell("alexnet"), make_cell(regularisers="wd")])
def test_order_belongs_to_the_cell(data, other):
    first, second = (next(numbered_batches(data, cell).epoch(1))[0] for cell in (make_cell(), other))
    assert not torch.equal(first, second)


@pytest.fixture(scope="module")
def coded(data):
    """400 images, higher than wide, whose pixels say which image and place they are: image, row and column."""
    n = 400
    images = np.zeros((n, 3, 10, 9), np.uint8)
    images[:, 0] = (np.arange(n) % 200)[:, None, None]
    images[:, 1] = np.arange(10)[:, None]
    images[:, 2] = np.arange(9)
    return replace(data, train_images=images, train_labels=np.arange(n), train_labels_true=np.arange(n))


def test_crops_are_windows_of_the_images(coded, monkeypatch):
    monkeypatch.setattr("rethinking.training.batches.whiten", lambda images: images)
    batches = Batches(coded, torch.zeros(1), make_cell(regularisers="crop"), settings_with(input_size=7))
    seen = []
    for epoch in (1, 2):
        corners = {}
        for images, labels, _ in batches.epoch(epoch):
            for image, label in zip(images, labels.tolist(), strict=True):
                top, left = image[1, 0, 0].item(), image[2, 0, 0].item()
                window = coded.train_images[label, :, top : top + 7, left : left + 7]
                np.testing.assert_array_equal(image, window)
                corners[label] = top, left
        seen.append([corners[label] for label in range(400)])
    assert seen[0] != seen[1]
    # Each of the 4 x 3 places has 67 of 800 crops on average, with a standard deviation of 7.8.
    counts = np.unique(np.concatenate(seen), axis=0, return_counts=True)[1]
    assert len(counts) == 12
    assert np.abs(counts - 67).max() < 4.5 * 7.8


def test_crops_are_whitened(data):
    batches = Batches(data, torch.zeros(1), make_cell(regularisers="crop"), settings_with(input_size=7))
    images = torch.cat([images for images, *_ in batches.epoch(1)])
    # High contrast: every image has mean 0 and deviation 1, to float32.
    assert images.mean((1, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(images.std((1, 2, 3), correction=0), torch.ones(40), rtol=1e-5, atol=0)


@pytest.mark.parametrize("regularisers", ["augment", "crop+augment"])
def test_augmentation_flips_and_turns_before_the_crop(data, monkeypatch, regularisers):
    drawn, corners = [], []

    def record(images, flips, angles):
        drawn.append((images, flips, angles))
        return flip_and_rotate(images, flips, angles)

    def record_crop(images, offsets, size):
        corners.append(offsets)
        return crop_at(images, offsets, size)

    monkeypatch.setattr("rethinking.training.batches.flip_and_rotate", record)
    monkeypatch.setattr("rethinking.training.batches.crop_at", record_crop)
    many = replace(data, train_images=np.tile(data.train_images, (40, 1, 1, 1)), train_labels=np.arange(1600))
    batches = Batches(many, torch.zeros(1), make_cell(regularisers=regularisers), settings_with(input_size=8))
    for images, labels, _ in batches.epoch(1):
        whole = torch.from_numpy(many.train_images)[labels]
        assert torch.equal(drawn[-1][0], whole)
        turned = flip_and_rotate(whole, *drawn[-1][1:])
        cropped = crop_at(turned, corners[-1], 8) if "crop" in regularisers else centre_crop(turned, 8)
        torch.testing.assert_close(images, whiten(cropped))
    flips, angles = (torch.cat([batch[i] for batch in drawn]).numpy() for i in (1, 2))
    # Four standard deviations: 20 of 1600 flips; 25 / sqrt(3) / 40 degrees of a mean angle.
    assert abs(flips.sum() - 800) < 80
    assert abs(angles.mean()) < 4 * 0.37
    assert 24 < np.abs(angles).max() <= 25
    assert abs(np.corrcoef(flips, angles)[0, 1]) < 4 / 1600**0.5


def test_unaugmented_batches_are_the_whitened_inputs(data):
    inputs = to_inputs(data.train_images, 8, CPU)
    torch.testing.assert_close(inputs, plain_whiten(data.train_images[:, :, 1:9, 1:9]), rtol=1e-5, atol=1e-5)
    batches = Batches(data, inputs, make_cell(), settings_with(input_size=8))
    order = stream(0, "batches", make_cell().name, "1").permutation(40)
    assert torch.equal(torch.cat([images for images, *_ in batches.epoch(1)]), inputs[order])


def test_a_share_of_later_batches_is_part_of_those_of_a_whole_epoch(data):
    """So that resuming and other numbers of workers change nothing."""
    batches = Batches(data, torch.zeros(1), make_cell(regularisers="crop+augment"), settings_with(input_size=8))
    whole = list(batches.epoch(2))
    parts = list(batches.epoch(2, 1, lambda count: slice(1, count, 2)))
    assert [[each[1::2].tolist() for each in batch] for batch in whole[1:]] == [
        [each.tolist() for each in part] for part in parts
    ]
    assert batches.sizes().tolist() == [len(index) for *_, index in whole]
    assert batches.sizes().dtype == torch.float64


@pytest.mark.parametrize("split", ["train", "test"])
def test_workers_evaluate_every_other_block(data, monkeypatch, split):
    monkeypatch.setattr("rethinking.training.batches.EVALUATION_BATCH", 8)
    inputs = {name: to_inputs(getattr(data, f"{name}_images"), 8, CPU, torch.bfloat16) for name in ("train", "test")}
    batches = Batches(data, inputs["train"], make_cell(), settings_with(input_size=8))
    for rank in (0, 1):
        found = [block.float().tolist() for block in batches.evaluation(split, rank, 2)]
        assert found == [block.tolist() for block in inputs[split].split(8)[rank::2]]
        assert {block.dtype for block in batches.evaluation(split, rank, 2)} == {torch.bfloat16}
