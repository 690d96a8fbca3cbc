"""Pixels shuffled or replaced by noise (section 2.1)."""

from __future__ import annotations

import numpy as np

from rethinking.corruption import Draws
from rethinking.registry import corruption


@corruption("shuffled_pixels")
def shuffle_pixels(images: np.ndarray, draws: Draws) -> np.ndarray:
    """Apply one permutation of the pixel positions to all images of both splits; channels move together."""
    positions = images.shape[2] * images.shape[3]
    shared = draws.shared("pixel permutation").permutation(positions)
    return permute_pixels(images, np.broadcast_to(shared, (len(images), positions)))


@corruption("random_pixels")
def shuffle_each(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute the pixel positions of each image by its own permutation; channels move together."""
    positions = images.shape[2] * images.shape[3]
    return permute_pixels(images, rng.permuted(np.tile(np.arange(positions), (len(images), 1)), axis=1))


@corruption("shuffled_values")
def shuffle_values(images: np.ndarray, draws: Draws) -> np.ndarray:
    """Apply one permutation of all values to all images of both splits, so that channels are mixed."""
    return shuffle_pixels(as_one_channel(images), draws).reshape(images.shape)


@corruption("random_values")
def shuffle_values_of_each(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute all values of each image by its own permutation, so that no colours are left."""
    return shuffle_each(as_one_channel(images), rng).reshape(images.shape)


@corruption("gaussian")
def replace_by_noise(
    images: np.ndarray, rng: np.random.Generator, moments: tuple[float, float]
) -> np.ndarray:
    """Draw every value from a normal distribution with the mean and variance of all training values.

    float32, not clipped to the range of bytes.
    """
    mean, variance = moments
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    return (mean + np.sqrt(variance) * noise).astype(np.float32)


def as_one_channel(images: np.ndarray) -> np.ndarray:
    """Images (n, channels, height, width) as (n, 1, channels * height, width)."""
    count, channels, height, width = images.shape
    return images.reshape(count, 1, channels * height, width)


def permute_pixels(images: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Move pixels: result[i, c, k] = images[i, c, order[i, k]] over flattened positions k.

    Args:
        images: (n, channels, height, width).
        order: (n, height * width) permutations.

    Returns:
        (n, channels, height, width).
    """
    flat = images.reshape(*images.shape[:2], -1)
    return np.take_along_axis(flat, order[:, None, :], axis=2).reshape(images.shape)
