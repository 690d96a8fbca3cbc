"""What networks see of ImageNet, as in TensorFlow's Inception package (the paper's appendix A names it).

Evaluation and training without augmentation take the central 87.5 % of each side, resized. Augmentation crops 10 to
100 % of the area at an aspect of 3/4 to 4/3, mirrors, and distorts brightness, saturation, hue and contrast. Values end
in [-1, 1]. What is drawn is a row of uniform numbers per image, so that it is the same on every device.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rethinking.training.preprocessing import full_precision

DRAWS = 10  # per image: aspect, height, top, left; mirror; order, brightness, saturation, hue, contrast
CENTRAL = 0.875
AREA = (0.05, 1.0)
ASPECT = (3 / 4, 4 / 3)
COVERED = 0.1  # of the image, which is the bounding box where there is none (min_object_covered)
ATTEMPTS = 100
BRIGHTNESS, HUE = 32 / 255, 0.2
FACTORS = (0.5, 1.5)  # of saturation and contrast
CACHED_VALUES = 1 << 18
GPU_VALUES = 1 << 23  # 31 images of 299x299

Box = tuple[int, int, int, int]  # top, left, height, width in pixels


def central_box(height: int, width: int) -> Box:
    """The central part, 87.5 % of each side."""
    top, left = (int((side - side * CENTRAL) / 2) for side in (height, width))
    return top, left, height - 2 * top, width - 2 * left


def random_box(draws: np.ndarray, height: int, width: int) -> Box:
    """The crop that four uniform numbers choose, as TensorFlow's ``sample_distorted_bounding_box`` draws it.

    Crops that cover less than a tenth of the image are drawn again, from a stream that follows from the numbers. Where
    there is none, the whole image is taken.
    """
    if box := attempt(draws, height, width):
        return box
    again = np.random.Generator(np.random.PCG64(np.frombuffer(draws.tobytes(), np.uint32).tolist()))
    for _ in range(ATTEMPTS - 1):
        if box := attempt(again.random(4), height, width):
            return box
    return 0, 0, height, width


def attempt(draws: np.ndarray, height: int, width: int) -> Box | None:
    """One crop: the aspect is drawn first, then the height among those that keep area and aspect; None if it is too small."""
    aspect = ASPECT[0] + (ASPECT[1] - ASPECT[0]) * float(draws[0])
    low, high = (round(math.sqrt(share * height * width / aspect)) for share in AREA)
    high = min(high, height, int((width + 0.5 - 1e-7) / aspect))
    low = min(low, high)
    tall = low + int(float(draws[1]) * (high - low + 1))
    wide = round(tall * aspect)
    if tall * wide < AREA[0] * height * width:
        tall += 1
        wide = round(tall * aspect)
    if not (0 < tall <= height and 0 < wide <= width and tall * wide >= COVERED * height * width):
        return None
    top = int(float(draws[2]) * (height - tall + 1))
    left = int(float(draws[3]) * (width - wide + 1))
    return top, left, tall, wide


def crop_and_resize(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut a box out of each image and resize it: bilinear, with antialiasing, as PIL and torchvision do.

    Args:
        images: (n, channels, height, width), uint8.
        boxes: (n, 4) int64: top, left, height, width.
        size: height and width of the result.

    Returns:
        (n, channels, size, size), float32 of whole levels 0 to 255.
    """
    # A whole batch would take four times the memory of its result. Products of few matrices leave cores of a CPU idle.
    result = torch.empty((*images.shape[:2], size, size), device=images.device)
    block = max(1, GPU_VALUES // images.shape[1:].numel())
    for here in (slice(start, start + block) for start in range(0, len(images), block)):
        result[here] = crop_and_resize_block(images[here], boxes[here], size)
    return result


@full_precision()
def crop_and_resize_block(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """See :func:`crop_and_resize`."""
    rows = resizing_weights(boxes[:, 0], boxes[:, 2], size, images.shape[2])
    columns = resizing_weights(boxes[:, 1], boxes[:, 3], size, images.shape[3])
    # PIL rounds after each direction.
    wide = (images.float() @ columns[:, None].transpose(2, 3)).round_()
    return (rows[:, None] @ wide).round_()


def resizing_weights(start: Tensor, length: Tensor, size: int, extent: int) -> Tensor:
    """Weights (n, size, extent) of the places along one side in each place of the result."""
    scale = (length / size)[:, None, None]
    places = torch.arange(extent, device=start.device)[None, None] - start[:, None, None]
    centres = (torch.arange(size, device=start.device)[None, :, None] + 0.5) * scale
    weights = (1 - (places + 0.5 - centres).abs() / scale.clamp(min=1)).clamp(min=0)
    weights = weights * ((places >= 0) & (places < length[:, None, None]))
    return weights / weights.sum(2, keepdim=True)


def in_blocks(change: Callable[..., Tensor], images: Tensor, *draws: Tensor) -> Tensor:
    """Apply a function to images, on a CPU to as many at a time as its cache holds, on a GPU to those of a micro-batch.

    A whole batch of ImageNet, with all that lies between levels and colours, would take gigabytes.
    """
    result = torch.empty_like(images, dtype=torch.float32)
    values = CACHED_VALUES if images.device.type == "cpu" else GPU_VALUES
    block = max(1, values // images.shape[1:].numel())
    for start in range(0, len(images), block):
        here = slice(start, start + block)
        result[here] = change(images[here], *(each[here] for each in draws))
    return result


def to_range(images: Tensor) -> Tensor:
    """Levels 0 to 255 -> float32 in [-1, 1]."""
    return in_blocks(lambda block: block.float().mul_(2 / 255).sub_(1), images)


def distort(images: Tensor, draws: Tensor) -> Tensor:
    """Mirror images and distort their colours where the draws say so.

    Args:
        images: (n, 3, height, width), levels 0 to 255.
        draws: (n, DRAWS) uniform numbers, of which the last six are used, float32.

    Returns:
        float32 of the same shape in [-1, 1].
    """
    return in_blocks(distort_block, images.contiguous(), draws)


def distort_block(images: Tensor, draws: Tensor) -> Tensor:
    """See :func:`distort`."""
    flips, order, brightness, saturation, hue, contrast = draws[:, 4:, None, None, None].unbind(1)
    low, high = FACTORS
    images = images.float().mul_(1 / 255).add_((2 * brightness - 1) * BRIGHTNESS)
    images = torch.where(flips < 0.5, images.flip(3), images)
    contrast = low + (high - low) * contrast
    first = order < 0.5  # the package distorts in one of two orders
    images = change_contrast(images, torch.where(first, contrast, 1))
    images = change_colours(images, low + (high - low) * saturation, (2 * hue - 1) * HUE)
    images = change_contrast(images, torch.where(first, 1, contrast))
    return images.clamp_(0, 1).mul_(2).sub_(1)


def change_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance from the mean of each channel of each image, in place; ``factor`` is (n, 1, 1, 1)."""
    mean = images.mean((2, 3), keepdim=True)
    return images.mul_(factor).add_(mean * (1 - factor))


def change_colours(images: Tensor, factor: Tensor, turn: Tensor) -> Tensor:
    """Scale the saturation and turn the hue in HSV, whose value is kept; ``factor`` and ``turn`` are (n, 1, 1, 1).

    The result takes the place of the images.
    """
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    # Hue in [0, 6): red is 0, green 2, blue 4.
    most_red, most_green = value == red, value == green
    hue = torch.where(most_green, blue - red, red - green)
    hue = torch.where(most_red, green - blue, hue).div_(chroma.clamp(min=1e-12))
    hue += torch.where(most_red, 0.0, torch.where(most_green, 2.0, 4.0)) + 6 * turn[:, 0]
    hue -= torch.floor(hue * (1 / 6)).mul_(6)
    # The saturation, chroma / value, ends at 1.
    chroma = torch.minimum(chroma.mul_(factor[:, 0]), value.clamp(min=0))
    for channel, (middle, sign, offset) in enumerate(((3, -1, 2), (2, 1, -1), (4, 1, -1))):
        share = (hue - middle).abs_().mul_(sign).add_(offset).clamp_(0, 1)
        torch.sub(value, share.mul_(chroma), out=images[:, channel])
    return images
