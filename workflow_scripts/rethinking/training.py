"""Training of one cell: SGD as in the paper's appendix A, with the data on the device.

The images are uploaded once; batches are gathered, augmented and whitened there. Order
and augmentation of an epoch are drawn on the CPU from a stream named after cell and
epoch, so that they are the same on every device. Nothing in an epoch waits for the device.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rethinking.batches import Batches, to_inputs
from rethinking.cells import Cell
from rethinking.checkpoint import Checkpoint, Progress, restore, state_tensors
from rethinking.corruption import CorruptedData
from rethinking.files import UserError
from rethinking.models import build_model
from rethinking.models.initialisation import initialise
from rethinking.settings import CellSettings
from rethinking.streams import torch_seed

EVALUATION_BATCH = 1000


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
        data: images and labels as the cell's corruption left them.
        device: where to train.
        checkpoint: where to go on from and to write the state to; None keeps none.
        log: takes one line per epoch.

    Raises:
        UserError: the images are too small for the settings.
        Interrupted: a signal asked for it; the checkpoint has the state.
    """
    started = time.perf_counter()
    check_sizes(cell, settings, data)

    # ---- network and optimiser
    channels = data.train_images.shape[1]
    model = build_model(cell.model, (channels, settings.input_size, settings.input_size), data.num_classes)
    generator = torch.Generator().manual_seed(torch_seed(cell.seed, "initial weights", cell.stream_key))
    initialise(model, settings.initialisation, generator)
    layout = memory_layout(model)
    model = model.to(device, memory_format=layout)
    optimiser = build_optimiser(model, settings)

    # ---- data
    train_inputs = to_inputs(data.train_images, settings.input_size, device)
    test_inputs = to_inputs(data.test_images, settings.input_size, device)
    batches = Batches(data, train_inputs, cell, settings)
    steps_per_epoch = math.ceil(len(data.train_labels) / settings.batch_size)

    # ---- state: new, or as the checkpoint has it
    progress = Progress()
    sums = new_sums(steps_per_epoch, device)
    if checkpoint and (found := checkpoint.load()):
        progress, tensors = found
        restore(model, optimiser, tensors)
        sums = {name: tensors[name].to(device) for name in sums}
    earlier_seconds = progress.seconds

    def save_if_due() -> None:
        if checkpoint and checkpoint.due():
            progress.seconds = earlier_seconds + time.perf_counter() - started
            checkpoint.save(progress, state_tensors(model, optimiser) | sums)

    def evaluate_on(inputs: Tensor, labels: np.ndarray) -> Evaluation:
        return evaluate(model, inputs, labels, settings, save_if_due)

    # ---- epoch 0: the untrained network
    test: Evaluation | None = None  # of the last epoch, unless this process starts behind it
    if not progress.curve:
        train, test = evaluate_on(train_inputs, data.train_labels), evaluate_on(test_inputs, data.test_labels)
        seconds = time.perf_counter() - started
        progress.curve.append(curve_row(0, 0, 0.0, train.loss, train.accuracy, test, data, seconds))

    # ---- epochs
    diverged_at = None
    while progress.epoch <= settings.epochs:
        epoch = progress.epoch
        epoch_started = time.perf_counter()
        learning_rate = settings.learning_rate * settings.learning_rate_decay ** (epoch - 1)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate

        model.train()
        seen_before = progress.step * settings.batch_size  # in a process that was stopped in this epoch
        for images, labels in batches.epoch(epoch, progress.step):
            with autocast(device, settings):
                logits = model(images.contiguous(memory_format=layout))
            loss = F.cross_entropy(logits.float(), labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            sums["losses"][progress.step] = loss.detach()
            sums["loss_sum"] += loss.detach() * len(labels)
            sums["correct"] += (logits.argmax(1) == labels).sum()
            progress.step += 1
            save_if_due()

        # The first read of the epoch: here the host waits for the device.
        finite = torch.isfinite(sums["losses"]).tolist()
        progress.device_seconds += time.perf_counter() - epoch_started
        progress.images_seen += max(len(batches.labels) - seen_before, 0)
        test = evaluate_on(test_inputs, data.test_labels)
        if not all(finite) or not math.isfinite(test.loss):
            # What the last step did shows in the evaluation alone.
            step = finite.index(False) + 1 if not all(finite) else steps_per_epoch
            diverged_at = (epoch, (epoch - 1) * steps_per_epoch + step)
            log(f"epoch {epoch} step {diverged_at[1]}: the loss is not finite; the cell ends as diverged")
            break
        row = curve_row(
            epoch,
            epoch * steps_per_epoch,
            learning_rate,
            sums["loss_sum"].item() / len(batches.labels),
            100 * sums["correct"].item() / len(batches.labels),
            test,
            data,
            time.perf_counter() - epoch_started,
        )
        progress.curve.append(row)
        progress.epoch, progress.step = epoch + 1, 0
        sums = new_sums(steps_per_epoch, device)
        log(
            f"epoch {epoch}/{settings.epochs} loss {row['train_loss']:.4f} train {row['train_accuracy']:.2f} % "
            f"test {row['test_accuracy']:.2f} % {row['seconds']:.1f} s"
        )

    # ---- the whole training set without augmentation, in evaluation mode
    train = evaluate_on(train_inputs, data.train_labels)
    if diverged_at is None and not math.isfinite(train.loss):
        diverged_at = (settings.epochs, settings.epochs * steps_per_epoch)
    return TrainedCell(
        model=model,
        curve=progress.curve,
        diverged_at=diverged_at,
        train=train,
        test=test or evaluate_on(test_inputs, data.test_labels),
        wall_seconds=earlier_seconds + time.perf_counter() - started,
        device_seconds=progress.device_seconds,
        images_per_second=progress.images_seen / progress.device_seconds if progress.device_seconds else 0.0,
    )


def new_sums(steps_per_epoch: int, device: torch.device) -> dict[str, Tensor]:
    """What an epoch's steps add up on the device: the loss of each, their sum over images, right answers."""
    return {
        "losses": torch.zeros(steps_per_epoch, device=device),
        "loss_sum": torch.zeros((), dtype=torch.float64, device=device),
        "correct": torch.zeros((), dtype=torch.int64, device=device),
    }


def check_sizes(cell: Cell, settings: CellSettings, data: CorruptedData) -> None:
    """Refuse crops that the images cannot give."""
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


def memory_layout(model: nn.Module) -> torch.memory_format:
    """Channels last where there are convolutions: twice as fast for them, a needless copy for others."""
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return torch.channels_last if convolutional else torch.contiguous_format


def build_optimiser(model: nn.Module, settings: CellSettings) -> torch.optim.SGD:
    """SGD with momentum; weight decay as an l2 penalty on the weights that the settings name."""
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    if settings.weight_decay_on == "hidden_linear":
        layers = [m for m in layers if isinstance(m, nn.Linear)][:-1]
    decayed = {id(layer.weight) for layer in layers}
    groups = [
        {
            "params": [p for p in model.parameters() if (id(p) in decayed) == wanted],
            "weight_decay": settings.weight_decay if wanted else 0.0,
        }
        for wanted in (True, False)
    ]
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum, fused=True)


def autocast(device: torch.device, settings: CellSettings) -> torch.autocast:
    """Arithmetic in the cell's precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=settings.precision == "bfloat16")


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    inputs: Tensor,
    labels: np.ndarray,
    settings: CellSettings,
    between: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Loss and accuracy in evaluation mode over a whole set of whitened inputs (n, c, h, w).

    ``between`` is called after each block of images, as a whole set can take long.
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
    train_loss: float,
    train_accuracy: float,
    test: Evaluation,
    data: CorruptedData,
    seconds: float,
) -> dict[str, float]:
    """One line of curve.csv."""
    return {
        "epoch": epoch,
        "step": step,
        "learning_rate": learning_rate,
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "test_accuracy_corrupted": percent_equal(test.predictions, data.test_labels_corrupted),
        "seconds": seconds,
    }
