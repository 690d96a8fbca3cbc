"""The convolutional network of Coates and Ng (2012) with random patches as filters (section 5, footnote 2).

Patches of 6x6 pixels are normalised (mean, standard deviation) and whitened (ZCA). Each filter is a patch of a training
image, whitened and scaled to length 1. Responses z become max(z - 0.25, 0) and max(-z - 0.25, 0), which are summed over
the four quadrants of the image. So each filter gives eight features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rethinking.streams import stream

PATCH = 6
THRESHOLD = 0.25
POOLED = 2  # quadrants along each side
FEATURES = 2 * POOLED**2  # of one filter
CONTRAST = 10.0  # added to the variance of a patch, on the scale of bytes
WHITENING = 0.1  # added to the eigenvalues of the patches' covariance
SAMPLED = 100_000  # patches for the whitening
# Responses per quadrant that are held at a time, so that they stay in the processor's cache.
BATCH_VALUES = 2**20


@dataclass(frozen=True)
class RandomConvnet:
    """Whitened filters, (filters, d), and their responses to the mean patch, (filters,)."""

    filters: Tensor
    offsets: Tensor

    def part(self, rows: slice) -> RandomConvnet:
        """Some of the filters."""
        return RandomConvnet(self.filters[rows], self.offsets[rows])

    def features(self, images: Tensor) -> Tensor:
        """Features of images (n, channels, height, width) of bytes: (n, FEATURES * filters) float32."""
        positions = (images.shape[2] - PATCH + 1) * (images.shape[3] - PATCH + 1) // POOLED**2
        on_cpu = images.device.type == "cpu"
        batch = max(1, (1 if on_cpu else 64) * BATCH_VALUES // (positions * len(self.filters)))
        return torch.cat([self._batch(some) for some in images.split(batch)])

    def _batch(self, images: Tensor) -> Tensor:
        pooled = []
        for patches in quadrants(images.float()):
            count = patches.shape[1]
            # One product of matrices (a batched one is slower), then a few passes over it while it is in the cache.
            shifted = (normalise(patches).flatten(0, 1) @ self.filters.T).view(len(images), count, -1)
            shifted -= self.offsets + THRESHOLD
            positive = shifted.clamp(min=0).sum(1)
            # max(-z - t, 0) = -min(z - t, -2t) - 2t
            negative = -shifted.clamp_(max=-2 * THRESHOLD).sum(1) - 2 * THRESHOLD * count
            pooled += [positive, negative]
        return torch.cat(pooled, 1)


def quadrants(images: Tensor) -> list[Tensor]:
    """The patches by the quadrant in which their corner lies, (n, positions, d) each."""
    patches = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1).permute(0, 2, 3, 1, 4, 5)
    rows, columns = ((slice(0, -(-side // POOLED)), slice(-(-side // POOLED), side)) for side in patches.shape[1:3])
    return [patches[:, some, others].flatten(3).flatten(1, 2) for some in rows for others in columns]


def draw_convnet(images: np.ndarray, filters: int, seed: int, dataset: str, device: torch.device) -> RandomConvnet:
    """A network whose filters are patches of training images.

    A larger network begins with the filters of a smaller one with the same seed.

    Args:
        images: (n, channels, height, width) of bytes.
        filters: how many.
        seed: of the draws.
        dataset: its name, which selects the streams.
        device: where the network runs.
    """
    sample = normalise(draw_patches(images, SAMPLED, seed, "patches for whitening", dataset)).double()
    mean = sample.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(sample.T))
    whitening = vectors @ ((values.clamp(min=0) + WHITENING).rsqrt()[:, None] * vectors.T)
    chosen = normalise(draw_patches(images, filters, seed, "patches as filters", dataset)).double()
    whitened = (chosen - mean) @ whitening
    whitened /= torch.linalg.vector_norm(whitened, dim=1, keepdim=True).clamp(min=1e-12)
    weights = whitened @ whitening
    return RandomConvnet(weights.float().to(device), (weights @ mean).float().to(device))


def draw_patches(images: np.ndarray, count: int, seed: int, purpose: str, dataset: str) -> Tensor:
    """Random patches, float32 (count, channels * PATCH * PATCH); a larger count begins with the same patches."""
    height, width = (side - PATCH + 1 for side in images.shape[2:])
    draws = stream(seed, purpose, dataset).random((count, 3))
    which, top, left = (draws * (len(images), height, width)).astype(np.int64).T
    patches = np.empty((count, images.shape[1], PATCH, PATCH), np.uint8)
    for place in np.argsort(which, kind="stable"):  # in the order of the file
        patches[place] = images[which[place], :, top[place] : top[place] + PATCH, left[place] : left[place] + PATCH]
    return torch.from_numpy(patches).flatten(1).float()


def normalise(patches: Tensor) -> Tensor:
    """Patches (..., d) without their mean, divided by their standard deviation."""
    centred = patches - patches.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + CONTRAST).sqrt()
