"""Pixels shuffled or replaced by noise (section 2.1): images (n, channels, height, width) to images of the same shape."""

import numpy as np

from rethinking.corruption import Draws
from rethinking.registry import corruption


@corruption("shuffled_pixels")
def shuffle_pixels(images: np.ndarray, draws: Draws) -> np.ndarray:
    """Apply one permutation of the pixel positions to all images of both splits; channels move together."""
    flat = images.reshape(*images.shape[:2], -1)
    order = draws.shared("pixel permutation").permutation(flat.shape[2])
    return np.take(flat, order, axis=2).reshape(images.shape)


@corruption("random_pixels")
def shuffle_each(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute the pixel positions of each image by its own permutation; channels move together, which is guessed."""
    last = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    # All channels of a pixel as one item.
    pixels = last.view(f"V{last.itemsize * last.shape[3]}").reshape(len(images), -1)
    return rng.permuted(pixels, axis=1).view(images.dtype).reshape(last.shape).transpose(0, 3, 1, 2)


@corruption("shuffled_values")
def shuffle_values(images: np.ndarray, draws: Draws) -> np.ndarray:
    """Apply one permutation of all values to all images of both splits, so that channels are mixed."""
    return shuffle_pixels(images.reshape(len(images), 1, -1), draws).reshape(images.shape)


@corruption("random_values")
def shuffle_values_of_each(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Permute all values of each image by its own permutation, so that no colours are left."""
    return rng.permuted(images.reshape(len(images), -1), axis=1).reshape(images.shape)


@corruption("gaussian")
def replace_by_noise(images: np.ndarray, rng: np.random.Generator, moments: tuple[float, float]) -> np.ndarray:
    """Draw every value from a normal distribution with the mean and variance of all training values.

    float32, not clipped to the range of bytes.
    """
    mean, variance = moments
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    return (mean + np.sqrt(variance) * noise).astype(np.float32)
