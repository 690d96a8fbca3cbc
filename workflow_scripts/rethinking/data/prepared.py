"""Data sets: their form, drawing subsets, and how prepared ones are stored on disk."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rethinking.run.files import UserError, save_array, sha256_array, write_json
from rethinking.streams import stream


@dataclass(frozen=True)
class Split:
    """Images, uint8 (n, channels, height, width), and their classes, int64 (n,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """Training and test split; ``class_names[label]`` is the name of a class."""

    train: Split
    test: Split
    class_names: tuple[str, ...]


def records_sha256(split: Split) -> str:
    """SHA-256 over a split's sorted records (label and pixels, a byte each), whatever order they came in."""
    labels = split.labels.astype(np.uint8)[:, None]
    records = np.concatenate([labels, split.images.reshape(len(labels), -1)], 1)
    digest = hashlib.sha256()
    for record in sorted(map(bytes, records)):
        digest.update(record)
    return digest.hexdigest()


def stratified_sample(labels: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted indices of ``n`` random items, each class with its share of ``labels`` to within one item.

    Raises:
        UserError: ``n`` is not between 1 and the number of items.
    """
    if not 1 <= n <= len(labels):
        raise UserError(f"cannot choose {n} of {len(labels)} images; choose between 1 and {len(labels)}")
    classes, counts = np.unique(labels, return_counts=True)
    shares, remainders = np.divmod(counts * n, len(labels))
    # The items that remain after rounding down go to the classes with the largest remainders.
    shares[np.argsort(-remainders, kind="stable")[: n - shares.sum()]] += 1
    chosen = [
        rng.choice(np.flatnonzero(labels == label), share, replace=False)
        for label, share in zip(classes, shares, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def subset(split: Split, n: int, rng: np.random.Generator) -> Split:
    """A random stratified subset of ``n`` images, in their original order (see :func:`stratified_sample`)."""
    indices = stratified_sample(split.labels, n, rng)
    return Split(split.images[indices], split.labels[indices])


def prepare(
    dataset: Dataset,
    folder: str | Path,
    *,
    name: str,
    provenance: str | None,
    source: Mapping[str, Any],
    train_limit: int | None = None,
    test_limit: int | None = None,
) -> None:
    """Write ``{train,test}_{images,labels}.npy`` and, last, ``manifest.json`` into ``folder``.

    The manifest contains counts, digests, limits and the source of the data, but no folder names, so
    the same data prepared in the same way give equal files on every machine. It is written last, so if it
    exists, the rest is complete.

    Args:
        dataset: what to write.
        folder: the destination; it is made.
        name: the data set's name; it also names the random stream of the subsets.
        provenance: what to call this copy of the data, e.g. "JPEG copy"; None for an exact one.
        source: what was read, see :func:`rethinking.data.readers.describe_source`.
        train_limit: keep only a stratified subset of this many training images; None, or a larger number
            than there are images, keeps all.
        test_limit: the same for the test images.
    """
    folder = Path(folder)
    manifest_path = folder / "manifest.json"
    manifest_path.unlink(missing_ok=True)
    manifest: dict[str, Any] = {
        "dataset": name,
        "provenance": provenance,
        "source": dict(source),
        "class_names": list(dataset.class_names),
        "num_classes": len(dataset.class_names),
        "image_shape": list(dataset.train.images.shape[1:]),
    }
    for part, full, limit in (("train", dataset.train, train_limit), ("test", dataset.test, test_limit)):
        full_count = len(full.labels)
        kept = full
        if limit is not None and limit < full_count:
            kept = subset(full, limit, stream(0, f"{part} subset", name))
        save_array(folder / f"{part}_images.npy", kept.images)
        save_array(folder / f"{part}_labels.npy", kept.labels)
        manifest[part] = {
            "count": len(kept.labels),
            "full_count": full_count,
            "limit": limit,
            "images_sha256": sha256_array(kept.images),
            "labels_sha256": sha256_array(kept.labels),
        }
    write_json(manifest_path, manifest)
