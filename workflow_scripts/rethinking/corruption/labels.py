"""Labels replaced by random ones with probability p (section 2.1).

Label corruption is nested: an image corrupted at p is corrupted, with the same new label, at every larger p.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rethinking.cells import label_corruption
from rethinking.corruption import SPLITS
from rethinking.run.files import load_array, read_json, save_array, sha256_array, write_json
from rethinking.streams import stream


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


def write(prepared: Path, folder: Path, corruption: str, dataset: str, seed: int) -> dict[str, Any]:
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
