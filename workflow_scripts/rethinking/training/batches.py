"""Training and test images in batches on the device, in the order and with the augmentation of each epoch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import CorruptedData
from rethinking.streams import stream
from rethinking.training.preprocessing import centre_crop, crop_at, flip_and_rotate, whiten

MAX_ROTATION_DEGREES = 25.0  # table 4
EVALUATION_BATCH = 1000
Share = Callable[[int], slice]


def whole(_count: int) -> slice:
    """All of a batch."""
    return slice(None)


class Feeder(ABC):
    """What the loop trains and evaluates on; it does not see where images come from.

    Batches are on the device, preprocessed: float32 (batch, channels, input_size, input_size), or bfloat16 where the
    network would round them so. Everything that is drawn is a function of seed, epoch, step and place in the batch. So
    the position is (epoch, step), a process that resumes there reads no image of an earlier step, and cutting a batch
    into micro-batches or shares of workers changes no draw.
    """

    evaluation_block: int  # images per block of evaluation

    def __init__(self, data: CorruptedData, cell: Cell, settings: CellSettings, device: torch.device) -> None:
        self.data, self.cell, self.settings, self.device = data, cell, settings, device
        self.augment = "augment" in cell.regularisers
        entries = [registry.entry("regulariser", name) for name in cell.regularisers]
        self.own = [entry for entry in entries if entry.own]  # regularisers of plug-ins
        self.labels = torch.from_numpy(data.train_labels).to(device)  # (n,) int64, after corruption

    def sizes(self) -> Tensor:
        """Images in each batch of an epoch, float64 (steps,)."""
        starts = torch.arange(0, len(self.labels), self.settings.batch_size)
        return (len(self.labels) - starts).clamp(max=self.settings.batch_size).double()

    @abstractmethod
    def epoch(self, epoch: int, first: int = 0, share: Share = whole) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the batches of an epoch, counted from 1, from its batch ``first`` on: images, labels, index.

        ``index`` (batch,) int64 says which training images they are. Of a batch only the places that ``share`` gives
        for its number of images.
        """

    @abstractmethod
    def evaluation(self, split: str, rank: int = 0, workers: int = 1) -> Iterator[Tensor]:
        """Yield the images of ``train`` or ``test`` in their order, without augmentation, in blocks.

        Of each ``workers`` blocks only number ``rank``.
        """

    def changed(self, entry: registry.Entry, images: Tensor, labels: Tensor, epoch: int, start: int) -> Tensor:
        """Apply a plug-in's regulariser to a batch of preprocessed images; each batch has its own random numbers."""
        # Its name is no purpose: one named "augmentation" would draw again what crops an image.
        key = (entry.name, self.cell.stream_key, str(epoch), str(start))
        rng = stream(self.cell.seed, "regulariser", *key)
        images = images.float()  # where the network rounds its inputs to bfloat16, they are stored so
        result = entry.call(images=images, labels=labels, rng=rng)
        found, expected = (
            f"{some.dtype} {tuple(some.shape)} on {some.device}"
            if isinstance(some, Tensor)
            else f"a {type(some).__name__}"
            for some in (result, images)
        )
        if found != expected:
            raise entry.fault(f"returns {found}, not {expected}")
        return result


def to_inputs(images: np.ndarray, size: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Crop centrally and whiten a whole set: (n, c, h, w) of uint8 -> (n, c, size, size) of ``dtype``."""
    inputs = torch.empty((len(images), images.shape[1], size, size), device=device, dtype=dtype)
    # Few enough images at a time to stay in the processor's cache.
    block = 256 if device.type == "cpu" else 8192
    for start in range(0, len(images), block):
        some = torch.from_numpy(np.array(images[start : start + block])).to(device)
        inputs[start : start + block] = whiten(centre_crop(some, size))
    return inputs


class Batches(Feeder):
    """Whitened images, all of them on the device."""

    evaluation_block = EVALUATION_BATCH

    def __init__(self, data: CorruptedData, inputs: Tensor, cell: Cell, settings: CellSettings) -> None:
        super().__init__(data, cell, settings, inputs.device)
        self.inputs, self.crop = inputs, "crop" in cell.regularisers
        # Without augmentation every epoch sees the same whitened inputs.
        augmented = self.crop or self.augment
        self.images = torch.from_numpy(np.array(data.train_images)).to(self.device) if augmented else inputs

    def epoch(self, epoch: int, first: int = 0, share: Share = whole) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """See :meth:`Feeder.epoch`."""
        rng = stream(self.cell.seed, "batches", self.cell.stream_key, str(epoch))
        n, size = len(self.labels), self.settings.input_size
        order = torch.from_numpy(rng.permutation(n)).to(self.device)
        if self.augment:
            flips = torch.from_numpy(rng.random(n) < 0.5).to(self.device)
            angles = rng.uniform(-MAX_ROTATION_DEGREES, MAX_ROTATION_DEGREES, n).astype(np.float32)
            angles = torch.from_numpy(angles).to(self.device)
        if self.crop:
            room = np.array(self.images.shape[2:]) - size
            offsets = torch.from_numpy(rng.integers(0, room + 1, (n, 2))).to(self.device)
        for start in range(first * self.settings.batch_size, n, self.settings.batch_size):
            here = slice(start, start + self.settings.batch_size)
            index = order[here]
            images = self.images[index]
            if self.augment:
                images = flip_and_rotate(images, flips[here], angles[here])
            if self.crop:
                images = crop_at(images, offsets[here], size)
            elif self.augment:
                images = centre_crop(images, size)
            if self.crop or self.augment:
                images = whiten(images)
            for entry in self.own:
                images = self.changed(entry, images, self.labels[index], epoch, start)
            mine = share(len(index))
            yield images[mine], self.labels[index[mine]], index[mine]

    @cached_property  # made when first needed, so that training starts at once
    def test_inputs(self) -> Tensor:
        """The whitened test set."""
        return to_inputs(self.data.test_images, self.settings.input_size, self.device, self.inputs.dtype)

    def evaluation(self, split: str, rank: int = 0, workers: int = 1) -> Iterator[Tensor]:
        """See :meth:`Feeder.evaluation`."""
        inputs = self.inputs if split == "train" else self.test_inputs
        yield from inputs.split(EVALUATION_BATCH)[rank::workers]
