"""Features of random networks and Gabor filters against their definitions, written out."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from rethinking.theory.features import make_features
from rethinking.theory.gabor import gabor_features, gabor_filters
from rethinking.theory.random_convnet import draw_convnet, draw_patches

from .fits import linear_model, quiet
from .tiny import CPU


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (12, 2, 9, 8), dtype=np.uint8)


def test_features_are_those_of_the_definition(images):
    network = draw_convnet(images, 5, 0, "made up", torch.device("cpu"))
    features = network.features(torch.from_numpy(images[:3])).numpy().reshape(3, 8, 5)
    for image, found in zip(images, features, strict=False):
        responses = np.empty((4, 3, 5))
        for top in range(4):
            for left in range(3):
                patch = image[:, top : top + 6, left : left + 6].astype(float).ravel()
                patch = (patch - patch.mean()) / np.sqrt(patch.var() + 10)
                responses[top, left] = network.filters.numpy() @ patch - network.offsets.numpy()
        expected = []
        for rows in (slice(0, 2), slice(2, 4)):
            for columns in (slice(0, 2), slice(2, 3)):
                quadrant = responses[rows, columns].reshape(-1, 5)
                expected += [np.maximum(sign * quadrant - 0.25, 0).sum(0) for sign in (1, -1)]
        assert np.allclose(found, expected, atol=1e-4)


def test_fewer_filters_are_the_first_of_more(images):
    few, many = (draw_convnet(images, count, 0, "made up", torch.device("cpu")) for count in (3, 6))
    assert torch.allclose(few.filters, many.filters[:3])
    assert not torch.allclose(few.filters, draw_convnet(images, 3, 1, "made up", torch.device("cpu")).filters)


def test_filters_have_length_1_on_whitened_patches(images):
    """That is f'(C + 0.1) f = 1 with C the covariance of normalised patches; they see the mean patch as nothing."""
    network = draw_convnet(images, 20, 0, "made up", torch.device("cpu"))
    patches = draw_patches(images, 100_000, 0, "patches for whitening", "made up").double().numpy()
    patches -= patches.mean(1, keepdims=True)
    patches /= np.sqrt(patches.var(1, keepdims=True) + 10)
    filters = network.filters.double().numpy()
    covariance = np.cov(patches.T) + 0.1 * np.eye(72)
    assert np.allclose(np.einsum("fi,ij,fj->f", filters, covariance, filters), 1, atol=1e-4)
    assert np.allclose(network.offsets.numpy(), filters @ patches.mean(0), atol=1e-5)


def test_patches_are_drawn_from_all_images_and_places_alike():
    """Of images whose pixels say which image and place they are."""
    images = np.zeros((3, 3, 9, 8), np.uint8)
    images[:, 0], images[:, 1], images[:, 2] = np.ogrid[:3, :9, :8]
    patches = draw_patches(images, 3600, 0, "any", "made up").view(-1, 3, 6, 6)
    assert torch.equal(patches[:, 1] - patches[:, 1, :1, :1], torch.arange(6.0)[:, None].expand(3600, 6, 6))
    places, counts = np.unique(patches[:, :, 0, 0].numpy(), axis=0, return_counts=True)
    # Each of the 3 x 4 x 3 places has 100 of 3600 patches on average, with a standard deviation of 10.
    assert len(places) == 36
    assert np.abs(counts - 100).max() < 45


def test_gabor_features_are_those_of_the_definition():
    """Waves of 3 and 5 pixels under a Gaussian half as wide; both signs, blurred over 2.5 pixels, each fourth pixel."""
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 10), dtype=np.uint8)
    found = gabor_features(torch.from_numpy(images)).view(2, 2, 2, 2, 8, 3, 3).numpy()
    for image, features in zip(images.mean(1) / 255, found, strict=True):
        for wavelength, of_scale in zip((3, 5), features, strict=True):
            half = int(np.ceil(2.5 * wavelength / 2))
            y, x = np.mgrid[-half : half + 1, -half : half + 1]
            envelope = np.exp(-(x**2 + y**2) / (2 * (wavelength / 2) ** 2))
            envelope /= envelope.sum()
            for number in range(8):
                angle = np.pi * number / 8
                wave = np.exp(2j * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
                wave -= (wave * envelope).sum()
                for place, part in enumerate((wave.real, wave.imag)):
                    response = ndimage.correlate(image, part * envelope, mode="constant")
                    for sign, ours in ((1, of_scale[0]), (-1, of_scale[1])):
                        blurred = ndimage.gaussian_filter(
                            np.maximum(sign * response, 0), 2.5, mode="constant", radius=8
                        )
                        np.testing.assert_allclose(ours[place, number], blurred[::4, ::4], atol=1e-6)


def test_gabor_filters_answer_to_their_orientation():
    stripes = torch.zeros(2, 1, 28, 28)
    wave = 127 * (1 + torch.cos(2 * torch.pi * torch.arange(28) / 3))
    stripes[0, 0], stripes[1, 0] = wave, wave[:, None]
    features = gabor_features(stripes.to(torch.uint8)).view(2, 2, 2, 2, 8, -1)  # scale, sign, even or odd, orientation
    strongest = features[:, 0].sum((1, 2, 4)).argmax(1)
    assert strongest.tolist() == [0, 4]
    assert gabor_filters(3.0).sum((1, 2, 3)).abs().max() < 1e-6
    assert (
        gabor_features(torch.full((1, 1, 28, 28), 200, dtype=torch.uint8))[0].view(2, 32, 7, 7)[:, :, 3, 3].max() < 1e-3
    )


def test_features_that_hardly_vary_in_training_stay_finite(tmp_path):
    """A pixel of one training image, and a test image with a drawing there."""
    rng = np.random.default_rng(0)
    images = np.zeros((600, 1, 28, 28), np.uint8)
    images[:, :, :13, :13] = rng.integers(0, 256, (600, 1, 13, 13))
    images[7, 0, 25, 25] = 1
    images[500, 0, 16:, 16:] = rng.integers(0, 256, (12, 12))
    model = linear_model("random_convnet", filters=64)
    for some in make_features(model, images[:500], images[500:], tmp_path, 0, CPU, quiet):
        assert torch.isfinite(some.read(slice(None), CPU, torch.float64)).all()
