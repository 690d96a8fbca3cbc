"""What the network sees: cropping and per-image whitening (appendix A)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from rethinking.registry import regulariser


@contextmanager
def full_precision() -> Iterator[None]:
    """Products of matrices in float32 on a GPU, where the cell's precision allows TF32: places in images need more bits."""
    matmul = torch.backends.cuda.matmul
    allowed, matmul.allow_tf32 = matmul.allow_tf32, False
    try:
        yield
    finally:
        matmul.allow_tf32 = allowed


def whiten(images: Tensor) -> Tensor:
    """TensorFlow's ``per_image_whitening``, as the paper applies it.

    Each image is divided by 255, its mean over all values subtracted and the result divided
    by max(standard deviation, 1 / sqrt(number of values)); the floor keeps flat images finite.

    Args:
        images: (n, channels, height, width) of pixel values on the scale 0 to 255, uint8 or float.

    Returns:
        float32 of the same shape.
    """
    values = images.float().flatten(1)
    centred = values - values.mean(1, keepdim=True)
    # A norm takes a third of the time of torch's std. On the scale of pixels the floor is 255 times as high.
    root = values.shape[1] ** 0.5
    deviation = torch.linalg.vector_norm(centred, dim=1, keepdim=True) / root
    return centred.div_(deviation.clamp(min=255 / root)).view(images.shape)


def centre_crop(images: Tensor, size: int) -> Tensor:
    """The central (n, channels, size, size) of each image."""
    top, left = (images.shape[2] - size) // 2, (images.shape[3] - size) // 2
    return images[:, :, top : top + size, left : left + size]


@regulariser("crop", heading=("random", "crop"))
def crop_at(images: Tensor, offsets: Tensor, size: int) -> Tensor:
    """Crop each image at its own offset, on the device.

    Args:
        images: (n, channels, height, width).
        offsets: (n, 2) int64, the top row and left column of each crop.
        size: height and width of the result.

    Returns:
        (n, channels, size, size).
    """
    index = torch.arange(size, device=images.device)
    rows = (offsets[:, :1] + index)[:, None, :, None]
    columns = (offsets[:, 1:] + index)[:, None, None, :]
    n = torch.arange(len(images), device=images.device)[:, None, None, None]
    channels = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
    return images[n, channels, rows, columns]


@regulariser("augment", heading=("flip and", "rotation"))
@full_precision()
def flip_and_rotate(images: Tensor, flips: Tensor, angles: Tensor) -> Tensor:
    """Mirror left-right where asked and rotate about the centre, without shearing (table 4: up to 25 degrees).

    Args:
        images: (n, channels, height, width).
        flips: (n,) bool.
        angles: (n,) degrees.

    Returns:
        float32 of the same shape, bilinear; places outside the image are zero.
    """
    radians = torch.deg2rad(angles)
    cos, sin, zero = torch.cos(radians), torch.sin(radians), torch.zeros_like(radians)
    sign = 1 - 2 * flips.float()
    # The grid scales each axis to -1..1, so what one axis adds to the other changes its unit.
    height, width = images.shape[2:]
    theta = torch.stack(
        [
            torch.stack([cos * sign, -sin * (height / width), zero], 1),
            torch.stack([sin * sign * (width / height), cos, zero], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, align_corners=False)
