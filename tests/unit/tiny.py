"""Cells small enough to train in a test: the images of the fixture ``data``."""

import json
import signal
from contextlib import suppress
from itertools import count

import numpy as np
import torch
from torch import nn

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings, RMSPropSettings
from rethinking.run.checkpoint import Checkpoint, Interrupted
from rethinking.training.batches import Batches
from rethinking.training.loop import train_cell

CPU = torch.device("cpu")
COLUMNS = (
    "epoch,step,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy,"
    "test_accuracy_corrupted,seconds,train_loss_end,train_accuracy_end"
)
SETTINGS = CellSettings(
    epochs=4,
    batch_size=16,  # batches of 16, 16 and 8
    learning_rate=0.02,
    learning_rate_decay=0.95,
    momentum=0.9,
    weight_decay=0.0,
    weight_decay_on="weights",
    initialisation="glorot_uniform",
    precision="float32",
    input_size=10,
    thresholds=[25.0, 99.9, 100.0],
)


def make_cell(model="mlp_1x512", regularisers="none", seed=0):
    return Cell.parse(f"cifar10/labels_p0.5/{model}/{regularisers}/seed{seed}")


def settings_with(**values):
    return CellSettings(**SETTINGS.model_dump() | values)


# All of the settings that table 2 has, over micro-batches
MANY = settings_with(
    epochs=2,
    batch_size=16,
    micro_batch=4,
    learning_rate=0.05,
    weight_decay=0.01,
    rmsprop=RMSPropSettings(decay=0.8, epsilon=1.0),
    label_smoothing=0.1,
    auxiliary_loss=0.4,
    average_decay=0.99,
    decay_every=2,
)


class Tiny(nn.Module):
    """Batch normalisation, dropout and an auxiliary head in few weights."""

    def __init__(self, classes=4, momentum=0.05):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, momentum=momentum)
        self.dropout, self.fc, self.auxiliary = nn.Dropout(0.3), nn.Linear(6, classes), nn.Linear(6, classes)

    def forward(self, x):
        features = self.norm(self.conv(x)).relu().mean((2, 3))
        logits = self.fc(self.dropout(features))
        return (logits, self.auxiliary(features)) if self.training else logits


def train(data, cell=None, **values):
    return train_cell(cell or make_cell(), settings_with(**values), data, CPU, log=lambda line: None)


class StoppedAfterAStep(Checkpoint):
    """As if a signal arrived during the first step of this process."""

    before = (1, 0)

    def load(self):
        found = super().load()
        self.before = (found[0].epoch, found[0].step) if found else self.before
        return found

    def save(self, progress, tensors):
        if (progress.epoch, progress.step) > self.before:
            self.signal = signal.SIGUSR1
            super().save(progress, tensors)

    def asked(self):
        return 1


def stopped_after_every_step(train):
    """What a cell ends with that is started again as often as it is interrupted, and how often that was."""
    for stops in count():
        with suppress(Interrupted):
            return train(), stops


def without_seconds(curve):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in curve]


def numbered_batches(data, cell):
    """Batches in which each image is replaced by its number."""
    numbers = torch.arange(len(data.train_labels), dtype=torch.float32).reshape(-1, 1, 1, 1)
    return Batches(data, numbers, cell, settings_with(input_size=1))


def plain_whiten(images):
    """The formula in TensorFlow's documentation of per_image_whitening."""
    values = images.astype(np.float64) / 255
    centred = values - values.mean((1, 2, 3), keepdims=True)
    floor = 1 / np.sqrt(images[0].size)
    deviation = np.maximum(values.std((1, 2, 3), keepdims=True), floor)
    return torch.from_numpy(centred / deviation).float()


def read_strictly(path):
    """JSON as other languages read it: NaN and Infinity are errors."""

    def refuse(constant):
        raise ValueError(constant)

    return json.loads(path.read_text(), parse_constant=refuse)
