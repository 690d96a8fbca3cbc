"""What training records of its steps, and the lines of curve.csv and memorisation.csv made from it."""

import math

import numpy as np
import torch
from torch import Tensor

from rethinking.corruption.loading import CorruptedData
from rethinking.training.evaluation import Evaluation, percent_equal, percent_within

CLASSES_WITHOUT_TOP5 = 10  # with so few classes the five likeliest say nothing
# Decay of the moving average over steps that the published training curves show. It is that of TensorFlow's CIFAR-10
# tutorial, where the name 'average_loss' in figure 1a comes from. Figure 2b shows such an average too: after a dip,
# the training error without batch normalisation falls by a factor of 0.9 per step.
MOVING_AVERAGE_DECAY = 0.9


def new_record(steps_per_epoch: int, n: int, device: torch.device, top5: bool) -> dict[str, Tensor]:
    """What an epoch records on the device: loss and correct predictions of each step, predicted class of each image.

    All but the losses is added up over several workers, each of which records its own images.
    """
    counts = ("correct", "correct_top5") if top5 else ("correct",)
    return {
        "losses": torch.zeros(steps_per_epoch, device=device),
        "predictions": torch.zeros(n, dtype=torch.int64, device=device),
        **{name: torch.zeros(steps_per_epoch, dtype=torch.int64, device=device) for name in counts},
    }


def moving_average(values: Tensor) -> float:
    """Exponential moving average over the steps (steps,) of an epoch, at its end.

    With the paper's 391 steps, earlier epochs have no weight left; with fewer steps, the weights are normalised.
    It is computed relative to the last value, so that equal values give exactly that value: 100 % must stay 100 %.
    """
    values = values.double()
    weights = MOVING_AVERAGE_DECAY ** torch.arange(len(values) - 1, -1, -1, dtype=torch.float64)
    return float(values[-1] + (values - values[-1]) @ weights / weights.sum())


def curve_row(
    epoch: int,
    step: int,
    learning_rate: float,
    train: tuple[float, float],
    train_end: tuple[float, float],
    test: Evaluation,
    data: CorruptedData,
    seconds: float,
    train_top5: float | None,
) -> dict[str, float]:
    """One line of curve.csv.

    ``train`` holds the means of loss and online accuracy over the epoch, ``train_end`` their moving averages at its end.
    ``train_top5`` is the online top-5 accuracy; None where it is not measured.
    """
    row = {
        "epoch": epoch,
        "step": step,
        "learning_rate": learning_rate,
        "train_loss": train[0],
        "train_accuracy": train[1],
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "test_accuracy_corrupted": percent_equal(test.predictions, data.test_labels_corrupted),
        "seconds": seconds,
        "train_loss_end": train_end[0],
        "train_accuracy_end": train_end[1],
    }
    if train_top5 is not None:
        row |= {"train_accuracy_top5": train_top5, "test_accuracy_top5": percent_within(test.ranks, 5)}
    return row


def memorisation_row(epoch: int, predictions: np.ndarray, data: CorruptedData) -> dict[str, float]:
    """One line of memorisation.csv: how an epoch's online predictions (n,) treat changed labels.

    Accuracies in percent: on images whose label is the true one, and on the others once against
    the label given in training (memorised) and once against the true label (generalised in
    spite of it). NaN where there are no such images.
    """
    changed = data.train_labels != data.train_labels_true

    def share(right: np.ndarray, part: np.ndarray) -> float:
        return 100 * float(right[part].mean()) if part.any() else math.nan

    return {
        "epoch": epoch,
        "unchanged_accuracy": share(predictions == data.train_labels, ~changed),
        "changed_accuracy_given": share(predictions == data.train_labels, changed),
        "changed_accuracy_true": share(predictions == data.train_labels_true, changed),
    }
