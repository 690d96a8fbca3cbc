"""Read each supported data set, from the files it is published in or from folders of images, into memory."""

import hashlib
import io
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from rethinking import registry
from rethinking.data.archives import Parts
from rethinking.data.prepared import Dataset, Split, records_sha256, stratified_sample
from rethinking.data.published import DIGIT_NAMES
from rethinking.data.sources import (
    SHOWN,
    SOURCES,
    SPLITS,
    image_folder,
    only_folder,
    source_files,
    sources,
    walk_images,
    what_lies_in,
)
from rethinking.registry import dataset
from rethinking.run.files import UserError, hash_file
from rethinking.run.kinds import what_is
from rethinking.streams import stream

DIGITS_TEST_COUNT = 360  # a fifth of the 1,797 images
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# What Pillow calls the pixels of JPEG and PNG files, and what they become.
MODES = {
    "1": "L", "L": "L", "LA": "L", "I;16": "L", "I;16B": "L", "I": "L",
    "P": "RGB", "RGB": "RGB", "RGBA": "RGB", "CMYK": "RGB",
}  # fmt: skip


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

    For a folder the digest is over the sorted relative names and the contents of the files that are read.
    """
    if path is None:
        return {"kind": source, "files": {}}
    path = Path(path)
    if path.is_dir():
        digest = hashlib.sha256()
        for name, file in source_files(source, path):
            digest.update(os.fsencode(name) + b"\0" + bytes.fromhex(hash_file(file)))
        return {"kind": source, "files": {path.resolve().name: digest.hexdigest()}}
    return {"kind": source, "files": {path.name: hash_file(path)}}


@dataset("digits", title="digits", size=8, train=1437, sources=("embedded",))
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


def read_images(path: str | Path, log: Callable[[str], None] = print) -> Dataset:
    """Images in ``train/<class>/`` and ``test/<class>/`` of a folder, or of a tar archive of such a folder.

    The two may lie in one folder on top. Classes and files are sorted by name, so folder and archive give the same
    arrays. Images are RGB, (3, height, width), or (1, height, width) if all are grayscale. Values of 16 bits are scaled
    to 8, as image viewers do. Files outside ``train`` and ``test`` are skipped, and hidden files, which the log counts.

    Raises:
        UserError: a file is not a JPEG or PNG image of a known mode or lies elsewhere, sizes differ, a split or a class
            is empty, or the two splits have different classes; the message names the file or the classes.
    """
    path, given = image_folder(Path(path)), Path(path)
    litter: list[str] = []
    found: dict[Parts, dict[Parts, Decoded]] = {}  # by the folder on top, by the parts of the name in it
    folders: dict[Parts, set[Parts]] = {}
    faults: dict[Parts, UserError] = {}
    for parts, read in walk_images(path, litter):
        depth = 0 if parts[0] in SPLITS else 1
        root, key = parts[:depth], parts[depth:]
        images = found.setdefault(root, {})
        if read is None:
            folders.setdefault(root, set()).add(key)
        elif root not in faults:
            try:
                image = _read_image(key, read(), f"{path}: {'/'.join(parts)}")
                if key in images and not np.array_equal(images[key].pixels, image.pixels):
                    raise UserError(
                        f"{path}: {'/'.join(parts)} is there twice, with different contents; pack it again"
                    )
                images[key] = image
            except UserError as error:  # of no interest if the images are those in another folder
                faults[root] = error
    root = (only_folder(path, (root[0] for root in found)),) if found and () not in found else ()
    if root in faults:
        raise faults[root]
    images = found.get(root, {})
    if root or path != given:
        log(f"taking the images from the folder {root[0] if root else path.name} in {given}")
    if litter:
        log(
            f"skipped {len(litter):,} hidden files or folders, or an operating system's: {', '.join(litter[:SHOWN])}"
        )
    for note, count in Counter(image.note for image in images.values() if image.note).items():
        log(f"{count:,} images {note}")

    class_names = _check_classes(path, {key[:2] for key in [*images, *folders.get(root, ())]}, images)
    _check_range(path, images)
    decoded = {key: image.pixels for key, image in images.items()}
    _check_sizes(path, decoded)
    channels = max(1 if image.ndim == 2 else 3 for image in decoded.values())

    def split(part: str) -> Split:
        keys = sorted((key for key in decoded if key[0] == part), key=lambda key: (composed(key[1]), key[2]))
        images = np.empty((len(keys), channels, *decoded[keys[0]].shape[:2]), np.uint8)
        for target, key in zip(images, keys, strict=True):
            # A gray image among coloured ones gets three equal channels by broadcasting.
            target[:] = decoded[key] if decoded[key].ndim == 2 else decoded[key].transpose(2, 0, 1)
        labels = np.array([class_names.index(composed(key[1])) for key in keys], np.int64)
        return Split(images, labels, tuple("/".join(key) for key in keys))

    return Dataset(split("train"), split("test"), class_names)


def composed(name: str) -> str:
    """A name in Unicode's composed form: macOS writes accents as characters of their own."""
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class Decoded:
    """Pixels, uint8: (height, width) of a grayscale image, else (height, width, 3)."""

    pixels: np.ndarray
    deep: bool = False  # whether the file has 16 bits a value
    note: str | None = None  # what was done to it if that is not obvious


