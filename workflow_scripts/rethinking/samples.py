"""Data sets that capacity is measured on (section 2.2): samples with signs as labels, and one example replaced.

A sample is stored like a prepared data set; signs and replacements are overlays like any other corruption.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rethinking.cells import Cell, label_corruption, replaced_example, sample_size
from rethinking.corruption import BLOCK, SPLITS, corrupt_labels
from rethinking.files import UserError, load_array, new_array, read_json, save_array, sha256_array, write_json
from rethinking.streams import stream


def write_sample(prepared: Path, folder: Path, n: int) -> dict[str, Any]:
    """Write a problem of two classes on n of the training images and on all test images; returns its manifest.

    Class 0 is the first half of the classes, class 1 the others. The images are the first n of one random order, so
    that samples are nested; they are the same for all seeds.

    Raises:
        UserError: there are fewer images.
    """
    manifest = read_json(prepared / "manifest.json")
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
    for split, index in chosen.items():
        images = load_array(prepared / f"{split}_images.npy")
        with new_array(
            folder / f"{split}_images.npy", (len(index), *images.shape[1:]), images.dtype
        ) as result:
            for start in range(0, len(index), BLOCK):
                result[start : start + BLOCK] = images[index[start : start + BLOCK]]
        labels = load_array(prepared / f"{split}_labels.npy")[index]
        labels = (labels >= classes // 2).astype(labels.dtype)
        save_array(folder / f"{split}_labels.npy", labels)
        manifest[split] |= {
            "count": len(index),
            "images_sha256": sha256_array(load_array(folder / f"{split}_images.npy")),
            "labels_sha256": sha256_array(labels),
        }
    names = manifest.get("class_names") or [str(number) for number in range(classes)]
    halves = names[: classes // 2], names[classes // 2 :]
    manifest |= {"num_classes": 2, "class_names": [" or ".join(half) for half in halves]}
    write_json(folder / "manifest.json", manifest)
    return manifest


def write_signs(sample: Path, folder: Path, corruption: str, dataset: str, seed: int) -> dict[str, Any]:
    """Write the labels of a sample, 0 and 1 for the signs -1 and +1, and a manifest, which is returned.

    Random signs are drawn with equal probability, one draw per seed, for training and test images.
    """
    random = corruption.startswith("random")
    manifest: dict[str, Any] = {"dataset": dataset, "corruption": corruption, "seed": seed}
    for split in SPLITS:
        labels = np.array(load_array(sample / f"{split}_labels.npy"))
        if random:
            generator = stream(seed, "random signs", dataset, split, str(sample_size(corruption)))
            labels = generator.integers(2, size=len(labels)).astype(labels.dtype)
        save_array(folder / f"{split}_labels.npy", labels)
        manifest[split] = {"labels_sha256": sha256_array(labels), "fraction_positive": float(labels.mean())}
    write_json(folder / "manifest.json", manifest)
    return manifest


def write_replacement(
    prepared: Path, folder: Path, corruption: str, dataset: str, seed: int
) -> dict[str, Any]:
    """Write a training set with one example replaced, with the labels of both splits, and a manifest, which is returned.

    The new example is an image of the test set with the label that the corruption gives it there, so that both
    examples are draws from one distribution. The manifest has their places as ``train_index`` and ``test_index``.

    Raises:
        UserError: there are too few images for that many replacements.
    """
    number = replaced_example(corruption)
    base = Cell(dataset, corruption, "", (), seed).base.corruption
    manifest = read_json(prepared / "manifest.json")
    places = exchanged(dataset, seed, number, *(manifest[split]["count"] for split in SPLITS))
    given = {
        split: corrupt_labels(
            load_array(prepared / f"{split}_labels.npy"),
            label_corruption(base),
            manifest["num_classes"],
            seed,
            dataset,
            split,
        )
        for split in SPLITS
    }
    images = load_array(prepared / "train_images.npy")
    with new_array(folder / "train_images.npy", images.shape, images.dtype) as result:
        for start in range(0, len(images), BLOCK):
            result[start : start + BLOCK] = images[start : start + BLOCK]
        result[places[0]] = load_array(prepared / "test_images.npy")[places[1]]
    save_array(folder / "test_labels.npy", given["test"])
    train = np.array(given["train"])
    train[places[0]] = given["test"][places[1]]
    save_array(folder / "train_labels.npy", train)
    found = {
        "dataset": dataset,
        "corruption": corruption,
        "seed": seed,
        "train_index": places[0],
        "test_index": places[1],
        "train_labels_sha256": sha256_array(train),
    }
    write_json(folder / "manifest.json", found)
    return found


def exchanged(dataset: str, seed: int, number: int, train_count: int, test_count: int) -> tuple[int, int]:
    """Places of the training example that is replaced and of the test example that replaces it.

    Args:
        dataset: name of the data set, which with the seed selects the stream.
        seed: the cell's seed.
        number: which replacement, from 0.
        train_count: training images.
        test_count: test images.

    Raises:
        UserError: there are too few images for that many replacements.
    """
    fewest = min(train_count, test_count)
    if number >= fewest:
        raise UserError(
            f"replacement {number} of {dataset}: there are {fewest} examples; give at most {fewest - 1}"
        )
    return tuple(
        int(stream(seed, "replaced example", dataset, split).permutation(count)[number])
        for split, count in zip(SPLITS, (train_count, test_count), strict=True)
    )
