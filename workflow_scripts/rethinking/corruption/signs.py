"""Samples of the training images with signs as labels, true or random (section 2.2).

A sample is stored like a prepared data set; its signs are an overlay like any other corruption.
"""

from pathlib import Path
from typing import Any

import numpy as np

from rethinking.corruption import Draws, stored_images
from rethinking.data.prepared import SPLITS, Split, accounted, digests, read_manifest, stored_array
from rethinking.registry import corruption
from rethinking.run.files import UserError, load_array, new_array, save_array, write_json
from rethinking.streams import stream


def write_sample(prepared: Path, folder: Path, n: int) -> dict[str, Any]:
    """Write a problem of two classes on n of the training images and on all test images; returns its manifest.

    Class 0 is the first half of the classes, class 1 the others. The images are the first n of one random order, so
    that samples are nested; they are the same for all seeds.

    Raises:
        UserError: there are fewer images.
    """
    manifest = read_manifest(prepared)
    dataset, count, classes = manifest["dataset"], manifest["train"]["count"], manifest["num_classes"]
    if n > count:
        raise UserError(
            f"a sample of {n} training images: {dataset} has {count} (datasets.{dataset}.train_limit); "
            f"give at most {count}"
        )
    chosen = {
        "train": np.sort(stream(0, "sample", dataset).permutation(count)[:n]),
        "test": np.arange(manifest["test"]["count"]),
    }
    manifest["drawn_from"] = {split: dict(manifest[split]) for split in SPLITS}
    names = manifest.get("class_names") or [str(number) for number in range(classes)]
    halves = [" or ".join(half) for half in (names[: classes // 2], names[classes // 2 :])]
    for split, index in chosen.items():
        images = stored_images(prepared, split)
        shape = (len(index), *images.shape[1:])
        with new_array(folder / f"{split}_images.npy", shape, images.dtype) as result:
            for target, i in zip(result, index, strict=True):
                target[:] = images[i]
        labels = stored_array(prepared, f"{split}_labels")[index]
        labels = (labels >= classes // 2).astype(labels.dtype)
        save_array(folder / f"{split}_labels.npy", labels)
        images = load_array(folder / f"{split}_images.npy")
        manifest[split] |= {
            "count": len(index),
            **accounted(split, Split(images, labels), halves),
            **digests(folder, split),
        }
    manifest |= {"num_classes": 2, "class_names": halves}
    write_json(folder / "manifest.json", manifest)
    return manifest


@corruption("true_signs_n{n:1..}", sample="n")
def true_signs(labels: np.ndarray, n: int) -> np.ndarray:
    """The labels of a sample, 0 and 1 for the signs -1 and +1."""
    return labels


@corruption("random_signs_n{n:1..}", sample="n")
def random_signs(labels: np.ndarray, draws: Draws, n: int) -> np.ndarray:
    """Signs with equal probability, one draw per seed, for training and test images."""
    return draws("random signs", str(n)).integers(2, size=len(labels)).astype(labels.dtype)
