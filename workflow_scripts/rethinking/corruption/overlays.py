"""Draw a corruption and store it as an overlay on a prepared data set."""

from pathlib import Path
from typing import Any

import numpy as np

from rethinking import registry
from rethinking.corruption import Draws, stored_images
from rethinking.data.prepared import SPLITS, digests, read_manifest, stored_array
from rethinking.run.files import new_array, save_array, write_json

BLOCK = 2048  # images held in memory at a time


def write(prepared: Path, folder: Path, corruption: str, dataset: str, seed: int) -> dict[str, Any]:
    """Write the arrays that a corruption changes, for both splits, and a manifest, which is returned.

    The registered function is called with what it asks for by the names of its arguments: ``labels`` (n,) int64,
    or ``images`` (block, channels, height, width), first what it changes; ``num_classes``; ``rng``, a random stream
    of seed, data set and split that does not depend on the parameters; ``draws`` for other streams; ``moments``, mean
    and variance of all training values; and the parameters in the corruption's name. What changes labels sees all images
    of the split at once.

    Raises:
        UserError: what it returns does not fit the data set; the message has its file and line.
    """
    entry = registry.entry("corruption", corruption)
    parameters = entry.parameters(corruption)
    if entry.changes == "prepared":
        return entry.call(
            prepared=prepared, folder=folder, corruption=corruption, dataset=dataset, seed=seed, **parameters
        )
    manifest: dict[str, Any] = {"dataset": dataset, "corruption": corruption, "seed": seed, **parameters}
    values: dict[str, Any] = {}
    if "moments" in entry.arguments:
        values["moments"] = moments(stored_images(prepared, "train"))
        manifest |= dict(zip(("mean", "variance"), values["moments"], strict=True))
    for split in SPLITS:
        labels = stored_array(prepared, f"{split}_labels")
        if entry.changes == "labels":
            given = corrupted_labels(prepared, corruption, dataset, seed, split, **values)
            save_array(folder / f"{split}_labels.npy", given)
            manifest[split] = {"fraction_changed": float(np.mean(given != labels))}
        else:
            file = folder / f"{split}_images.npy"
            asked = values | arguments(prepared, corruption, dataset, seed, split)
            write_images(entry, asked, stored_images(prepared, split), labels, file)
            manifest[split] = {}
        manifest[split] |= digests(folder, split)
    write_json(folder / "manifest.json", manifest)
    return manifest


def arguments(prepared: Path, corruption: str, dataset: str, seed: int, split: str) -> dict[str, Any]:
    """What every corruption can ask for."""
    entry, draws = registry.entry("corruption", corruption), Draws(seed, dataset, split)
    classes = read_manifest(prepared)["num_classes"]
    return {**entry.parameters(corruption), "num_classes": classes, "draws": draws, "rng": draws(entry.name)}


def corrupted_labels(prepared: Path, corruption: str, dataset: str, seed: int, split: str, **values: Any) -> np.ndarray:
    """The labels (n,) that a corruption gives the images of a split, which it can ask for; ``values`` are more of these.

    Raises:
        UserError: they do not fit the data set; the message has the function's file and line.
    """
    entry = registry.entry("corruption", corruption)
    values |= arguments(prepared, corruption, dataset, seed, split)
    if "images" in entry.arguments:
        values["images"] = stored_images(prepared, split)
    labels = np.array(stored_array(prepared, f"{split}_labels"))
    given = np.asarray(entry.call(**values, labels=labels.copy()))
    if given.shape != labels.shape or given.dtype.kind not in "iu":
        raise entry.fault(f"returns {type_of(given)}, not whole numbers {labels.shape}")
    if given.min() < 0 or given.max() >= values["num_classes"]:
        raise entry.fault(
            f"gives labels from {given.min()} to {given.max()}, but there are {values['num_classes']} classes: 0 to "
            f"{values['num_classes'] - 1}"
        )
    return given.astype(labels.dtype, copy=False)


def type_of(returned: np.ndarray) -> str:
    """Type and shape of an array, for messages; of a single value, such as None where a return is missing, itself."""
    return f"{returned.dtype} {returned.shape}" if returned.ndim else str(returned)


def write_images(
    entry: registry.Entry, values: dict[str, Any], images: np.ndarray, labels: np.ndarray, file: Path
) -> None:
    """Write what a corruption makes of the images of a split, block by block."""

    def block(start: int) -> np.ndarray:
        here = slice(start, start + BLOCK)
        before = np.array(images[here])  # a copy, which a plug-in may change
        after = np.asarray(entry.call(**values, images=before, labels=np.array(labels[here])))
        if after.shape != before.shape or after.dtype not in (np.uint8, np.float32):
            raise entry.fault(f"returns {type_of(after)}, not uint8 or float32 {before.shape}")
        if not np.isfinite(after).all():
            raise entry.fault("returns values that are not finite")
        return after

    first = block(0)
    with new_array(file, images.shape, first.dtype) as result:
        result[: len(first)] = first
        for start in range(BLOCK, len(images), BLOCK):
            after = block(start)
            if after.dtype != first.dtype:
                raise entry.fault(
                    f"returns {first.dtype} for some images and {after.dtype} for others; let it return one of them for "
                    "all"
                )
            result[start : start + BLOCK] = after


def moments(images: np.ndarray) -> tuple[float, float]:
    """Mean and variance over all values of all images, block by block."""
    total = square = 0.0
    for start in range(0, len(images), BLOCK):
        block = np.asarray(images[start : start + BLOCK], dtype=np.float64)
        total += block.sum()
        square += np.square(block).sum()
    mean = total / images.size
    return float(mean), max(float(square / images.size - mean**2), 0.0)  # rounding can make it negative
