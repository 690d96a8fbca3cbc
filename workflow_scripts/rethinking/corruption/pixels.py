"""Pixels shuffled or replaced by noise (section 2.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rethinking.cells import PIXEL_CORRUPTIONS
from rethinking.corruption import BLOCK, SPLITS
from rethinking.run.files import load_array, new_array, sha256_array, write_json
from rethinking.streams import stream


def write(prepared: Path, folder: Path, corruption: str, dataset: str, seed: int) -> dict[str, Any]:
    """Write the images of a pixel corruption for train and test, and its manifest, which is returned.

    ``shuffled_pixels`` applies one permutation of the pixel positions to all images of both
    splits, ``random_pixels`` one per image; channels move together. ``gaussian`` replaces every
    value by a draw from a normal distribution with the mean and variance of all training
    values, as float32 and not clipped to the range of bytes.
    """
    manifest: dict[str, Any] = {"dataset": dataset, "corruption": corruption, "seed": seed}
    train = load_array(prepared / "train_images.npy")
    positions = train.shape[2] * train.shape[3]
    if corruption == "shuffled_pixels":
        shared = stream(seed, "pixel permutation", dataset).permutation(positions)
        manifest["permutation_sha256"] = sha256_array(shared)
    elif corruption == "gaussian":
        mean, variance = moments(train)
        manifest |= {"mean": mean, "variance": variance}
    elif corruption not in PIXEL_CORRUPTIONS:
        raise ValueError(f"'{corruption}' does not change pixels")

    for split in SPLITS:
        images = load_array(prepared / f"{split}_images.npy")
        rng = stream(seed, corruption, dataset, split)
        dtype = np.float32 if corruption == "gaussian" else images.dtype
        permutations = []
        with new_array(folder / f"{split}_images.npy", images.shape, dtype) as result:
            for start in range(0, len(images), BLOCK):
                block = np.asarray(images[start : start + BLOCK])
                if corruption == "gaussian":
                    noise = rng.standard_normal(block.shape, dtype=np.float32)
                    result[start : start + BLOCK] = mean + np.sqrt(variance) * noise
                    continue
                if corruption == "random_pixels":
                    order = rng.permuted(np.tile(np.arange(positions), (len(block), 1)), axis=1)
                    permutations.append(order.astype(np.uint16))
                else:
                    order = np.broadcast_to(shared, (len(block), positions))
                result[start : start + BLOCK] = permute_pixels(block, order)
        manifest[split] = {"images_sha256": sha256_array(load_array(folder / f"{split}_images.npy"))}
        if permutations:
            manifest[split]["permutations_sha256"] = sha256_array(np.concatenate(permutations))
    write_json(folder / "manifest.json", manifest)
    return manifest


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


def moments(images: np.ndarray) -> tuple[float, float]:
    """Mean and variance over all values of all images, block by block."""
    total = square = 0.0
    for start in range(0, len(images), BLOCK):
        block = np.asarray(images[start : start + BLOCK], dtype=np.float64)
        total += block.sum()
        square += np.square(block).sum()
    mean = total / images.size
    return float(mean), float(square / images.size - mean**2)
