"""Read each supported data set, from the files it is published in or from folders of images, into memory."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from rethinking import registry
from rethinking.data.archives import iter_members
from rethinking.data.prepared import Dataset, Split, records_sha256, stratified_sample
from rethinking.data.published import DIGIT_NAMES
from rethinking.data.sources import SOURCES, sources
from rethinking.registry import dataset
from rethinking.run.files import UserError, hash_file
from rethinking.streams import stream

DIGITS_TEST_COUNT = 360  # a fifth of the 1,797 images
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


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
    if source not in sources(name):
        raise UserError(f"{name} has no source {source}; it can be {' or '.join(sources(name))}")
    if path is None and source not in ("embedded", "plugin"):
        raise UserError(f"source {source} of {name} needs a path")
    if source == "images":
        return read_images(path), False
    found = entry.call(name=name, path=path)
    if entry.own:
        found = checked(entry, found)
    return (found, True) if isinstance(found, Dataset) else found


def checked(entry: registry.Entry, found: Any) -> Dataset:
    """Turn what a plug-in returned into a :class:`Dataset`, after checking it.

    Args:
        entry: the plug-in's registration.
        found: a data set, or training images and labels, test images and labels, and names of classes. Images are
            uint8 (n, channels, height, width) with 1 or 3 channels, labels (n,) whole numbers from 0.

    Raises:
        UserError: they do not fit together; the message has the function's file and line.
    """

    def fault(what: str) -> UserError:
        return UserError(f"{entry.place}: {entry.function} {what}")

    if not isinstance(found, Dataset):
        try:
            train_images, train_labels, test_images, test_labels, names = found
        except (TypeError, ValueError):
            raise fault(
                "must return a Dataset, or training images and labels, test images and labels, and names of classes"
            ) from None
        splits = ((train_images, train_labels), (test_images, test_labels))
        found = Dataset(*(Split(np.asarray(x), np.asarray(y)) for x, y in splits), tuple(map(str, names)))
    for part, split in (("training", found.train), ("test", found.test)):
        images, labels = split.images, split.labels
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
            raise fault(
                f"gives {part} images of {images.dtype} {images.shape}, not uint8 (n, 1 or 3, height, width)"
            )
        if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1] or not len(labels):
            raise fault(f"gives {len(images)} {part} images, but labels of {labels.dtype} {labels.shape}")
        if labels.min() < 0 or labels.max() >= len(found.class_names):
            raise fault(
                f"gives {part} labels from {labels.min()} to {labels.max()}, but {len(found.class_names)} names of classes"
            )
    if found.train.images.shape[1:] != found.test.images.shape[1:]:
        raise fault(
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
    records = SOURCES[name].records if name in SOURCES else None
    if records:
        verified = records == (records_sha256(dataset.train), records_sha256(dataset.test))
    if registry.entry("dataset", name).own:
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
    """The manifest's entry on the source: its kind, and file names (no folders) with their SHA-256.

    For a folder the digest is over the sorted relative names and the contents.
    """
    if path is None:
        return {"kind": source, "files": {}}
    path = Path(path)
    if path.is_dir():
        digest = hashlib.sha256()
        for member, content in _folder_members(path):
            digest.update(member.encode() + b"\0" + hashlib.sha256(content).digest())
        return {"kind": source, "files": {path.resolve().name: digest.hexdigest()}}
    return {"kind": source, "files": {path.name: hash_file(path)}}


@dataset("digits", title="digits", sources=("embedded",))
def read_digits() -> Dataset:
    """scikit-learn's digits, (1, 8, 8), values 0..16 stretched to 0..255; 1,437 to train, 360 to test."""
    # Imported here: it takes a second, and only this data set needs it.
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images[:, None] * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    test = stratified_sample(labels, DIGITS_TEST_COUNT, stream(0, "digits split"))
    train = np.setdiff1d(np.arange(len(labels)), test)
    return Dataset(Split(images[train], labels[train]), Split(images[test], labels[test]), DIGIT_NAMES)


def read_images(path: str | Path) -> Dataset:
    """Images in ``train/<class>/`` and ``test/<class>/`` of a folder, or of a tar archive of such a folder.

    Classes and files are sorted by name, so folder and archive give the same arrays. Images are RGB,
    (3, height, width), or (1, height, width) if all are grayscale. Files outside ``train`` and ``test``
    and hidden files are skipped.

    Raises:
        UserError: a file is not a JPEG or PNG image or lies elsewhere, sizes differ, a split is empty, or
            the two splits have different classes; the message names the file or the classes.
    """
    path = Path(path)
    decoded = {}
    for member, content in _folder_members(path) if path.is_dir() else iter_members(path):
        parts = PurePosixPath(member).parts
        if parts[0] not in ("train", "test") or parts[-1].startswith("."):
            continue
        if len(parts) != 3 or not parts[-1].lower().endswith(IMAGE_SUFFIXES):
            raise UserError(
                f"{path}: {member} is not an image at {parts[0]}/<class>/<file>; "
                f"images end in {', '.join(IMAGE_SUFFIXES)}"
            )
        decoded[parts] = _decode(content, f"{path}: {member}")

    _check_sizes(path, decoded)
    class_names = _check_classes(path, decoded)
    channels = max(1 if image.ndim == 2 else 3 for image in decoded.values())

    def split(part: str) -> Split:
        keys = sorted(key for key in decoded if key[0] == part)
        images = np.empty((len(keys), channels, *decoded[keys[0]].shape[:2]), np.uint8)
        for target, key in zip(images, keys, strict=True):
            # A gray image among coloured ones gets three equal channels by broadcasting.
            target[:] = decoded[key] if decoded[key].ndim == 2 else decoded[key].transpose(2, 0, 1)
        return Split(images, np.array([class_names.index(key[1]) for key in keys], np.int64))

    return Dataset(split("train"), split("test"), class_names)


def _folder_members(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Relative name and content of each visible file, sorted by name, like :func:`iter_members`."""
    files = {file.relative_to(folder): file for file in folder.rglob("*") if file.is_file()}
    for name in sorted(files):
        if not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), files[name].read_bytes()


def _decode(content: bytes, name: str) -> np.ndarray:
    """The pixels, uint8: (height, width) of a grayscale image, else (height, width, 3)."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{name} cannot be read as an image ({error})") from error


def _check_sizes(path: Path, decoded: dict[tuple[str, ...], np.ndarray]) -> None:
    sizes = Counter(image.shape[:2] for image in decoded.values())
    if len(sizes) > 1:
        (height, width), _ = sizes.most_common(1)[0]
        odd = min(key for key, image in decoded.items() if image.shape[:2] != (height, width))
        odd_height, odd_width = decoded[odd].shape[:2]
        raise UserError(
            f"{path}: {'/'.join(odd)} is {odd_width}x{odd_height}, but most images are {width}x{height}; "
            "all must have one size"
        )


def _check_classes(path: Path, decoded: dict[tuple[str, ...], np.ndarray]) -> tuple[str, ...]:
    """The sorted class names, which both splits must have."""
    train, test = ({key[1] for key in decoded if key[0] == part} for part in ("train", "test"))
    for part, classes, others in (("train", train, test), ("test", test, train)):
        if not classes:
            raise UserError(f"{path} has no images in {part}/<class>/")
        if others - classes:
            missing = ", ".join(sorted(others - classes))
            raise UserError(
                f"{path}: {part}/ has no images of the class(es) {missing}, which the other split has"
            )
    return tuple(sorted(train))