def _read_image(key: Parts, content: bytes, name: str) -> Decoded:
    """Decode the file at ``<split>/<class>/<file>``; ``name`` is for messages."""
    kind = what_is(content)
    if len(key) != 3 or not key[-1].lower().endswith(IMAGE_SUFFIXES):
        raise UserError(
            f"{name}{f' ({kind})' if kind else ''} is not an image at {key[0]}/<class>/<file>; "
            f"images end in {', '.join(IMAGE_SUFFIXES)}"
        )
    file = io.BytesIO(content)
    try:
        with Image.open(file, formats=("JPEG", "PNG")) as image:
            image.load()
            mode, into = image.mode, MODES.get(image.mode)
            png = image.format == "PNG"
            deep = png and content[24] == 16  # the bit depth in the header
            # A JPEG file can have thumbnails and other views of its image.
            frames = getattr(image, "n_frames", 1) if png else 1
            clear = image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255
            if mode.startswith("I"):  # Pillow's own conversion would clip
                pixels = np.rint(np.asarray(image) / 257).astype(np.uint8)
            else:
                pixels = np.asarray(image.convert(into))
    except Exception as error:  # Pillow's decoders raise many
        why = [f"it seems to be {kind}"] if kind else []
        if not isinstance(error, UnidentifiedImageError) or not kind:
            why.append(str(error).replace(repr(file), name))
        raise UserError(
            f"{name} cannot be read as a JPEG or PNG image ({'; '.join(why)}); get it again, or remove it"
        ) from error
    if into is None:
        raise UserError(f"{name} has pixels of mode {mode}, not one of {', '.join(MODES)}; convert it")
    if frames > 1:
        raise UserError(f"{name} is an animation of {frames} images; keep one of them")
    if deep:
        note = "have values of 16 bits, scaled to 8"
    elif clear:
        note = "have transparent pixels; their colours are taken, whatever lies behind them"
    else:
        note = None if mode in ("1", "L", "LA", "RGB", "RGBA") else f"of mode {mode} are converted to {into}"
    return Decoded(pixels, deep, note)


def _check_range(path: Path, images: Mapping[Parts, Decoded]) -> None:
    """Refuse images of 16 bits that fill so little of their range that scaling leaves almost nothing of them."""
    deep = [key for key, image in images.items() if image.deep]
    shades = max((int(images[key].pixels.max()) for key in deep), default=255) + 1
    if shades <= 17:  # as of 12 bits
        raise UserError(
            f"{path}: {'/'.join(min(deep))} has values of 16 bits, but all images of this kind are so dark "
            f"({len(deep):,}, none brighter than {shades - 1} of 255) that 8 bits leave {shades} shades; convert them to "
            "8 bits with the range that you want"
        )


def _check_sizes(path: Path, decoded: dict[Parts, np.ndarray]) -> None:
    sizes = Counter(image.shape[:2] for image in decoded.values())
    if len(sizes) > 1:
        (height, width), _ = sizes.most_common(1)[0]
        odd = min(key for key, image in decoded.items() if image.shape[:2] != (height, width))
        odd_height, odd_width = decoded[odd].shape[:2]
        raise UserError(
            f"{path}: {'/'.join(odd)} is {odd_width}x{odd_height}, but most images are {width}x{height}; "
            "all must have one size"
        )


def _check_classes(path: Path, folders: set[Parts], decoded: Iterable[Parts]) -> tuple[str, ...]:
    """The sorted names of classes. Both splits must have images of each."""
    spellings: dict[Parts, set[str]] = {}
    for part, name in (folder for folder in folders if len(folder) == 2):
        if {"Cc", "Cs"} & set(map(unicodedata.category, name)):  # control characters, bytes that are no text
            raise UserError(
                f"{path}: the name of the class {part}/{name!a} cannot be printed; rename its folder"
            )
        spellings.setdefault((part, composed(name)), set()).add(name)
    for (part, name), same in spellings.items():
        if len(same) > 1:
            raise UserError(
                f"{path}: {part}/ has two folders called {name}, which differ only in how Unicode writes the accents; "
                "put their images into one"
            )
    filled = {(key[0], composed(key[1])) for key in decoded}
    classes = {name for _, name in spellings}
    for part in SPLITS:
        present = {name for split, name in filled if split == part}
        if not present:
            raise UserError(f"{path} has no images in {part}/<class>/; {what_lies_in(path, 'images')}")
        if absent := sorted(classes - present):
            near = {name.casefold().strip(): name for name in present}
            like = [
                f"{name} (there is {near[key]})" if (key := name.casefold().strip()) in near else name
                for name in absent
            ]
            raise UserError(
                f"{path}: {part}/ has no images of the class(es) {', '.join(like)}; a class needs images in both "
                "train/ and test/: add them, or remove its folders"
            )
    return tuple(sorted(classes))
