"""Images reach the network resident and streamed, with the same bits, whatever the layout and wherever one begins."""

import io
import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from rethinking.cells import Cell
from rethinking.corruption.loading import load_corrupted
from rethinking.corruption.overlays import write
from rethinking.data.image_sets import prepare_images
from rethinking.run import cell_job
from rethinking.run.files import UserError
from rethinking.run.team import Team
from rethinking.training import batches_imagenet
from rethinking.training.batches_imagenet import ImageBatches, Resident
from rethinking.training.feeders import build_feeder, inputs_of
from rethinking.training.inception_preprocessing import (
    central_box,
)
from rethinking.training.loop import train_cell

from ..unit.tiny import CPU, settings_with, without_seconds
from .image_sets import write_folder

SIZE, STORED = 20, 24
SETTINGS = settings_with(input_size=SIZE, batch_size=7, epochs=2)


def cell(regularisers="augment", seed=0):
    return Cell.parse(f"imagenet/random_labels/mlp_1x512/{regularisers}/seed{seed}")


def load(folder, path, stored_size):
    """The small set, prepared and with random labels."""
    if not folder.exists():
        options = {"provenance": "test", "stored_size": stored_size}
        prepare_images("imagenet", path, folder / "prepared", log=lambda line: None, **options)
        write(folder / "prepared", folder / "overlay", "random_labels", "imagenet", 0)
    return load_corrupted(folder / "prepared", folder / "overlay", path)


@pytest.fixture(scope="module")
def stored(layouts, tmp_path_factory):
    return load(tmp_path_factory.mktemp("stored") / "data", layouts["archives"], STORED)


@pytest.fixture(scope="module")
def original(layouts, tmp_path_factory):
    return load(tmp_path_factory.mktemp("original") / "data", layouts["archives"], None)


def equal(some, others):
    return len(some) == len(others) > 0 and all(
        torch.equal(a, b) for x, y in zip(some, others, strict=True) for a, b in zip(x, y, strict=True)
    )


class BlockingCopies(TorchDispatchMode):
    """Counts the copies between devices for which the host waits."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        named = named or {}
        if function is torch.ops.aten._to_copy.default and not named.get("non_blocking"):
            here = arguments[0].device
            self.count += named.get("device", here).type != here.type
        return function(*arguments, **named)


def test_no_batch_waits_for_a_gpu(stored):
    """On one without numbers, where reading a value would be an error."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        batches = ImageBatches(stored, cell(), SETTINGS, torch.device("cuda"), True)
        with BlockingCopies() as copies:
            found = [each.device.type for batch in batches.epoch(1) for each in batch]
    assert set(found) == {"cuda"}
    assert copies.count == 0


@pytest.mark.parametrize("regularisers", ["none", "augment"])
def test_resident_and_streamed_images_have_the_same_bits(stored, regularisers):
    resident, streamed = (ImageBatches(stored, cell(regularisers), SETTINGS, CPU, kind) for kind in (True, False))
    for epoch in (1, 2):
        assert equal(list(resident.epoch(epoch)), list(streamed.epoch(epoch)))
    for split in ("train", "test"):
        assert equal(list(resident.evaluation(split)), list(streamed.evaluation(split)))
    first, second = (torch.cat([index for *_, index in resident.epoch(epoch)]) for epoch in (1, 2))
    assert sorted(first.tolist()) == list(range(18))
    assert not torch.equal(first, second)


def test_training_gives_the_same_numbers_from_both(stored):
    trained = [
        train_cell(cell(), SETTINGS, stored, CPU, log=lambda line: None, feeder=each)
        for each in ("resident", "streamed")
    ]
    curves = [without_seconds(each.curve) for each in trained]
    assert curves[0] == curves[1]
    states = [each.model.state_dict() for each in trained]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def recorded(feeder, monkeypatch):
    """The numbers of the training images that a feeder reads from files."""
    files, read = feeder.sources["train"].files, []
    monkeypatch.setattr(files, "read", lambda i, original=files.read: read.append(i) or original(i))
    return read


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_are_uploaded_few_at_a_time(stored, dtype, monkeypatch):
    """The host needs no second copy of the whole set. Gaussian images are neither levels nor whole numbers."""
    given = stored.train_images if dtype == np.uint8 else stored.train_images.astype(dtype) * 2.5 - 300
    copied, array = [], np.array
    monkeypatch.setattr(batches_imagenet, "UPLOADED", 4)
    monkeypatch.setattr(np, "array", lambda images: copied.append(len(images)) or array(images))
    images = Resident(given, SIZE, CPU).images
    assert max(copied) == 4
    assert images.numpy().dtype == dtype
    assert np.array_equal(images.numpy(), given)


