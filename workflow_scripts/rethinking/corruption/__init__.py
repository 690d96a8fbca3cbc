"""Randomised data sets (sections 2.1 and 2.2), a module for each kind of draw.

A corruption is stored as an overlay on the prepared data set: the arrays that it changes and a manifest. All draws
are made once, from streams named after their purpose, and stay fixed over epochs and cells.
"""

from pathlib import Path

import numpy as np

from rethinking.data.prepared import stored_array
from rethinking.run.files import UserError
from rethinking.streams import stream


def stored_images(prepared: Path, split: str) -> np.ndarray:
    """The images of a split of a prepared data set.

    Raises:
        UserError: they were too many to be stored.
    """
    images = stored_array(prepared, f"{split}_images")
    if not len(images) and len(stored_array(prepared, f"{split}_labels")):
        raise UserError(
            f"the {split} images in {prepared} are not stored, because they would take more than 32 GiB, but this "
            "corruption changes their pixels; give the data set a smaller stored_size, fewer classes or a train_limit"
        )
    return images


class Draws:
    """Random streams of one split of a corrupted data set, by their purpose.

    A stream continues from one block of images to the next.
    """

    def __init__(self, seed: int, dataset: str, split: str) -> None:
        self.seed, self.dataset, self.split = seed, dataset, split
        self.streams: dict[tuple[str, ...], np.random.Generator] = {}

    def __call__(self, purpose: str, *key: str) -> np.random.Generator:
        """The stream of a purpose on this split; each split has its own draws."""
        if (purpose, *key) not in self.streams:
            self.streams[purpose, *key] = stream(self.seed, purpose, self.dataset, self.split, *key)
        return self.streams[purpose, *key]

    def shared(self, purpose: str) -> np.random.Generator:
        """A stream that both splits share, from its beginning."""
        return stream(self.seed, purpose, self.dataset)
