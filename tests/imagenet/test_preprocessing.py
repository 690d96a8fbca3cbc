"""Crops and distorted colours of training images against PIL, torchvision and formulas."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as transforms
from PIL import Image

from rethinking.training import inception_preprocessing
from rethinking.training.inception_preprocessing import (
    DRAWS,
    attempt,
    crop_and_resize,
    distort,
    in_blocks,
    random_box,
    to_range,
)

from .image_sets import picture

SIZE = 20


def as_tensor(image):
    """An image of PIL as bytes of (channels, height, width)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.mark.parametrize("box", [(3, 5, 20, 31), (0, 0, 40, 50), (10, 2, 9, 7)])
def test_crops_on_the_device_are_those_of_pil_to_a_level(box):
    top, left, height, width = box
    image = picture(9, size=(50, 40))
    pixels = as_tensor(image)[None]
    expected = image.crop((left, top, left + width, top + height)).resize((SIZE, SIZE), Image.BILINEAR)
    ours = crop_and_resize(pixels, torch.tensor([box]), SIZE)[0]
    away = (ours - as_tensor(expected)).abs()
    assert away.max() <= 1
    assert away.mean() < 0.1  # rounded after one direction alone, 0.16 of the values of the last box are away


def test_random_crops_keep_area_and_aspect():
    rng = np.random.default_rng(0)
    boxes = np.array([random_box(rng.random(4), 375, 500) for _ in range(4000)])
    top, left, height, width = boxes.T
    assert (boxes >= 0).all()
    assert ((top + height <= 375) & (left + width <= 500)).all()
    area, aspect = height * width / (375 * 500), width / height
    assert 0.1 <= area.min() < 0.12  # TensorFlow's min_object_covered, of an image without boxes
    assert area.max() > 0.9
    assert aspect.min() == pytest.approx(3 / 4, abs=0.02)
    assert aspect.max() == pytest.approx(4 / 3, abs=0.02)
    assert 0.1 < np.mean(area < 0.2) < 0.4  # the height is drawn evenly, not the area
    assert top[height < 200].std() > 50
    assert ((top + height == 375) & (height < 375)).any()  # also at the very end
    assert ((left + width == 500) & (width < 500)).any()


def test_heights_of_crops_begin_at_a_twentieth_of_the_area():
    """An aspect of 1 is 3/7 of the way from 3/4 to 4/3; heights are 22, root of 5 % of 10,000, to 100."""
    for drawn, height in ((0.5, 61), (0.2, 37), (0.9999, 100)):
        assert random_box(np.array([3 / 7, drawn, 0, 0]), 100, 100) == (0, 0, height, height)
    assert random_box(np.array([3 / 7, 0.5, 0.25, 0.75]), 100, 100) == (10, 30, 61, 61)
    # Height 1 would be 1 wide, less than a twentieth of the area, so that the next height is taken.
    assert random_box(np.array([1.0, 0, 0, 0]), 6, 6) == (0, 0, 2, 3)


@pytest.mark.parametrize(("drawn", "height", "width"), [(0, 200, 49), (0, 200, 50), (3 / 7, 50, 100)])
def test_crops_have_each_height_at_which_they_fit(monkeypatch, drawn, height, width):
    """Also where the image has no place for all of its area at an aspect."""
    monkeypatch.setattr(inception_preprocessing, "COVERED", 0)
    aspect, area = 3 / 4 + (4 / 3 - 3 / 4) * drawn, height * width
    low, high = (round((share * area / aspect) ** 0.5) for share in (0.05, 1))
    sizes = {(tall, round(tall * aspect)) for tall in range(low, min(high, height) + 1)}
    found = {attempt(np.array([drawn, share, 0, 0]), height, width) for share in np.linspace(0, 0.9999, 1000)}
    assert found == {(0, 0, tall, wide) for tall, wide in sizes if wide <= width}


def test_no_crop_of_a_narrow_image_is_possible():
    """At an aspect of 3/4 or more a tenth of it has no place."""
    assert random_box(np.full(4, 0.5), 1000, 50) == (0, 0, 1000, 50)