@pytest.mark.parametrize("resident", [True, False])
def test_an_epoch_resumes_at_any_step_and_decodes_nothing_before_it(stored, original, resident, monkeypatch):
    data = stored if resident else original
    whole = list(ImageBatches(data, cell(), SETTINGS, CPU, resident).epoch(2))
    feeder = ImageBatches(data, cell(), SETTINGS, CPU, resident)
    read = None if resident else recorded(feeder, monkeypatch)
    rest = list(feeder.epoch(2, 1))
    assert equal(rest, whole[1:])
    if not resident:
        assert sorted(read) == sorted(torch.cat([index for *_, index in whole[1:]]).tolist())


@pytest.mark.parametrize("regularisers", ["none", "augment"])
@pytest.mark.parametrize("resident", [True, False])
def test_workers_share_an_epoch_and_decode_only_what_is_theirs(stored, resident, regularisers, monkeypatch):
    """Also where a worker has nothing of the last batch, of four images."""
    whole = list(ImageBatches(stored, cell(regularisers), SETTINGS, CPU, resident).epoch(1))
    for size in (2, 3, 5):
        parts = []
        for rank in range(size):
            feeder = ImageBatches(stored, cell(regularisers), SETTINGS, CPU, resident)
            read = None if resident else recorded(feeder, monkeypatch)
            team = Team(rank, size)
            parts.append(list(feeder.epoch(1, 0, lambda n, t=team: slice(t.share(n).start, t.share(n).stop))))
            monkeypatch.undo()
            if not resident:
                assert sorted(read) == sorted(torch.cat([index for *_, index in parts[-1]]).tolist())
        assert equal([tuple(map(torch.cat, zip(*some, strict=True))) for some in zip(*parts, strict=True)], whole)
    monkeypatch.setattr(batches_imagenet, "EVALUATION_BLOCK", 1)
    blocks = list(feeder.evaluation("test"))
    assert len(blocks) == len(stored.test_labels) > 2
    for rank in range(2):
        assert equal(blocks[rank::2], list(feeder.evaluation("test", rank, 2)))


@pytest.mark.parametrize("other", [cell(seed=1), cell("augment+wd")])
def test_draws_belong_to_the_cell_epoch_and_image(stored, other):
    feeders = [ImageBatches(stored, each, SETTINGS, CPU, True) for each in (cell(), other)]
    draws = [feeder.draws(epoch, start, 7) for feeder in feeders for epoch in (1, 2) for start in (0, 7)]
    assert len({each.tobytes() for each in draws}) == len(draws)
    assert len({row.tobytes() for row in draws[0]}) == 7
    orders = [[index for *_, index in feeder.epoch(epoch)] for feeder in feeders for epoch in (1, 2)]
    assert len({tuple(torch.cat(each).tolist()) for each in orders}) == 4


def test_two_names_of_one_corruption_have_the_same_batches(stored):
    some, others = (
        list(ImageBatches(stored, replace(cell(), corruption=name), SETTINGS, CPU, True).epoch(1))
        for name in ("random_labels", "labels_p1.0")
    )
    assert equal(some, others)


def test_labels_are_those_of_the_corruption(stored):
    for _, labels, index in ImageBatches(stored, cell(), SETTINGS, CPU, True).epoch(1):
        np.testing.assert_array_equal(labels, stored.train_labels[index])


def test_a_file_that_broke_after_preparation_is_named(contents, tmp_path):
    path = write_folder(tmp_path / "set", contents)
    data = load(tmp_path / "data", path, None)
    broken = path / "train" / "n03888257" / "n03888257_0.JPEG"
    os.truncate(broken, 200)
    with pytest.raises(UserError, match=r"n03888257_0.JPEG cannot be decoded"):
        list(ImageBatches(data, cell(), SETTINGS, CPU, False).epoch(1))


