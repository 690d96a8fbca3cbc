"""The features of linear models: pixels, Gabor features or a random convolutional network, in blocks of columns on disk.

Each block is a file, and a resumed run uses the files that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rethinking.config.theory import LinearModelConfig
from rethinking.run.files import UserError, load_array, save_array
from rethinking.theory.gabor import gabor_features
from rethinking.theory.random_convnet import PATCH, draw_convnet

FILTERS = 1024  # of a random network in one block
ROWS = 1000  # images at a time
WORKING_MEMORY = 8e9  # bytes of a GPU that a fit needs beside the features

Log = Callable[[str], None]
Block = np.ndarray | Tensor | Path


class Features:
    """Features of n images, held in files, in main memory or on a GPU.

    Args:
        blocks: arrays or tensors (n, d_1), (n, d_2), ..., or files of arrays; bytes are taken as pixels and divided by
            255.
        constant: whether to add a column of ones.
    """

    def __init__(self, blocks: Sequence[Block], constant: bool = False) -> None:
        self.blocks = blocks
        self.constant = constant
        self.widths = [opened(block).shape[1] for block in blocks]
        self.held: Features | None = None  # in the memory of a GPU

    def __len__(self) -> int:
        return len(opened(self.blocks[0]))

    @property
    def width(self) -> int:
        """Number of columns."""
        return sum(self.widths) + self.constant

    def on(self, device: torch.device) -> Features:
        """The same in the memory of a GPU that has room for them, where reading them many times costs little.

        They stay there for the next fit: what torch has freed still counts as taken, so a second copy may find no room.
        """
        if device.type != "cuda":
            return self
        if self.held is None:
            size = sum(opened(block).nbytes for block in self.blocks)
            if size + WORKING_MEMORY > torch.cuda.mem_get_info(device)[0]:
                return self
            held = [torch.from_numpy(np.array(opened(block))).to(device) for block in self.blocks]
            self.held = Features(held, self.constant)
        return self.held

    def read(self, rows: slice, device: torch.device, dtype: torch.dtype, columns: slice | None = None) -> Tensor:
        """Some rows (and columns) as one tensor."""
        start, stop = (0, self.width) if columns is None else (columns.start, columns.stop)
        found, first = [], 0
        for block, width in zip(self.blocks, self.widths, strict=True):
            inside = slice(max(start - first, 0), max(min(stop - first, width), 0))
            if inside.start < inside.stop:
                # A file is mapped for this one read only: what stays mapped counts as memory of this process.
                values = opened(block)[rows, inside]
                if isinstance(values, np.ndarray):
                    values = torch.from_numpy(np.array(values))
                tensor = values.to(device).to(dtype)
                found.append(tensor / 255 if values.dtype == torch.uint8 else tensor)
            first += width
        if self.constant and start <= first < stop:
            count = len(range(*rows.indices(len(self))))
            found.append(torch.ones(count, 1, device=device, dtype=dtype))
        return torch.cat(found, 1)


def opened(block: Block) -> np.ndarray | Tensor:
    """The array or tensor itself, or the array in the file."""
    return load_array(block) if isinstance(block, Path) else block


def make_features(
    model: LinearModelConfig,
    train: np.ndarray,
    test: np.ndarray,
    folder: Path,
    seed: int,
    device: torch.device,
    log: Log = print,
) -> tuple[Features, Features]:
    """What a model sees of training and test images.

    Pixels are not changed. Gabor features are divided by the root of their total variance over the training images,
    so that the mean squared distance between two images is 2. The features of a random network are standardised over
    the training images and stored with 16 bits, so that rounding is part of them; a column of ones is added.

    Args:
        model: its settings.
        train: (n, channels, height, width) of bytes; all statistics are taken from them.
        test: the same for the test images.
        folder: where files lie.
        seed: of the patches that are the filters of a random network.
        device: where they are computed.
        log: called with a line per block.

    Raises:
        UserError: the images are too small.
    """
    if model.preprocessing == "none":
        return tuple(Features([images.reshape(len(images), -1)]) for images in (train, test))
    if model.preprocessing == "gabor":
        return tuple(Features([block]) for block in make_block(folder, 0, train, test, device, gabor_features, "total"))
    if min(train.shape[2:]) < PATCH + 1:
        raise UserError(
            f"the random convolutional network of linear_models needs images of at least {PATCH + 1}x{PATCH + 1} pixels, but "
            f"those of {model.dataset} have {train.shape[2]}x{train.shape[3]}"
        )
    network = draw_convnet(train, model.filters, seed, model.dataset, device)
    pairs = []
    for number, start in enumerate(range(0, model.filters, FILTERS)):
        part = network.part(slice(start, start + FILTERS))
        pairs.append(make_block(folder, number, train, test, device, part.features, "each"))
        log(f"features of {min(start + FILTERS, model.filters):,} of {model.filters:,} filters")
    return tuple(Features(blocks, constant=True) for blocks in zip(*pairs, strict=True))


def make_block(
    folder: Path,
    number: int,
    train: np.ndarray,
    test: np.ndarray,
    device: torch.device,
    transform: Callable[[Tensor], Tensor],
    scaling: str,
) -> tuple[Path, Path]:
    """The files of one block of features of training and test images, written if they do not exist.

    ``scaling`` is ``each`` (every feature has mean 0 and variance 1) or ``total`` (the variances sum to 1).
    """
    paths = [folder / f"{split}_{number:03d}.npy" for split in ("train", "test")]
    if not paths[0].exists():  # which is written last
        values = compute(train, device, transform)
        deviation, mean = torch.std_mean(values, 0)
        if scaling == "total":
            deviation, mean = deviation.square().sum().sqrt(), torch.zeros_like(mean)
        # What is the same in all training images, or in the only one, has no weight; divided, it would give nan.
        scale = torch.where(deviation >= 1e-6, deviation, 1.0)
        dtype = torch.float16 if scaling == "each" else torch.float32
        for path, some in ((paths[1], compute(test, device, transform)), (paths[0], values)):
            # A feature that hardly varies in training can be beyond 16 bits in a test image.
            most = torch.finfo(dtype).max
            save_array(path, some.sub_(mean).div_(scale).clamp_(-most, most).to(dtype).cpu().numpy())
    return tuple(paths)


def compute(images: np.ndarray, device: torch.device, transform: Callable[[Tensor], Tensor]) -> Tensor:
    """Transform all images, some at a time; the result is on the device."""
    result = None
    for start in range(0, len(images), ROWS):
        some = transform(torch.from_numpy(np.array(images[start : start + ROWS])).to(device))
        if result is None:
            result = torch.empty(len(images), some.shape[1], device=device)
        result[start : start + ROWS] = some
    return result
