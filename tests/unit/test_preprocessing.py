"""Whitening, cropping, flips and rotations against numpy and against examples done by hand."""

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from rethinking.training.inception_preprocessing import crop_and_resize
from rethinking.training.preprocessing import centre_crop, crop_at, flip_and_rotate, whiten
from rethinking.training.steps import set_precision

from .tiny import plain_whiten


def random_images(*shape, dtype=torch.uint8):
    values = np.random.default_rng(0).integers(0, 256, shape)
    return torch.from_numpy(values).to(dtype)


# --- whitening ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("shape", [(5, 3, 28, 28), (4, 1, 7, 9)])
def test_whiten(shape, dtype):
    images = random_images(*shape, dtype=dtype)
    images[0] //= 40  # low contrast: the floor decides
    images[1, 0] //= 2  # channels differ: statistics are over all of them
    whitened = whiten(images)
    assert whitened.dtype == torch.float32
    # Results of order one from float32 sums of a few thousand values.
    torch.testing.assert_close(whitened, plain_whiten(images.numpy()), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Four values: the floor is 1/2. Standard deviation 1/2, just there.
        ([0, 0, 255, 255], [-1, -1, 1, 1]),
        # 51 / 255 = 0.2: mean 0.1, deviation 0.1, which the floor of 0.5 replaces. Without the
        # division by 255 the deviation would be above the floor, with a second one far below.
        ([0, 0, 51, 51], [-0.2, -0.2, 0.2, 0.2]),
        ([200, 200, 200, 200], [0, 0, 0, 0]),
        ([0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_whiten_by_hand(values, expected):
    image = torch.tensor(values, dtype=torch.uint8).reshape(1, 1, 2, 2)
    # One image says nothing about another.
    batch = torch.cat([image, random_images(1, 1, 2, 2)])
    np.testing.assert_allclose(whiten(batch)[0].flatten().numpy(), expected, atol=1e-6)


# --- cropping -------------------------------------------------------------------------------------


def test_centre_crop_takes_the_middle():
    images = random_images(2, 3, 32, 32)
    assert torch.equal(centre_crop(images, 28), images[:, :, 2:30, 2:30])
    assert torch.equal(centre_crop(images, 32), images)
    # An odd margin has its larger half at the end, as in TensorFlow's resize_image_with_crop_or_pad.
    assert torch.equal(centre_crop(images[..., :10, :8], 7), images[..., 1:8, 0:7])


def test_crop_at():
    images = random_images(7, 3, 10, 9)
    offsets = torch.tensor([[0, 0], [3, 2], [0, 2], [3, 0], [1, 1], [2, 0], [2, 1]])
    crops = crop_at(images, offsets, 7)
    assert crops.shape == (7, 3, 7, 7)
    assert crops.dtype == torch.uint8
    for image, crop, (top, left) in zip(images, crops, offsets.tolist(), strict=True):
        assert torch.equal(crop, image[:, top : top + 7, left : left + 7])


# --- flips and rotations --------------------------------------------------------------------------

# Bilinear weights in float32 miss 0 and 1 by about 1e-6, on values of up to 255.
PIXEL_TOLERANCE = {"rtol": 0, "atol": 2e-3}


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("quarters", [-1, 0, 1, 2])
def test_right_angles_move_pixels(size, flip, quarters):
    images = random_images(3, 3, size, size)
    flips, angles = torch.full((3,), flip), torch.full((3,), 90.0 * quarters)
    expected = torch.rot90(images.float(), quarters, dims=(2, 3))
    if flip:
        expected = torch.flip(expected, dims=(3,))
    result = flip_and_rotate(images, flips, angles)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected, **PIXEL_TOLERANCE)


def test_each_image_has_its_own_flip_and_angle():
    images = random_images(4, 3, 9, 9)
    flips, angles = torch.tensor([True, False, True, False]), torch.tensor([25.0, -25.0, 0.0, 10.0])
    together = flip_and_rotate(images, flips, angles)
    for i in range(4):
        alone = flip_and_rotate(images[i : i + 1], flips[i : i + 1], angles[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, **PIXEL_TOLERANCE)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("degrees", [25.0, -10.0, 90.0])
@pytest.mark.parametrize(("height", "width"), [(21, 21), (21, 33), (40, 21)])
def test_rotation_moves_a_place_by_its_angle(height, width, degrees, flip):
    """A linear ramp along the x axis becomes a ramp along the turned axis; bilinear sampling keeps it exact."""
    y, x = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in (height, width)), indexing="ij")
    turned = flip_and_rotate(100 + x[None, None], torch.tensor([flip]), torch.tensor([degrees]))[0, 0]
    radians = np.deg2rad(degrees)
    expected = 100 + (-x if flip else x) * np.cos(radians) - y * np.sin(radians)
    inside = x**2 + y**2 < (min(height, width) / 2 - 1) ** 2
    torch.testing.assert_close(turned[inside], expected[inside], **PIXEL_TOLERANCE)
    if degrees != 90:
        assert turned[0, 0] == 0  # the corner comes from outside the image


# --- precision ------------------------------------------------------------------------------------


class Products(TorchFunctionMode):
    """Whether TF32 was allowed in each product of matrices."""

    def __init__(self):
        super().__init__()
        self.tf32 = []

    def __torch_function__(self, function, types, arguments=(), named=None):
        if function.__name__ in ("__matmul__", "matmul", "affine_grid"):
            self.tf32.append(torch.backends.cuda.matmul.allow_tf32)
        return function(*arguments, **named or {})


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_images_are_the_same_in_every_precision_of_the_network(precision):
    """On a GPU TF32 would place pixels with ten bits: up to two levels off."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    images = random_images(2, 3, 9, 9)
    try:
        set_precision(precision, torch.device("cuda"))
        with Products() as products:
            flip_and_rotate(images, torch.tensor([True, False]), torch.tensor([10.0, 20.0]))
            crop_and_resize(images, torch.tensor([[0, 1, 5, 6], [2, 2, 6, 7]]), 8)
        assert len(products.tf32) == 3
        assert not any(products.tf32)
        assert torch.backends.cuda.matmul.allow_tf32 == (precision != "float32")
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
