"""Training of one cell: SGD as in the paper's appendix A, with the data on the device.

The images are uploaded once; batches are gathered, augmented and whitened there. Order
and augmentation of an epoch are drawn on the CPU from a stream named after cell and
epoch, so that they are the same on every device. Nothing in an epoch waits for the device.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import CorruptedData
from rethinking.models import build_model, check_network
from rethinking.models.initialisation import initialise
from rethinking.run.checkpoint import Checkpoint, Progress, restore, state_tensors
from rethinking.run.files import UserError
from rethinking.streams import torch_seed
from rethinking.training.batches import Batches, to_inputs
from rethinking.training.steps import (
    autocast,
    build_optimiser,
    build_step,
    memory_layout,
    set_precision,
)

EVALUATION_BATCH = 1000
LOG_SECONDS = 60  # between two lines within an epoch
# Decay of the moving average over steps that the published training curves show. It is that of TensorFlow's CIFAR-10
# tutorial, where the name 'average_loss' in figure 1a comes from. Figure 2b shows such an average too: after a dip,
# the training error without batch normalisation falls by a factor of 0.9 per step.
MOVING_AVERAGE_DECAY = 0.9


@dataclass
class Evaluation:
    """Results of one pass in evaluation mode."""

    loss: float  # mean cross-entropy, nats
    accuracy: float  # percent
    predictions: np.ndarray  # (n,) int64 classes
    confidence: np.ndarray  # (n,) float32, softmax probability of the given label


@dataclass
class TrainedCell:
    """A finished or diverged cell."""

    model: nn.Module
    curve: list[dict[str, float]]  # one row per epoch, columns as in curve.csv
    memorisation: list[dict[str, float]]  # one row per epoch from 1 on, columns as in memorisation.csv
    diverged_at: (
        tuple[int, int] | None
    )  # (epoch, step) that gave or led to the first loss that was not finite
    train: Evaluation
    test: Evaluation
    wall_seconds: float
    device_seconds: float  # in training steps alone
    images_per_second: float


def train_cell(
    cell: Cell,
    settings: CellSettings,
    data: CorruptedData,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
    log: Callable[[str], None] = print,
) -> TrainedCell:
    """Train one network to the end of its schedule or until its loss is not finite.

    Args:
        cell: which cell this is; its name and seed select the random streams.
        settings: its resolved settings.
        data: images and labels after the cell's corruption.
        device: where to train.
        checkpoint: where to resume from and to save the state; None for no checkpoints.
        log: takes one line per epoch.

    Raises:
        UserError: the images are too small for the settings.
        Interrupted: a signal asked for it; the checkpoint has the state.
    """
    started = time.perf_counter()
    check_sizes(cell, settings, data)

    # ---- network and optimiser
    set_precision(settings.precision, device)
    channels = data.train_images.shape[1]
    shape = (channels, settings.input_size, settings.input_size)
    model = build_model(cell.model, shape, data.num_classes, **settings.architecture)
    entry = registry.entry("model", cell.model)
    if entry.own:
        check_network(entry, model, shape, data.num_classes)
    generator = torch.Generator().manual_seed(torch_seed(cell.seed, "initial weights", cell.stream_key))
    initialise(model, settings.initialisation, generator)
    check_last_batch(cell, settings, model, shape, len(data.train_labels))
    model = model.to(device, memory_format=memory_layout(model))
    optimiser = build_optimiser(model, settings)
    step = build_step(cell.model, model, optimiser, settings, device)

    # ---- data; inputs in bfloat16 if the first layer would round them anyway
    dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
    train_inputs = to_inputs(data.train_images, settings.input_size, device, dtype)
    batches = Batches(data, train_inputs, cell, settings)
    n = len(batches.labels)
    steps_per_epoch = math.ceil(n / settings.batch_size)

    @cache  # made when first needed, so that training starts at once
    def test_inputs() -> Tensor:
        return to_inputs(data.test_images, settings.input_size, device, dtype)

    # ---- state: new, or from the checkpoint
    progress = Progress()
    seen = new_record(steps_per_epoch, n, device)
    untrained = copy.deepcopy(model)
    if checkpoint and (found := checkpoint.load()):
        progress, tensors = found
        restore(model, optimiser, tensors)
        seen = {name: tensors[name].to(device) for name in seen}
    earlier_seconds = progress.seconds

    def save_if_due() -> None:
        if not checkpoint:
            return
        done = (progress.epoch - 1 + progress.step / steps_per_epoch) / settings.epochs
        checkpoint.running.update(progress.epoch, settings.epochs, done, n * settings.epochs)
        if checkpoint.due():
            progress.seconds = earlier_seconds + time.perf_counter() - started
            checkpoint.save(progress, state_tensors(model, optimiser) | seen)

    def evaluate_on(inputs: Tensor, labels: np.ndarray, network: nn.Module = model) -> Evaluation:
        return evaluate(network, inputs, labels, settings, save_if_due)

    # ---- epochs
    test: Evaluation | None = None  # of the last epoch, unless this process starts after it
    diverged_at, stepped = None, False
    while progress.epoch <= settings.epochs:
        epoch = progress.epoch
        epoch_started = logged = time.perf_counter()
        learning_rate = settings.learning_rate * settings.learning_rate_decay ** (epoch - 1)
        optimiser.set_learning_rate(learning_rate)

        model.train()
        first = progress.step  # not 0 in a process that resumes where another was stopped
        for images, labels, index in batches.epoch(epoch, first):
            if entry.own:
                # Layers that draw, such as dropout, get the same random numbers wherever training was interrupted.
                torch.manual_seed(
                    torch_seed(cell.seed, "layers", cell.stream_key, f"{epoch}/{progress.step}")
                )
            loss, logits = step(images, labels)
            seen["losses"][progress.step] = loss
            predicted = logits.argmax(1)
            seen["predictions"][index] = predicted
            seen["correct"][progress.step] = (predicted == labels).sum()
            progress.step += 1
            if not stepped:
                log("first step done")
                stepped = True
            save_if_due()
            if (now := time.perf_counter()) - logged > LOG_SECONDS:
                logged, done = now, progress.step * settings.batch_size
                rate = (done - first * settings.batch_size) / (now - epoch_started)
                left = ((settings.epochs - epoch + 1) * n - done) / rate
                log(
                    f"epoch {epoch}/{settings.epochs} step {progress.step}/{steps_per_epoch} "
                    f"loss {loss.item():.4f} {rate:.0f} images/s left {left:.0f} s"
                )

        # The first read of the epoch; here the host waits for the device.
        losses, predictions = seen["losses"].cpu(), seen["predictions"].cpu().numpy()
        step_seconds = time.perf_counter() - epoch_started
        images_seen = max(n - first * settings.batch_size, 0)
        progress.device_seconds += step_seconds
        progress.images_seen += images_seen
        if not progress.curve:
            # The untrained network is evaluated only now, so that training starts at once.
            untrained_train = evaluate_on(train_inputs, data.train_labels, untrained)
            untrained_test = evaluate_on(test_inputs(), data.test_labels, untrained)
            seconds = time.perf_counter() - epoch_started - step_seconds
            before = untrained_train.loss, untrained_train.accuracy
            progress.curve.append(curve_row(0, 0, 0.0, before, before, untrained_test, data, seconds))
            epoch_started = time.perf_counter() - step_seconds
        test = evaluate_on(test_inputs(), data.test_labels)
        finite = torch.isfinite(losses)
        if not finite.all() or not math.isfinite(test.loss):
            # The effect of the last step is only visible in the evaluation.
            number = finite.tolist().index(False) + 1 if not finite.all() else steps_per_epoch
            diverged_at = (epoch, (epoch - 1) * steps_per_epoch + number)
            log(f"epoch {epoch} step {diverged_at[1]}: the loss is not finite; the cell ends as diverged")
            break
        seconds = time.perf_counter() - epoch_started
        sizes = batches.sizes()
        train_loss = float(losses.double() @ sizes) / n
        train_accuracy = percent_equal(predictions, data.train_labels)
        at_end = moving_average(losses), moving_average(100 * seen["correct"].cpu() / sizes)
        progress.curve.append(
            curve_row(
                epoch,
                epoch * steps_per_epoch,
                learning_rate,
                (train_loss, train_accuracy),
                at_end,
                test,
                data,
                seconds,
            )
        )
        progress.memorisation.append(memorisation_row(epoch, predictions, data))
        progress.epoch, progress.step = epoch + 1, 0
        seen = new_record(steps_per_epoch, n, device)
        log(
            f"epoch {epoch}/{settings.epochs} loss {train_loss:.4f} train {train_accuracy:.2f} % "
            f"test {test.accuracy:.2f} % {seconds:.1f} s {images_seen / step_seconds:.0f} images/s "
            f"left {(settings.epochs - epoch) * seconds:.0f} s"
        )

    # ---- the whole training set without augmentation, in evaluation mode
    train = evaluate_on(train_inputs, data.train_labels)
    if diverged_at is None and not math.isfinite(train.loss):
        diverged_at = (settings.epochs, settings.epochs * steps_per_epoch)
    return TrainedCell(
        model=model,
        curve=progress.curve,
        memorisation=progress.memorisation,
        diverged_at=diverged_at,
        train=train,
        test=test or evaluate_on(test_inputs(), data.test_labels),
        wall_seconds=earlier_seconds + time.perf_counter() - started,
        device_seconds=progress.device_seconds,
        images_per_second=progress.images_seen / progress.device_seconds if progress.device_seconds else 0.0,
    )


def new_record(steps_per_epoch: int, n: int, device: torch.device) -> dict[str, Tensor]:
    """What an epoch records on the device: loss and correct predictions of each step, predicted class of each image."""
    return {
        "losses": torch.zeros(steps_per_epoch, device=device),
        "correct": torch.zeros(steps_per_epoch, dtype=torch.int64, device=device),
        "predictions": torch.zeros(n, dtype=torch.int64, device=device),
    }


def moving_average(values: Tensor) -> float:
    """Exponential moving average over the steps (steps,) of an epoch, at its end.

    With the paper's 391 steps, earlier epochs have no weight left; with fewer steps, the weights are normalised.
    It is computed relative to the last value, so that equal values give exactly that value: 100 % must stay 100 %.
    """
    values = values.double()
    weights = MOVING_AVERAGE_DECAY ** torch.arange(len(values) - 1, -1, -1, dtype=torch.float64)
    return float(values[-1] + (values - values[-1]) @ weights / weights.sum())


def check_sizes(cell: Cell, settings: CellSettings, data: CorruptedData) -> None:
    """Refuse crops for which the images are too small."""
    height, width = data.train_images.shape[2:]
    if settings.input_size > min(height, width):
        raise UserError(
            f"datasets.{cell.dataset}.input_size is {settings.input_size}, but its images are {height}x{width}; "
            f"give at most {min(height, width)}"
        )
    if "crop" in cell.regularisers and settings.input_size == min(height, width):
        raise UserError(
            f"cell {cell}: random cropping needs images larger than datasets.{cell.dataset}.input_size "
            f"({settings.input_size}); lower it or leave 'crop' out"
        )


def check_last_batch(
    cell: Cell, settings: CellSettings, model: nn.Module, shape: tuple[int, int, int], images: int
) -> None:
    """Refuse a batch of one image where batch normalisation would divide by a variance of one value."""
    if images % settings.batch_size != 1 and settings.batch_size > 1:
        return
    try:
        with torch.no_grad():
            copy.deepcopy(model).train()(torch.zeros(1, *shape))
    except ValueError as error:
        raise UserError(
            f"cell {cell}: {images:,} training images in batches of {settings.batch_size} leave a batch of one image, "
            f"which batch normalisation cannot take ({error}); set another batch_size, or a train_limit of the data set"
        ) from None


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    inputs: Tensor,
    labels: np.ndarray,
    settings: CellSettings,
    between: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Loss and accuracy in evaluation mode over a whole set of whitened inputs (n, c, h, w).

    ``between`` is called after each block of images, because a whole set can take long.
    """
    model.eval()
    layout = memory_layout(model)
    blocks = []
    with autocast(inputs.device, settings):
        for block in inputs.split(EVALUATION_BATCH):
            blocks.append(model(block.contiguous(memory_format=layout)).float())
            between()
    logits = torch.cat(blocks)
    targets = torch.from_numpy(labels).to(inputs.device)
    log_probability = F.log_softmax(logits, 1).gather(1, targets[:, None])[:, 0]
    predictions = logits.argmax(1)
    return Evaluation(
        loss=-log_probability.double().mean().item(),
        accuracy=percent_equal(predictions.cpu().numpy(), labels),
        predictions=predictions.cpu().numpy(),
        confidence=log_probability.exp().cpu().numpy(),
    )


def percent_equal(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Percentage of predictions (n,) that equal the labels (n,)."""
    return 100 * float(np.mean(predictions == labels))


def curve_row(
    epoch: int,
    step: int,
    learning_rate: float,
    train: tuple[float, float],
    train_end: tuple[float, float],
    test: Evaluation,
    data: CorruptedData,
    seconds: float,
) -> dict[str, float]:
    """One line of curve.csv.

    ``train`` holds the means of loss and online accuracy over the epoch, ``train_end`` their moving averages at its end.
    """
    return {
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
