"""Choose what feeds the loop with images."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import CorruptedData
from rethinking.run.files import UserError
from rethinking.run.hardware import free_memory
from rethinking.training.batches import Batches, Feeder, to_inputs


def build_feeder(
    data: CorruptedData,
    cell: Cell,
    settings: CellSettings,
    device: torch.device,
    kind: str = "auto",
    log: Callable[[str], None] = print,
    sharing: int = 1,
) -> Feeder:
    """What trains a cell on its data set.

    Whitened data sets are always resident. Images prepared as ImageNet are resident if they are stored and take at
    most half of the device's free memory, which ``sharing`` processes share and may fill at the same time; ``kind`` can
    also say ``resident`` or ``streamed``. Numbers do not depend on it.

    Raises:
        UserError: this kind is not possible.
    """
    if data.preprocessing == "whitening":
        # Inputs in bfloat16 if the first layer would round them anyway.
        dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
        inputs = to_inputs(data.train_images, settings.input_size, device, dtype)
        return Batches(data, inputs, cell, settings)
    # Imported here: the decoder takes as long to import as all the rest, and most cells have no image files.
    from rethinking.training.batches_imagenet import ImageBatches

    arrays = (data.train_images, data.train_labels), (data.test_images, data.test_labels)
    stored = all(len(images) == len(labels) for images, labels in arrays)
    if kind == "resident" and not stored:
        raise UserError(
            f"the images of {cell.dataset} are not stored, so they can only be streamed: set hardware.feeder to auto, "
            f"or give datasets.{cell.dataset}.stored_size"
        )
    if kind == "streamed" and data.files is None:
        raise UserError(
            f"cell {cell}: its images are in no files, so they cannot be streamed; set hardware.feeder to auto"
        )
    size = sharing * (data.train_images.nbytes + data.test_images.nbytes)  # each holds them
    fits = stored and (data.files is None or 2 * size <= free_memory(device))
    resident = kind == "resident" or (kind == "auto" and fits)
    if not resident and data.files is None:
        raise UserError(
            f"the images of {cell.dataset} are not stored, and no files are given; set datasets.{cell.dataset}.path"
        )
    log(f"images are {'resident' if resident else 'streamed'}")
    return ImageBatches(data, cell, settings, device, resident)


def inputs_of(data: CorruptedData, split: str, index: np.ndarray, size: int, device: torch.device) -> Tensor:
    """Some images of a split as networks see them in evaluation, float32 (m, channels, size, size)."""
    images = {"train": data.train_images, "test": data.test_images}[split]
    if data.preprocessing == "whitening":
        return to_inputs(images[index], size, device)
    from rethinking.training.batches_imagenet import EVALUATION_BLOCK, Resident, Streamed, to_range

    source: Resident | Streamed
    if len(images):
        source, places = Resident(images[index], size, device), np.arange(len(index))
    else:
        source, places = Streamed(data.files[split], data.stored_size, size, device), index
    blocks = np.split(places, range(EVALUATION_BLOCK, len(places), EVALUATION_BLOCK))
    return torch.cat([to_range(pixels) for pixels in source.batches((block, None) for block in blocks)])