def rows(**values):
    """Draws of one image that change nothing but what is named."""
    names = ("flip", "order", "brightness", "saturation", "hue", "contrast")
    neutral = {"flip": 0.9, "order": 0.1, "brightness": 0.5, "saturation": 0.5, "hue": 0.5, "contrast": 0.5}
    return torch.tensor([[0.0] * (DRAWS - 6) + [(neutral | values)[name] for name in names]])


def saturated(image, factor):
    """HSV keeps the value and scales the distance from it, up to a saturation of 1."""
    value, least = image.amax(0), image.amin(0)
    return value - (value - image) * (value / (value - least)).clamp(max=factor)


def flat(image):
    return 0.5 * image + 0.5 * image.mean((1, 2), keepdim=True)


@pytest.mark.parametrize(
    ("values", "transform"),
    [
        ({}, lambda image: image),
        ({"flip": 0.1}, transforms.functional.horizontal_flip),
        ({"brightness": 1.0}, lambda image: (image + 32 / 255).clamp(0, 1)),
        ({"saturation": 0.2}, lambda image: saturated(image, 0.7)),
        ({"saturation": 1.0}, lambda image: saturated(image, 1.5)),
        ({"contrast": 0.0}, flat),
        ({"contrast": 0.0, "saturation": 0.2}, lambda image: saturated(flat(image), 0.7)),
        ({"contrast": 0.0, "saturation": 0.2, "order": 0.9}, lambda image: flat(saturated(image, 0.7))),
        ({"hue": 1.0}, lambda image: transforms.functional.adjust_hue(image, 0.2)),
        ({"hue": 0.1}, lambda image: transforms.functional.adjust_hue(image, -0.16)),
    ],
)
def test_colours_are_distorted_as_named(values, transform):
    image = as_tensor(picture(3))
    image[:, 0] = 128  # grey, which has no hue
    ours = (distort(image[None], rows(**values))[0] + 1) / 2
    torch.testing.assert_close(ours, transform(image / 255), atol=2e-5, rtol=0)


def test_colours_do_not_depend_on_the_batch(monkeypatch):
    monkeypatch.setattr(inception_preprocessing, "CACHED_VALUES", 4 * as_tensor(picture(0)).numel())
    images = torch.stack([as_tensor(picture(i)) for i in range(9)])
    draws = torch.rand((9, DRAWS), generator=torch.Generator().manual_seed(0))
    whole = distort(images, draws)
    assert torch.equal(whole[4:6], distort(images[4:6], draws[4:6]))
    assert whole.min() >= -1
    assert whole.max() <= 1


@pytest.mark.parametrize(("device", "most"), [("cpu", 2), ("meta", 31)])
def test_images_are_changed_few_at_a_time(device, most):
    """A device without memory stands for a GPU."""
    counts = []
    images = torch.empty(64, 3, 299, 299, device=device, dtype=torch.uint8)
    assert len(in_blocks(lambda block: counts.append(len(block)) or block.float(), images)) == 64
    assert max(counts) <= most


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_crops_are_cut_out_few_at_a_time(monkeypatch, device):
    """A whole batch of ImageNet would take gigabytes beside its result. The bits are those of all images at once."""
    counts, cut = [], inception_preprocessing.crop_and_resize_block

    def count(images, *arguments):
        counts.append(len(images))
        return cut(images, *arguments)

    monkeypatch.setattr(inception_preprocessing, "crop_and_resize_block", count)
    images = torch.stack([as_tensor(picture(i, size=(50, 40))) for i in range(9)]).to(device)
    rng = np.random.default_rng(0)
    boxes = torch.tensor([random_box(rng.random(4), 40, 50) for _ in images]).to(device)
    monkeypatch.setattr(inception_preprocessing, "GPU_VALUES", 2 * images[0].numel() + 1)
    crops = crop_and_resize(images, boxes, SIZE)
    assert counts == [2, 2, 2, 2, 1]
    assert crops.shape == (9, 3, SIZE, SIZE)
    assert device == "meta" or torch.equal(crops, cut(images, boxes, SIZE))


def test_range():
    assert to_range(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == pytest.approx([-1, 1])
