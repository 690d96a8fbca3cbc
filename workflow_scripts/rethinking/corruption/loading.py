"""What a cell trains on: a prepared data set with the overlay of its corruption."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rethinking import registry
from rethinking.data.image_files import Images
from rethinking.data.imagenet import load_index
from rethinking.data.prepared import read_manifest, stored_array
from rethinking.run.files import UserError


@dataclass(frozen=True)
class CorruptedData:
    """What a cell trains on and is tested on."""

    train_images: np.ndarray  # (n, channels, height, width) uint8, or float32 on the scale of bytes
    train_labels: np.ndarray  # (n,) int64, as given to the network
    train_labels_true: np.ndarray  # (n,) int64
    test_images: np.ndarray  # (m, channels, height, width)
    test_labels: np.ndarray  # (m,) int64, clean
    test_labels_corrupted: np.ndarray  # (m,) int64, corrupted at the training p
    num_classes: int
    preprocessing: str = "whitening"  # or "inception"
    # Images prepared as ImageNet lie in files as well, and need not be stored: their arrays are then empty.
    stored_size: int | None = None
    files: Mapping[str, Images] | None = None  # by split


def load_corrupted(prepared: Path, overlay: Path, images: Path | None = None) -> CorruptedData:
    """Read a prepared data set with a corruption's overlay, whose arrays replace those of the data set.

    Args:
        prepared: folder of the prepared data set.
        overlay: folder of the corruption.
        images: where the files of the images lie, of a data set that is prepared as ImageNet is.

    Raises:
        UserError: the two do not fit together, or files are missing or damaged; the message names the folder or the file.
    """
    manifest = read_manifest(prepared)
    # Not what lies there: where a file of the overlay is lost, the true labels must not take its place.
    changed = registry.entry("corruption", read_manifest(overlay, ["corruption"])["corruption"]).files

    def array(name: str) -> np.ndarray:
        return stored_array(overlay if f"{name}.npy" in changed else prepared, name)

    files = None
    if images and "train_images.npy" not in changed:
        files = {split: load_index(prepared, split, images) for split in ("train", "test")}
    data = CorruptedData(
        train_images=array("train_images"),
        train_labels=np.array(array("train_labels")),
        train_labels_true=np.array(stored_array(prepared, "train_labels")),
        test_images=array("test_images"),
        test_labels=np.array(stored_array(prepared, "test_labels")),
        test_labels_corrupted=np.array(array("test_labels")),
        num_classes=manifest["num_classes"],
        preprocessing=manifest.get("preprocessing", "whitening"),
        stored_size=manifest["image_shape"][1] if files else None,
        files=files,
    )
    for split, pixels, labels in (
        ("train", data.train_images, data.train_labels),
        ("test", data.test_images, data.test_labels_corrupted),
    ):
        count = len(files[split]) if files and not len(pixels) else len(pixels)
        if not count == len(labels) == manifest[split]["count"]:
            raise UserError(
                f"{overlay} has {count} {split} images and {len(labels)} {split} labels, but {prepared} has "
                f"{manifest[split]['count']}; delete {overlay} to have it made again"
            )
    return data
