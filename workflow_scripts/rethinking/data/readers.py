"""Read each supported data set, from the files it is published in or from folders of images, into memory."""

from pathlib import Path
from typing import Any

import numpy as np

from rethinking import registry
from rethinking.data.prepared import Dataset, Split, records_sha256
from rethinking.data.published import published, read_published
from rethinking.data.sources import source_files
from rethinking.run.contents import files_digest
from rethinking.run.files import UserError, hash_file


def read_dataset(name: str, source: str, path: str | Path | None) -> tuple[Dataset, bool]:
    """Read the data set ``name``.

    Args:
        name: a registered name.
        source: ``official`` or ``archive`` (a published version), ``images``, ``embedded`` or ``plugin``.
        path: the file or folder to read; None for ``embedded``, and where a plug-in needs none.

    Returns:
        The data set, and whether it is known to be exact: its files have the published checksums, or a plug-in
        read it.

    Raises:
        UserError: this data set has no such source, or the files are missing, damaged or not the right ones.
    """
    entry = registry.entry("dataset", name)
    if source not in entry.sources:
        raise UserError(f"{name} has no source {source}; it can be {' or '.join(entry.sources)}")
    if path is None and source not in ("embedded", "plugin"):
        raise UserError(f"source {source} of {name} needs a path")
    if source == "images":
        from rethinking.data.image_folders import read_images  # imports torch, which takes seconds

        return read_images(path), False
    if source in ("official", "archive"):
        for file, place in published(name).downloaded(Path(path)) if source == "official" else ():
            if reason := file.mismatch(place):
                raise UserError(f"{place} {reason}; delete it to have it downloaded again")
        found, verified = read_published(name, path)
        return checked(entry, found) if entry.own else found, verified
    found = entry.call(name=name, path=path)
    return checked(entry, found) if entry.own else found, True


def checked(entry: registry.Entry, found: Any) -> Dataset:
    """Turn what a plug-in, or the reader of its version, returned into a :class:`Dataset`, after checking it.

    Args:
        entry: the plug-in's registration.
        found: a data set, or training images and labels, test images and labels, and names of classes. Images are
            uint8 (n, channels, height, width) with 1 or 3 channels, labels (n,) whole numbers from 0.

    Raises:
        UserError: they do not fit together; the message has the function's file and line.
    """
    try:
        if isinstance(found, Dataset):
            splits, names = (
                [(each.images, each.labels) for each in (found.train, found.test)],
                found.class_names,
            )
        else:
            train_images, train_labels, test_images, test_labels, names = found
            splits = [(train_images, train_labels), (test_images, test_labels)]
        found = Dataset(*(Split(np.asarray(x), np.asarray(y)) for x, y in splits), tuple(map(str, names)))
    except (TypeError, ValueError, AttributeError):
        raise entry.fault(
            "must return a Dataset, or training images and labels, test images and labels, and names of classes"
        ) from None
    for part, split in (("training", found.train), ("test", found.test)):
        images, labels = split.images, split.labels
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise entry.fault(
                f"gives {part} images of {images.dtype} {images.shape}, not uint8 (n, 1 or 3, height, width)"
            )
        if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1] or not len(labels):
            raise entry.fault(
                f"gives {len(images)} {part} images and labels of {labels.dtype} {labels.shape}, not at least one image and "
                "one whole number for each"
            )
        if labels.min() < 0 or labels.max() >= len(found.class_names):
            raise entry.fault(
                f"gives {part} labels from {labels.min()} to {labels.max()}, but {len(found.class_names)} names of classes"
            )
    if found.train.images.shape[1:] != found.test.images.shape[1:]:
        raise entry.fault(
            f"gives training images {found.train.images.shape[1:]}, but test images {found.test.images.shape[1:]}"
        )
    train, test = (Split(s.images, s.labels.astype(np.int64)) for s in (found.train, found.test))
    return Dataset(train, test, found.class_names)


def choose_provenance(name: str, dataset: Dataset, verified: bool, provenance: str | None) -> str | None:
    """What to call a copy of a data set; None if it is exact, judged by its records.

    Args:
        name: the data set's name.
        dataset: all of it, in any order.
        verified: whether its files have published checksums.
        provenance: what the configuration calls this copy.

    Raises:
        UserError: the images are not the published ones and there is no provenance.
    """
    description = published(name)
    records = description.records if description else None
    if records:
        verified = records == (records_sha256(dataset.train), records_sha256(dataset.test))
    if registry.entry("dataset", name).own and not description:
        return provenance
    if verified:
        return None
    if not provenance:
        why = "are not the published ones" if records else "cannot be compared with the published ones"
        raise UserError(
            f"the images and labels of {name} {why}; say in datasets.{name}.provenance what this copy is, "
            "for example 'JPEG copy', which tables and figures then show"
        )
    return provenance


def describe_source(name: str, source: str, path: str | Path | None) -> dict[str, Any]:
    """The manifest's entry on the source of a data set: its kind, and file names (no folders) with their SHA-256.

    For a folder the digest is over the sorted relative names and the contents of the files that are read.
    """
    if path is None:
        return {"kind": source, "files": {}}
    path = Path(path)
    if path.is_dir():
        return {"kind": source, "files": {path.resolve().name: files_digest(path, source_files(name, source, path))}}
    return {"kind": source, "files": {path.name: hash_file(path)}}
