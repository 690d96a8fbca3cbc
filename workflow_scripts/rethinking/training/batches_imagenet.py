"""Batches of images that were prepared as ImageNet is: resident on the device, or streamed from their files.

Both give the same bits. Where the data set has a ``stored_size``, whole images are resized to it first, once when they
are prepared or each time after they are decoded, and boxes are cut out on the device. Without it boxes are cut out of
the original pixels while decoding, and images can only be streamed.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import CorruptedData
from rethinking.data.decoding import Undecodable, decode, resize
from rethinking.data.image_files import Images
from rethinking.run.files import UserError
from rethinking.streams import stream
from rethinking.training.batches import Feeder, Share, whole
from rethinking.training.inception_preprocessing import (
    DRAWS,
    Box,
    central_box,
    crop_and_resize,
    distort,
    random_box,
    to_range,
)

AHEAD = 4  # batches that are decoded before they are needed
EVALUATION_BLOCK = 100
UPLOADED = 256  # images at a time
Request = tuple[np.ndarray, np.ndarray | None]  # images (batch,), and their draws (batch, DRAWS) or None


class ImageBatches(Feeder):
    """Images with the preprocessing of ImageNet."""

    evaluation_block = EVALUATION_BLOCK

    def __init__(
        self, data: CorruptedData, cell: Cell, settings: CellSettings, device: torch.device, resident: bool
    ) -> None:
        super().__init__(data, cell, settings, device)
        size = settings.input_size
        self.sources: dict[str, Resident | Streamed]
        if resident:
            arrays = {"train": data.train_images, "test": data.test_images}
            self.sources = {split: Resident(array, size, device) for split, array in arrays.items()}
        else:
            self.sources = {
                split: Streamed(files, data.stored_size, size, device) for split, files in data.files.items()
            }

    def epoch(self, epoch: int, first: int = 0, share: Share = whole) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """See :meth:`rethinking.training.batches.Feeder.epoch`; images of other workers are not decoded."""
        rng = stream(self.cell.seed, "batches", self.cell.stream_key, str(epoch))
        order, size = rng.permutation(len(self.labels)), self.settings.batch_size

        def planned() -> Iterator[tuple[Request, slice, int]]:
            for start in range(first * size, len(order), size):
                index = order[start : start + size]
                draws = self.draws(epoch, start, len(index)) if self.augment else None
                read, mine = share(len(index)), slice(None)
                if self.own:  # a plug-in's regulariser draws for a whole batch
                    read, mine = mine, read
                yield (index[read], None if draws is None else draws[read]), mine, start

        plan, ahead = itertools.tee(planned())
        batches = self.sources["train"].batches(request for request, _, _ in ahead)
        for ((index, draws), mine, start), pixels in zip(plan, batches, strict=True):
            numbers = torch.from_numpy(index).to(self.device, non_blocking=True)
            labels = self.labels[numbers]
            if draws is None:
                images = to_range(pixels)
            else:
                uniform = torch.from_numpy(draws.astype(np.float32)).to(self.device, non_blocking=True)
                images = distort(pixels, uniform)
            for entry in self.own:
                images = self.changed(entry, images, labels, epoch, start)
            yield images[mine], labels[mine], numbers[mine]

    def draws(self, epoch: int, start: int, count: int) -> np.ndarray:
        """Uniform numbers (count, DRAWS) of the batch that starts at place ``start`` of an epoch."""
        rng = stream(self.cell.seed, "augmentation", self.cell.stream_key, str(epoch), str(start))
        return rng.random((count, DRAWS))

    def evaluation(self, split: str, rank: int = 0, workers: int = 1) -> Iterator[Tensor]:
        """See :meth:`rethinking.training.batches.Feeder.evaluation`."""
        labels = self.data.train_labels if split == "train" else self.data.test_labels
        index, size = np.arange(len(labels)), EVALUATION_BLOCK
        blocks = (index[start : start + size] for start in range(rank * size, len(index), workers * size))
        for pixels in self.sources[split].batches((block, None) for block in blocks):
            yield to_range(pixels)


def box_of(draws: np.ndarray | None, height: int, width: int) -> Box:
    """What is cut out of an image."""
    return central_box(height, width) if draws is None else random_box(draws, height, width)


def cut_out(images: Tensor, draws: np.ndarray | None, size: int) -> Tensor:
    """Cut boxes out of images of one size, (n, 3, height, width) uint8, on their device."""
    height, width = images.shape[2:]
    rows = [None] * len(images) if draws is None else draws
    boxes = torch.tensor([box_of(row, height, width) for row in rows]).reshape(-1, 4)
    return crop_and_resize(images, boxes.to(images.device, non_blocking=True), size)


class Resident:
    """Images of one size on the device, uint8, or float32 where a corruption makes them so."""

    def __init__(self, images: np.ndarray, size: int, device: torch.device) -> None:
        dtype = torch.from_numpy(np.array(images[:1])).dtype
        self.images, self.size = torch.empty(images.shape, dtype=dtype, device=device), size
        # The host's memory need not hold the whole set.
        for start in range(0, len(images), UPLOADED):
            here = slice(start, start + UPLOADED)
            self.images[here] = torch.from_numpy(np.array(images[here]))

    def batches(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        """Yield the requested batches (batch, 3, size, size), levels 0 to 255."""
        for index, draws in requests:
            numbers = torch.from_numpy(index).to(self.images.device, non_blocking=True)
            yield cut_out(self.images[numbers], draws, self.size)


class Streamed:
    """Images decoded from their files in parallel, several batches ahead, into pinned memory where there is a GPU."""

    def __init__(self, files: Images, stored_size: int | None, size: int, device: torch.device) -> None:
        self.files, self.stored_size, self.size, self.device = files, stored_size, size, device

    def batches(self, requests: Iterable[Request]) -> Iterator[Tensor]:
        """Yield the requested batches (batch, 3, size, size), levels 0 to 255.

        Raises:
            UserError: an image cannot be decoded; the message names it.
        """
        waiting: deque[tuple[Request, Tensor, list[Future[None]]]] = deque()
        pool = ThreadPoolExecutor(torch.get_num_threads())
        try:
            for request in requests:
                waiting.append(self.begin(pool, request))
                if len(waiting) > AHEAD:
                    yield self.end(*waiting.popleft())
            while waiting:
                yield self.end(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def begin(self, pool: ThreadPoolExecutor, request: Request) -> tuple[Request, Tensor, list[Future[None]]]:
        """Ask for the images of a batch; each is written to its place in a buffer."""
        index, draws = request
        side = self.stored_size or self.size
        pinned = self.device.type == "cuda"
        buffer = torch.empty((len(index), side, side, 3), dtype=torch.uint8, pin_memory=pinned)
        rows = [None] * len(index) if draws is None else draws
        # As arrays, because within inference mode other threads must not write to a tensor.
        jobs = [
            pool.submit(self.decode, target, int(i), row)
            for target, i, row in zip(buffer.numpy(), index, rows, strict=True)
        ]
        return request, buffer, jobs

    def end(self, request: Request, buffer: Tensor, jobs: list[Future[None]]) -> Tensor:
        """Wait for a batch and take it to the device."""
        for job in jobs:
            job.result()
        # Channels come last, as in a decoded image.
        images = buffer.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return cut_out(images.contiguous(), request[1], self.size) if self.stored_size else images

    def decode(self, target: np.ndarray, i: int, draws: np.ndarray | None) -> None:
        """Decode one image into its place."""
        try:
            image = decode(self.files.read(i))
        except Undecodable as error:
            raise UserError(f"{self.files.describe(i)} cannot be decoded ({error}); get it again") from error
        if not self.stored_size:
            top, left, height, width = box_of(draws, *image.shape[1:])
            image = image[:, top : top + height, left : left + width]
        target[:] = resize(image, self.stored_size or self.size).permute(1, 2, 0).numpy()