def test_images_are_resident_where_they_fit(stored, original, monkeypatch):
    def source(data, kind="auto"):
        lines = []
        build_feeder(data, cell(), SETTINGS, CPU, kind, lines.append)
        return lines

    assert source(stored) == ["images are resident"]
    assert source(original) == ["images are streamed"]
    assert source(stored, "streamed") == ["images are streamed"]
    monkeypatch.setattr("rethinking.training.feeders.free_memory", lambda device: 1000)
    assert source(stored) == ["images are streamed"]
    with pytest.raises(UserError, match="not stored"):
        source(original, "resident")
    with pytest.raises(UserError, match="no files"):
        source(replace(stored, files=None), "streamed")


def test_corrupted_pixels_never_come_from_the_files(layouts, tmp_path):
    """There the images are as they were: a cell would train on true pixels under the name of others."""
    prepared, overlay = tmp_path / "prepared", tmp_path / "overlay"
    options = {"provenance": "test", "stored_size": STORED, "log": lambda line: None}
    prepare_images("imagenet", layouts["archives"], prepared, **options)
    write(prepared, overlay, "gaussian", "imagenet", 0)
    data = load_corrupted(prepared, overlay, layouts["archives"])
    assert data.files is None
    assert data.train_images.tobytes() == np.load(overlay / "train_images.npy").tobytes()
    with pytest.raises(UserError, match="no files, so they cannot be streamed"):
        build_feeder(data, cell(), SETTINGS, CPU, "streamed")


@pytest.mark.parametrize(
    ("device", "workers", "cells", "sharing"),
    [("cpu", 4, 2, 4), ("cpu", 1, 2, 1), ("cuda", 1, 2, 2), ("cuda", 4, 2, 1)],
)
def test_who_shares_memory(device, workers, cells, sharing):
    """On a GPU the cells that train there; several workers of one cell have a GPU each."""
    args = SimpleNamespace(cells_per_gpu=cells)
    assert cell_job.sharing(args, torch.device(device), workers) == sharing


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_processes_on_one_device_share_its_memory(stored, monkeypatch, device):
    """Each may begin before the others have uploaded their images."""
    size = stored.train_images.nbytes + stored.test_images.nbytes
    lines = []
    monkeypatch.setattr("rethinking.training.feeders.free_memory", lambda device: 2 * size)
    train_cell(cell(), SETTINGS, stored, CPU, log=lines.append, sharing=2)
    assert "images are streamed" in lines
    monkeypatch.setattr("rethinking.training.batches_imagenet.ImageBatches", lambda *_: None)
    for sharing, where in ((1, "resident"), (2, "streamed")):
        lines = []
        build_feeder(stored, cell(), SETTINGS, torch.device(device), "auto", lines.append, sharing)
        assert lines == [f"images are {where}"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_inputs_of_measures_are_those_of_evaluation(stored, original, split):
    for data, resident in ((stored, True), (original, False)):
        expected = torch.cat(list(ImageBatches(data, cell(), SETTINGS, CPU, resident).evaluation(split)))
        index = np.array([5, 0, 2])
        assert torch.equal(inputs_of(data, split, index, SIZE, CPU), expected[index])


def test_imagenet_has_no_random_crop_without_augmentation(stored):
    with pytest.raises(UserError, match="no 'crop'"):
        train_cell(cell("crop"), SETTINGS, stored, CPU)


def peer(content, size):
    """The central 87.5 % as a user of PIL would take it, in [-1, 1]."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    top, left, height, width = central_box(image.height, image.width)
    assert abs(height / image.height - 0.875) < 2 / image.height
    image = image.crop((left, top, left + width, top + height)).resize((size, size), Image.BILINEAR)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def test_evaluation_images_are_those_of_pil_to_a_level(contents, original):
    images = torch.cat(list(ImageBatches(original, cell(), SETTINGS, CPU, False).evaluation("train")))
    names = original.files["train"].names
    for image, name in zip(images, names, strict=True):
        assert (image - peer(contents[f"train/{name}"], SIZE)).abs().max() <= 1.01 / 127.5, name
