"""Read JPEG and PNG images of one size, in a folder of each class, into memory."""

import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rethinking.data.archives import Parts
from rethinking.data.decoding import Undecodable, damage, decode_checked, decoder_messages
from rethinking.data.prepared import SPLITS, Dataset, Split
from rethinking.data.published import SHOWN, what_lies_in
from rethinking.data.sources import image_folder, only_folder, walk_images
from rethinking.run.file_types import what_is
from rethinking.run.files import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# What Pillow calls the pixels of JPEG and PNG files, and what they become.
MODES = {
    "1": "L", "L": "L", "LA": "L", "I;16": "L", "I;16B": "L", "I": "L",
    "P": "RGB", "RGB": "RGB", "RGBA": "RGB", "CMYK": "RGB",
}  # fmt: skip


def read_images(path: str | Path) -> Dataset:
    """Images in ``train/<class>/`` and ``test/<class>/`` of a folder, or of a tar archive of such a folder.

    The two may lie in one folder on top. Classes and files are sorted by name, so folder and archive give the same
    arrays. Images are RGB, (3, height, width), or (1, height, width) if all are grayscale. Values of 16 bits are scaled
    to 8, as image viewers do. Files outside ``train`` and ``test`` are skipped, and hidden files, which the log counts.

    Raises:
        UserError: a file is not a JPEG or PNG image of a known mode or lies elsewhere, sizes differ, a split or a class
            is empty, or the two splits have different classes; the message names the file or the classes.
    """
    path, given = image_folder(Path(path)), Path(path)
    # In an archive the two can lie within a folder; what other folders hold is of no interest if they are on top.
    tops = {() if parts[0] in SPLITS else parts[:1] for parts, _ in walk_images(path, [])}
    root = (only_folder(path, (name for (name,) in tops)),) if tops and () not in tops else ()
    if root or path != given:
        print(f"taking the images from the folder {root[0] if root else path.name} in {given}")
    litter: list[str] = []
    images: dict[Parts, Decoded] = {}  # by split, class and file
    folders: set[Parts] = set()
    for parts, read in walk_images(path, litter):
        key = parts[len(root) :]
        if parts[: len(root)] != root or key[0] not in SPLITS:
            continue
        if read is None:
            folders.add(key[:2])
            continue
        image = _read_image(key, read(), f"{path}: {'/'.join(parts)}")
        if key in images and not np.array_equal(images[key].pixels, image.pixels):
            raise UserError(f"{path}: {'/'.join(parts)} is there twice, with different contents; pack it again")
        images[key] = image
        _check_size(path, images, key)
    if litter:
        print(f"skipped {len(litter):,} hidden files or folders, or an operating system's: {', '.join(litter[:SHOWN])}")
    for note, count in Counter(image.note for image in images.values() if image.note).items():
        print(f"{count:,} images {note}")

    class_names = _check_classes(path, folders | {key[:2] for key in images}, images)
    _check_range(path, images)
    channels = max(1 if image.pixels.ndim == 2 else 3 for image in images.values())

    def split(part: str) -> Split:
        keys = sorted((key for key in images if key[0] == part), key=lambda key: (composed(key[1]), key[2]))
        stacked = np.empty((len(keys), channels, *images[keys[0]].pixels.shape[:2]), np.uint8)
        for target, key in zip(stacked, keys, strict=True):
            pixels = images[key].pixels
            # A gray image among coloured ones gets three equal channels by broadcasting.
            target[:] = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        labels = np.array([class_names.index(composed(key[1])) for key in keys], np.int64)
        return Split(stacked, labels, tuple("/".join(key) for key in keys))

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
    if not png:  # Pillow does not tell where libjpeg finds damage and leaves grey
        with decoder_messages() as said, suppress(Undecodable):
            decode_checked(content)
        if fault := damage(said[0], content):
            raise UserError(f"{name} is damaged ({fault}); get it again, or remove it")
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


def _check_size(path: Path, images: Mapping[Parts, Decoded], key: Parts) -> None:
    """Refuse an image of another size than the first at once: photographs of many sizes can be more than memory holds."""
    first = next(iter(images))
    (height, width), (first_height, first_width) = (images[each].pixels.shape[:2] for each in (key, first))
    if (height, width) != (first_height, first_width):
        raise UserError(
            f"{path}: {'/'.join(key)} is {width}x{height}, but {'/'.join(first)} is {first_width}x{first_height}; all "
            "must have one size"
        )


def _check_classes(path: Path, folders: set[Parts], decoded: Iterable[Parts]) -> tuple[str, ...]:
    """The sorted names of classes. Both splits must have images of each."""
    spellings: dict[Parts, set[str]] = {}
    for part, name in (folder for folder in folders if len(folder) == 2):
        if {"Cc", "Cs"} & set(map(unicodedata.category, name)):  # control characters, bytes that are no text
            raise UserError(f"{path}: the name of the class {part}/{name!a} cannot be printed; rename its folder")
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
