"""Prepare images of any size: check that each can be decoded, and store small sets at one size."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from rethinking.data.decoding import Undecodable, damage, decode_checked, decoder_messages, kind, resize
from rethinking.data.image_files import Images, listed
from rethinking.data.imagenet import find_images, save_index
from rethinking.data.prepared import SPLITS, check_limits, digests, stratified_sample
from rethinking.run.files import UserError, load_array, new_array, save_array, write_json
from rethinking.run.time_left import Progress
from rethinking.streams import stream

BLOCK = 256  # images decoded at a time
# Larger sets are read from their files while training.
STORED_BYTES = 32 << 30


def prepare_images(
    name: str,
    path: str | Path,
    folder: Path,
    *,
    provenance: str | None,
    classes: Collection[str] | None = None,
    stored_size: int | None = None,
    skip_unreadable: bool = False,
    train_limit: int | None = None,
    test_limit: int | None = None,
    threads: int = 1,
    log: Callable[[str], None] = print,
) -> None:
    """Write labels and names of both splits, images where they are stored, and ``manifest.json``.

    Args:
        name: the data set's name; it also names the random stream of the subsets.
        path: as for :func:`rethinking.data.imagenet.find_images`.
        folder: the destination; it is made.
        provenance: what to call this copy of the data; None for the published archives.
        classes: names of folders to take; None takes all.
        stored_size: height and width that whole images are resized to before anything else; None leaves their sizes.
        skip_unreadable: leave images out that cannot be decoded; otherwise the first one is an error.
        train_limit: keep only a stratified subset of this many training images; None keeps all.
        test_limit: the same for the test images.
        threads: decoders at work.
        log: takes progress.

    Raises:
        UserError: an image cannot be decoded, a limit is above the number of images or leaves a class without any, or as
            for ``find_images``.
    """
    found = find_images(path, classes)
    check_limits(name, (train_limit, test_limit), [found[split].labels for split in SPLITS])
    manifest: dict[str, Any] = {
        "dataset": name,
        "provenance": provenance,
        "source": {"kind": "imagenet", "files": {}},
        "preprocessing": "inception",
        "class_names": list(found["train"].class_names),
        "num_classes": len(found["train"].class_names),
        "image_shape": [3, stored_size, stored_size],
    }
    odd: dict[str, Any] = {}
    for split, limit in zip(SPLITS, (train_limit, test_limit), strict=True):
        images = found[split]
        log(f"{split} images are read from {images.folder or images.files[0]}")
        full_count = len(images)
        if limit is not None and limit < full_count:
            images = images.take(stratified_sample(images.labels, limit, stream(0, f"{split} subset", name)))
        stored = stored_size is not None and len(images) * 3 * stored_size**2 <= STORED_BYTES
        file = folder / f"{split}_images.npy"
        odd[split] = check_images(images, file, stored_size if stored else None, threads, log)
        unreadable = odd[split]["unreadable"]
        if damaged := odd[split]["damaged"]:
            log(
                f"libjpeg finds damage in {len(damaged)} of the {split} images, which are used as it decodes them: "
                f"{listed([f'{name} ({what})' for name, what in damaged.items()])}; if your copy can be at fault, get "
                "them again"
            )
        if unreadable:
            if not skip_unreadable:
                first = images.names.index(next(iter(unreadable)))
                raise UserError(
                    f"{images.describe(first)} cannot be decoded ({unreadable[images.names[first]]}), and "
                    f"{len(unreadable) - 1} other {split} images; get it again, or leave such images out with "
                    f"datasets.{name}.skip_unreadable: true"
                )
            keep = [i for i, each in enumerate(images.names) if each not in unreadable]
            log(f"{len(unreadable)} {split} images cannot be decoded and are left out: {listed([*unreadable])}")
            images = images.take(keep)
            if stored:
                decoded = load_array(file)
                with new_array(file, (len(keep), *decoded.shape[1:]), decoded.dtype) as array:
                    for place, i in enumerate(keep):  # one at a time: all of ImageNet's do not fit in memory
                        array[place] = decoded[i]
        labels = images.labels
        save_array(folder / f"{split}_labels.npy", labels)
        save_index(folder, split, images)
        manifest[split] = {
            "count": len(labels),
            "full_count": full_count,
            "limit": limit,
            "unreadable_count": len(unreadable),
            "class_counts": np.bincount(labels, minlength=manifest["num_classes"]).tolist(),
            **digests(folder, split),
        }
        if not stored:
            manifest[split]["images_sha256"] = None
    write_json(folder / "manifest.json", manifest | {"odd_files": odd})


def check_images(
    images: Images,
    file: Path,
    stored_size: int | None,
    threads: int,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Decode all images once, write them to ``file`` at ``stored_size`` (None: write an array of no images).

    Returns:
        Names of the odd ones: ``grey``, ``cmyk`` and ``png`` are lists, ``unreadable`` says what is wrong with each,
        and ``damaged`` what libjpeg says of those that it decodes nevertheless. The published files can be such, too.
    """
    found: dict[str, Any] = {"grey": [], "cmyk": [], "png": [], "damaged": {}, "unreadable": {}}
    progress = Progress(f"decoding {file.stem}", len(images), log)
    shape = (len(images), 3, stored_size, stored_size) if stored_size else (0, 3, 0, 0)

    def one(i: int) -> tuple[str, Tensor | str]:
        content = images.read(i)
        try:
            pixels = decode_checked(content)
            return kind(content), resize(pixels, stored_size) if stored_size else ""
        except Undecodable as error:
            return kind(content), str(error)

    with ThreadPoolExecutor(threads) as pool, new_array(file, shape, np.uint8) as result:
        for start in range(0, len(images), BLOCK):
            block = range(start, min(start + BLOCK, len(images)))
            with decoder_messages() as said:
                decoded = list(pool.map(one, block))
            for i, (which, what) in zip(block, decoded, strict=True):
                name = images.names[i]
                if which in ("grey", "cmyk", "png"):
                    found[which].append(name)
                if isinstance(what, Tensor):
                    result[i] = what.numpy()
                elif what:
                    found["unreadable"][name] = what
            if said[0]:
                # Someone's bytes are damaged: decode them one by one to learn whose.
                for i in block:
                    with decoder_messages() as alone:
                        one(i)
                    message = damage(alone[0], images.read(i))
                    if message and images.names[i] not in found["unreadable"]:
                        found["damaged"][images.names[i]] = message
            progress.advance(len(block))
    return found
