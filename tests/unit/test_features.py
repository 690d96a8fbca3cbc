"""Features of linear models: where they lie, and how they are scaled."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from rethinking.theory.features import Features, make_block, make_features

from .fits import linear_model, pixels, quiet
from .tiny import CPU


def test_features_are_the_same_from_arrays_tensors_and_files(digits, tmp_path):
    integers = digits[0].reshape(300, -1)
    floats = np.random.default_rng(0).standard_normal((300, 7)).astype(np.float16)
    np.save(tmp_path / "pixels.npy", integers)
    np.save(tmp_path / "floats.npy", floats)
    expected = np.concatenate([integers / 255, floats, np.ones((300, 1))], 1)[3:9, 50:]
    for blocks in (
        [integers, floats],
        [torch.from_numpy(integers), torch.from_numpy(floats)],
        [tmp_path / "pixels.npy", tmp_path / "floats.npy"],
    ):
        features = Features(blocks, constant=True)
        assert (len(features), features.width) == (300, 64 + 7 + 1)
        found = features.read(slice(3, 9), CPU, torch.float64, slice(50, 72))
        assert np.allclose(found, expected, atol=1e-12)


def test_features_are_uploaded_once(digits, monkeypatch):
    """To a GPU without numbers, which has no room for a second copy."""
    free = iter([1e12, 0])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (next(free), 1e12))
    features, device = pixels(digits[0]), torch.device("cuda")
    with FakeTensorMode(allow_non_fake_inputs=True):
        held = features.on(device)
        assert held.blocks[0].device.type == "cuda"
        assert features.on(device) is held
    assert features.on(CPU) is features


def values_of(features, folder):
    values = features.read(slice(None), CPU, torch.float64)
    # What stays mapped counts as memory of the process.
    assert str(folder) not in Path("/proc/self/maps").read_text()
    return values


def test_gabor_features_are_scaled_together_and_kept(digits, tmp_path):
    train, _, test, _ = digits
    (first, _), (again, _) = (
        make_features(linear_model("gabor"), *images, tmp_path, 0, CPU, quiet)
        for images in ((train, test), (train[:0], test[:0]))
    )
    values = values_of(first, tmp_path)
    assert values.shape == (300, 2 * 8 * 4 * 4)
    assert float(values.var(0).sum()) == pytest.approx(1, rel=1e-4)
    assert torch.equal(values, values_of(again, tmp_path))


def test_features_of_a_random_convnet_are_scaled_each(digits, tmp_path):
    model = linear_model("random_convnet", filters=20)
    features, _ = make_features(model, digits[0], digits[2], tmp_path, 0, CPU, quiet)
    values = values_of(features, tmp_path)
    assert values.shape == (300, 20 * 8 + 1)
    assert values[:, :-1].mean(0).abs().max() < 1e-2
    deviation = values[:, :-1].std(0)
    assert (deviation[deviation > 0] - 1).abs().max() < 1e-2
    assert (values[:, -1] == 1).all()


@pytest.mark.filterwarnings("ignore:std_mean")  # of one image there is no deviation
@pytest.mark.parametrize("scaling", ["each", "total"])
@pytest.mark.parametrize("count", [1, 3])
def test_equal_training_images_make_no_feature_nan(tmp_path, scaling, count):
    images = [np.full((count, 1, 2, 2), value, np.uint8) for value in (0, 200)]
    files = make_block(tmp_path, 0, *images, CPU, lambda some: some.flatten(1).float(), scaling)
    assert all(np.isfinite(np.load(file)).all() for file in files)


def test_a_feature_that_varies_by_rounding_alone_keeps_its_scale(tmp_path):
    """Divided by its deviation, it would count as much as any other."""
    images = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1)
    train, test = make_block(tmp_path, 0, images, images, CPU, lambda some: 1 + 1e-7 * some.flatten(1), "each")
    assert len(np.unique(np.float32(1) + np.float32(1e-7) * np.arange(4, dtype=np.float32))) > 1
    for file in (train, test):
        assert np.abs(np.load(file)).max() < 1e-5
