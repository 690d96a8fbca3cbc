"""Randomised data sets (section 2.1): labels replaced, pixels shuffled or replaced by noise.

A corruption is stored as an overlay on the prepared data set: the arrays that it changes
and a manifest. All draws are made once, from streams named after their purpose, and stay
fixed over epochs and cells. Label corruption is nested: an image corrupted at p is
corrupted, with the same new label, at every larger p.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rethinking.cells import PIXEL_CORRUPTIONS, label_corruption
from rethinking.files import UserError, load_array, new_array, read_json, save_array, sha256_array, write_json
from rethinking.streams import stream

BLOCK = 2048  # images held in memory at a time
SPLITS = ("train", "test")


def corrupt_labels(
    labels: np.ndarray, p: float, num_classes: int, seed: int, dataset: str, split: str
) -> np.ndarray:
    """Replace each label with probability ``p`` by a class drawn uniformly from all classes.

    The new class may equal the old one, so the expected fraction of changed labels is
    p (1 - 1 / num_classes).

    Args:
        labels: (n,) int64.
        p: probability of replacement, 0 to 1.
        num_classes: classes to draw from.
        seed: the cell's seed.
        dataset: name of the data set, which selects the stream.
        split: ``train`` or ``test``; each has draws of its own.

    Returns:
        (n,) int64.
    """
    # Both draws are made for every image whatever p is: this is what nests the corruptions.
    thresholds = stream(seed, "which labels", dataset, split).random(len(labels))
    replacements = stream(seed, "new labels", dataset, split).integers(num_classes, size=len(labels))
    return np.where(thresholds < p, replacements, labels)


def write_corrupted_labels(
    prepared: Path, folder: Path, corruption: str, dataset: str, seed: int
) -> dict[str, Any]:
    """Write the labels of a label corruption for train and test, and its manifest, which is returned."""
    p = label_corruption(corruption)
    num_classes = read_json(prepared / "manifest.json")["num_classes"]
    manifest = {
        "dataset": dataset,
        "corruption": corruption,
        "seed": seed,
        "probability": p,
        "expected_fraction_changed": p * (1 - 1 / num_classes),
    }
    for split in SPLITS:
        labels = load_array(prepared / f"{split}_labels.npy")
        corrupted = corrupt_labels(labels, p, num_classes, seed, dataset, split)
        save_array(folder / f"{split}_labels.npy", corrupted)
        manifest[split] = {
            "labels_sha256": sha256_array(corrupted),
            "fraction_changed": float(np.mean(corrupted != labels)),
        }
    write_json(folder / "manifest.json", manifest)
    return manifest


def write_corrupted_images(
    prepared: Path, folder: Path, corruption: str, dataset: str, seed: int
) -> dict[str, Any]:
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


@dataclass(frozen=True)
class CorruptedData:
    """What a cell trains on and is tested on."""

    train_images: np.ndarray  # (n, channels, height, width) uint8, or float32 on the scale of bytes
    train_labels: np.ndarray  # (n,) int64, as given to the network
    train_labels_true: np.ndarray  # (n,) int64
    test_images: np.ndarray  # (m, channels, height, width)
    test_labels: np.ndarray  # (m,) int64, clean
    test_labels_corrupted: np.ndarray  # (m,) int64, corrupted at the training p
    num_classes: int


def load_corrupted(prepared: Path, overlay: Path) -> CorruptedData:
    """Read a prepared data set through a corruption's overlay: its arrays win where it has them.

    Raises:
        UserError: the two do not fit; the message names the folder.
    """
    manifest = read_json(prepared / "manifest.json")

    def array(name: str) -> np.ndarray:
        changed = overlay / f"{name}.npy"
        return load_array(changed if changed.exists() else prepared / f"{name}.npy")

    data = CorruptedData(
        train_images=array("train_images"),
        train_labels=np.array(array("train_labels")),
        train_labels_true=np.array(load_array(prepared / "train_labels.npy")),
        test_images=array("test_images"),
        test_labels=np.array(load_array(prepared / "test_labels.npy")),
        test_labels_corrupted=np.array(array("test_labels")),
        num_classes=manifest["num_classes"],
    )
    for split, images, labels in (
        ("train", data.train_images, data.train_labels),
        ("test", data.test_images, data.test_labels_corrupted),
    ):
        if not len(images) == len(labels) == manifest[split]["count"]:
            raise UserError(
                f"{overlay} has {len(images)} {split} images and {len(labels)} {split} labels, but {prepared} has "
                f"{manifest[split]['count']}; delete {overlay} to have it made again"
            )
    return data
