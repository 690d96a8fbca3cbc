"""The initial weights of a cell."""

import numpy as np
import torch
from torch import nn

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import CorruptedData
from rethinking.models.initialisation import DATA_DEPENDENT, initialise, standardise
from rethinking.streams import stream, torch_seed
from rethinking.training.feeders import inputs_of

IMAGES = 256  # that data_dependent initial weights are fitted to


def draw_initial_weights(model: nn.Module, cell: Cell, settings: CellSettings, data: CorruptedData) -> None:
    """Give a network on the CPU the initial weights of a cell, which follow from its seed and perhaps its training images."""
    generator = torch.Generator().manual_seed(torch_seed(cell.seed, "initial weights", cell.stream_key))
    initialise(model, settings.initialisation, generator)
    if settings.initialisation == DATA_DEPENDENT:
        draws = stream(cell.seed, "images for initial weights", cell.dataset)
        some = np.sort(draws.permutation(len(data.train_labels))[:IMAGES])
        standardise(model, inputs_of(data, "train", some, settings.input_size, torch.device("cpu")))
