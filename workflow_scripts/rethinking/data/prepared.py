"""Data sets: their form, drawing subsets, and how prepared ones are stored on disk."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rethinking.run.files import UserError, load_array, read_json, save_array, sha256_array, write_json
from rethinking.streams import stream

SPLITS = ("train", "test")
SHOWN = 5  # pairs of equal images in a manifest
# What the manifest of every prepared data set has.
KEYS = (
    *("dataset", "provenance", "source.kind", "num_classes", "image_shape"),
    *(f"{split}.{key}" for split in SPLITS for key in ("count", "full_count")),
)
CHECKED_BYTES = 2**32  # larger arrays are streamed; to hash them takes longer than to start on them


@dataclass(frozen=True)
class Split:
    """Images, uint8 (n, channels, height, width), their classes, int64 (n,), and the names of their files, if they have any."""

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...] | None = None


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
    names = split.names and tuple(split.names[index] for index in indices)
    return Split(split.images[indices], split.labels[indices], names)


def check_limits(name: str, limits: Sequence[int | None], labels: Sequence[np.ndarray]) -> None:
    """Raise a UserError if a limit is above the number of images that there are, or leaves a class without any.

    Above it, the same images would be prepared a second time, as a data set of its own. Limits and labels are of
    :data:`SPLITS`.
    """
    for split, limit, every in zip(SPLITS, limits, labels, strict=True):
        if limit is None:
            continue
        count, title = len(every), "training" if split == "train" else split
        key = f"datasets.{name}.{split}_limit is {limit:,}"
        if limit > count:
            raise UserError(f"{key}, but {name} has {count:,} {title} images; give at most that, or null")
        sizes = np.unique(every, return_counts=True)[1]
        lost = len(sizes) - len(np.unique(every[stratified_sample(every, limit, stream(0, "limit"))]))
        if lost:
            raise UserError(
                f"{key}, which leaves {lost:,} of {len(sizes):,} classes without a {title} image; give at least "
                f"{math.ceil(count / min(sizes)):,}, or null"
            )


def contradictions(images: np.ndarray, labels: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of equal images (along the first axis) with different labels, each with the first image equal to it."""
    first: dict[bytes, int] = {}
    pairs = []
    for index, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        digest = hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()
        before = first.setdefault(digest, index)
        if labels[before] != label:
            pairs.append((before, index))
    return pairs


def accounted(part: str, split: Split, class_names: Sequence[str]) -> dict[str, Any]:
    """Count the images of each class and the contradictions of a split, for its manifest, and print them."""
    counts = np.bincount(split.labels, minlength=len(class_names)).tolist()
    each = (f"{name} {count:,}" for name, count in zip(class_names, counts, strict=True))
    print(f"{part}: {len(split.labels):,} images: {', '.join(each)}")
    pairs = contradictions(split.images, split.labels)
    first = [[split.names[index] if split.names else index for index in pair] for pair in pairs[:SHOWN]]
    if pairs:
        shown = "; ".join(" = ".join(map(str, pair)) for pair in first)
        print(f"{part}: {len(pairs):,} images are equal to one of another class, so nothing fits both: {shown}")
    return {"class_counts": counts, "contradictions": {"count": len(pairs), "first": first}}


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
    """Write ``{train,test}_{images,labels}.npy`` and ``manifest.json`` into ``folder``.

    The manifest contains counts (also of each class), digests, limits, the source of the data and the first equal images
    with different labels (``contradictions``, by file name or number from 0), but no folder names, so
    the same data prepared in the same way give equal files on every machine.

    Args:
        dataset: what to write.
        folder: the destination; it is made.
        name: the data set's name; it also names the random stream of the subsets.
        provenance: what to call this copy of the data, e.g. "JPEG copy"; None for an exact one.
        source: what was read, see :func:`rethinking.data.readers.describe_source`.
        train_limit: keep only a stratified subset of this many training images; None keeps all.
        test_limit: the same for the test images.

    Raises:
        UserError: a limit is above the number of images, or leaves a class without any.
    """
    folder = Path(folder)
    check_limits(name, (train_limit, test_limit), (dataset.train.labels, dataset.test.labels))
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
            **accounted(part, kept, dataset.class_names),
            "full_count": full_count,
            "limit": limit,
            **digests(folder, part),
        }
    write_json(folder / "manifest.json", manifest)


def digests(folder: Path, split: str) -> dict[str, str]:
    """What a manifest says of the arrays of a split that are in its folder, see :func:`stored_array`."""
    paths = {kind: folder / f"{split}_{kind}.npy" for kind in ("images", "labels")}
    return {f"{kind}_sha256": sha256_array(load_array(path)) for kind, path in paths.items() if path.exists()}


def read_manifest(folder: Path, keys: Sequence[str] = KEYS) -> dict[str, Any]:
    """The manifest of a prepared data set, or of a corruption, in its folder; it must have these keys.

    Raises:
        UserError: it is missing or damaged; the message names the file.
    """
    return read_json(folder / "manifest.json", keys)


def stored_array(folder: Path, name: str) -> np.ndarray:
    """An array of a prepared data set or of a corruption, ``{train,test}_{images,labels}``, memory-mapped.

    Arrays of up to 4 GiB are held against the digest in the manifest beside them, which is null for images that are
    not stored.

    Raises:
        UserError: the array or the manifest is missing or damaged; the message names the file.
    """
    path = folder / f"{name}.npy"
    array = load_array(path)
    split, kind = name.split("_")
    expected = read_manifest(folder, [f"{split}.{kind}_sha256"])[split][f"{kind}_sha256"]
    if expected and array.nbytes <= CHECKED_BYTES and sha256_array(array) != expected:
        raise UserError(
            f"the values in {path} are not those that were written (their SHA-256 is not the one in "
            f"{folder / 'manifest.json'}); delete {path} to have it made again"
        )
    return array


def load_split(prepared: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, memory-mapped, and labels of ``train`` or ``test``, see :func:`stored_array`."""
    return stored_array(prepared, f"{split}_images"), np.array(stored_array(prepared, f"{split}_labels"))
