"""The network of a cell and its initial weights."""

from typing import Any

import numpy as np
import torch
from torch import nn

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import CorruptedData
from rethinking.models import build_model
from rethinking.models.initialisation import DATA_DEPENDENT, initialise, standardise
from rethinking.streams import stream, torch_seed
from rethinking.training.feeders import inputs_of

IMAGES = 256  # that data_dependent initial weights are fitted to


def build_network(
    cell: Cell, image_shape: tuple[int, int, int], num_classes: int, architecture: dict[str, Any]
) -> nn.Module:
    """Build the network of a cell, on the CPU; arguments and errors as in :func:`rethinking.models.build_model`.

    What a constructor draws, such as a buffer of random features, follows from the cell, so that each process that builds
    the network has the same.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(cell.seed, "network", cell.stream_key))
        return build_model(cell.model, image_shape, num_classes, **architecture)


def draw_initial_weights(model: nn.Module, cell: Cell, settings: CellSettings, data: CorruptedData) -> None:
    """Give a network on the CPU the initial weights of a cell, which follow from its seed and perhaps its training images."""
    generator = torch.Generator().manual_seed(torch_seed(cell.seed, "initial weights", cell.stream_key))
    initialise(model, settings.initialisation, generator)
    if settings.initialisation == DATA_DEPENDENT:
        draws = stream(cell.seed, "images for initial weights", cell.dataset)
        some = np.sort(draws.permutation(len(data.train_labels))[:IMAGES])
        standardise(model, inputs_of(data, "train", some, settings.input_size, torch.device("cpu")))
