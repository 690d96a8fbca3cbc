"""Gabor features (section 5, "wavelet preprocessing"): a bank of oriented filters, rectified and pooled.

The paper names Gabor wavelets and gives no details. We use two wavelengths, eight orientations, and even and odd
filters. Each response is split into its positive and its negative part, blurred by a Gaussian and sampled on a grid.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

ORIENTATIONS = 8
WAVELENGTHS = (3.0, 5.0)  # pixels
WIDTH = 0.5  # standard deviation of a filter's envelope, divided by its wavelength
POOLING = 2.5  # standard deviation of the blur, pixels
STRIDE = 4  # of the grid, pixels


def gabor_filters(wavelength: float) -> Tensor:
    """Even and odd filters of all orientations, (2 * ORIENTATIONS, 1, size, size); each sums to zero."""
    sigma = WIDTH * wavelength
    half = math.ceil(2.5 * sigma)
    y, x = torch.meshgrid(*[torch.arange(-half, half + 1, dtype=torch.float32)] * 2, indexing="ij")
    envelope = torch.exp(-(x**2 + y**2) / (2 * sigma**2))
    envelope /= envelope.sum()
    even, odd = [], []
    for orientation in range(ORIENTATIONS):
        angle = math.pi * orientation / ORIENTATIONS
        phase = 2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / wavelength
        wave = torch.cos(phase) * envelope
        even.append(wave - envelope * wave.sum())  # no response to flat areas
        odd.append(torch.sin(phase) * envelope)
    return torch.stack(even + odd)[:, None]


def gabor_features(images: Tensor) -> Tensor:
    """Features of images.

    Args:
        images: (n, channels, height, width) of bytes; colours are averaged.

    Returns:
        (n, d) float32, d = 2 wavelengths x 8 orientations x 4 parts x grid; 3,136 for 28x28 pixels.
    """
    grey = images.float().mean(1, keepdim=True) / 255
    half = math.ceil(3 * POOLING)
    blur = torch.exp(-(torch.arange(-half, half + 1, device=images.device) ** 2) / (2 * POOLING**2))
    blur /= blur.sum()
    features = []
    for wavelength in WAVELENGTHS:
        filters = gabor_filters(wavelength).to(images.device)
        response = F.conv2d(grey, filters, padding=filters.shape[-1] // 2)
        parts = torch.cat([response.clamp(min=0), (-response).clamp(min=0)], 1)
        channels = parts.shape[1]
        for shape, padding, stride in (((-1, 1), (half, 0), (STRIDE, 1)), ((1, -1), (0, half), (1, STRIDE))):
            weight = blur.view(1, 1, *shape).expand(channels, -1, -1, -1)
            parts = F.conv2d(parts, weight, padding=padding, stride=stride, groups=channels)
        features.append(parts.flatten(1))
    return torch.cat(features, 1)
