"""The convolutional network of Coates and Ng (2012) with random patches as filters (section 5, footnote 2).

Patches of 6x6 pixels are normalised (mean, standard deviation) and whitened (ZCA); each filter is a patch
of a training image, whitened and of length 1. Responses z become max(z - 0.25, 0) and max(-z - 0.25, 0), which are summed over the four
quadrants of the image. So a filter gives eight features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rethinking.streams import stream

PATCH = 6
THRESHOLD = 0.25
POOLED = 2  # quadrants along each side
FEATURES = 2 * POOLED**2  # of one filter
CONTRAST = 10.0  # added to the variance of a patch, on the scale of bytes
WHITENING = 0.1  # added to the eigenvalues of the patches' covariance
SAMPLED = 100_000  # patches for the whitening
BATCH_VALUES = 2**21  # responses held at a time, so that they stay in the processor's cache


@dataclass(frozen=True)
class RandomConvnet:
    """Whitened filters, (filters, d), and what their responses to the mean patch are, (filters,)."""

    filters: Tensor
    offsets: Tensor

    def part(self, rows: slice) -> RandomConvnet:
        """Some of the filters."""
        return RandomConvnet(self.filters[rows], self.offsets[rows])

    def features(self, images: Tensor) -> Tensor:
        """Features of images (n, channels, height, width) of bytes: (n, FEATURES * filters) float32."""
        positions = (images.shape[2] - PATCH + 1) * (images.shape[3] - PATCH + 1)
        on_cpu = images.device.type == "cpu"
        batch = max(1, (1 if on_cpu else 64) * BATCH_VALUES // (positions * len(self.filters)))
        return torch.cat([self._batch(some) for some in images.split(batch)])

    def _batch(self, images: Tensor) -> Tensor:
        height, width = (side - PATCH + 1 for side in images.shape[2:])
        patches = F.unfold(images.float(), PATCH).transpose(1, 2)  # (n, positions, d)
        response = normalise(patches) @ self.filters.T - self.offsets
        shrunk = F.softshrink(response, THRESHOLD).view(len(images), height, width, -1)
        pooled = []
        for rows in (slice(0, -(-height // 2)), slice(-(-height // 2), height)):
            for columns in (slice(0, -(-width // 2)), slice(-(-width // 2), width)):
                quadrant = shrunk[:, rows, columns].flatten(1, 2)
                # The positive and the negative part, from their difference and their sum.
                difference, total = quadrant.sum(1), quadrant.abs().sum(1)
                pooled += [(total + difference) / 2, (total - difference) / 2]
        return torch.cat(pooled, 1)


def draw_convnet(
    images: np.ndarray, filters: int, seed: int, dataset: str, device: torch.device
) -> RandomConvnet:
    """A network whose filters are patches of training images.

    The first filters of a larger network are those of a smaller one with the same seed.

    Args:
        images: (n, channels, height, width) of bytes.
        filters: how many.
        seed: of the draws.
        dataset: its name, which selects the streams.
        device: where the network is to work.
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
    """Random patches, float32 (count, channels * PATCH * PATCH); more of them begin with the same ones."""
    height, width = (side - PATCH + 1 for side in images.shape[2:])
    draws = stream(seed, purpose, dataset).random((count, 3))
    which, top, left = (draws * (len(images), height, width)).astype(np.int64).T
    patches = np.empty((count, images.shape[1], PATCH, PATCH), np.uint8)
    for place in np.argsort(which, kind="stable"):  # in the order of the file
        patches[place] = images[
            which[place], :, top[place] : top[place] + PATCH, left[place] : left[place] + PATCH
        ]
    return torch.from_numpy(patches).flatten(1).float()


def normalise(patches: Tensor) -> Tensor:
    """Patches (..., d) without their mean, divided by their standard deviation."""
    centred = patches - patches.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + CONTRAST).sqrt()
