"""Training of one cell: SGD as in the paper's appendix A.

A feeder delivers batches on the device: images that fit are uploaded once, others are streamed. Order and augmentation
of an epoch are drawn on the CPU from a stream named after cell and epoch, so that they are the same on every device.
Within an epoch only a line of the log or a checkpoint, once a minute, waits for the device.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import CorruptedData
from rethinking.run.checkpoint import Checkpoint, Progress, restore, state_tensors
from rethinking.run.files import UserError
from rethinking.run.hardware import device_name
from rethinking.run.network_checks import check_network
from rethinking.run.team import ALONE, Team
from rethinking.training.batches import whole
from rethinking.training.curves import (
    CLASSES_WITHOUT_TOP5,
    curve_row,
    memorisation_row,
    moving_average,
    new_record,
)
from rethinking.training.evaluation import Evaluation, evaluate, label_ranks, percent_equal, percent_within
from rethinking.training.feeders import build_feeder
from rethinking.training.initial_weights import build_network, draw_initial_weights
from rethinking.training.micro_batches import MicroBatchStep, takes_parts
from rethinking.training.optimisers import AveragedNetwork
from rethinking.training.reductions import build_reduction
from rethinking.training.steps import build_optimiser, build_step, memory_layout, seed_layers, set_precision

LOG_SECONDS = 60  # between two lines within an epoch


@dataclass
class TrainedCell:
    """A finished or diverged cell."""

    model: nn.Module  # with averaged weights, if the settings ask for them
    curve: list[dict[str, float]]  # one row per epoch, columns as in curve.csv
    memorisation: list[dict[str, float]]  # one row per epoch from 1 on, columns as in memorisation.csv
    # (epoch, step) that gave or led to the first loss that was not finite
    diverged_at: tuple[int, int] | None
    train: Evaluation
    test: Evaluation
    wall_seconds: float
    device_seconds: float  # in training steps alone
    images_per_second: float
    devices: list[str]  # by their names, in the order in which they trained it


def train_cell(
    cell: Cell,
    settings: CellSettings,
    data: CorruptedData,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
    log: Callable[[str], None] = print,
    feeder: str = "auto",
    team: Team = ALONE,
    sharing: int = 1,
) -> TrainedCell:
    """Train one network to the end of its schedule or until its loss is not finite.

    Args:
        cell: which cell this is; its name and seed select the random streams.
        settings: its resolved settings.
        data: images and labels after the cell's corruption.
        device: where to train.
        checkpoint: where to resume from and to save the state; None for no checkpoints.
        log: takes one line per epoch.
        feeder: of images that are prepared as ImageNet is: ``resident``, ``streamed`` or ``auto``; see
            :func:`rethinking.training.feeders.build_feeder`. It changes no number.
        team: the workers that train it together. All return the same; only worker 0 has a checkpoint to read and write.
        sharing: processes that share the device's memory, for the feeder.

    Raises:
        UserError: the images are too small for the settings, or cannot be read.
        Interrupted: a signal asked for it; the checkpoint has the state.
    """
    started = time.perf_counter()
    check_sizes(cell, settings, data)

    # ---- network and optimiser
    set_precision(settings.precision, device)
    shape = (data.train_images.shape[1], settings.input_size, settings.input_size)
    model = build_network(cell, shape, data.num_classes, settings.architecture)
    entry = registry.entry("model", cell.model)
    if entry.own:
        check_network(entry, model, shape, data.num_classes, bool(settings.micro_batch))
    draw_initial_weights(model, cell, settings, data)
    check_last_batch(cell, settings, model, shape, len(data.train_labels))
    model = model.to(device, memory_format=memory_layout(model))
    optimiser = build_optimiser(model, settings)
    average = AveragedNetwork(model, settings.average_decay) if settings.average_decay else None
    reduction = build_reduction(settings, device, team)
    takes = takes_parts(model, settings)
    parts = MicroBatchStep(cell, model, optimiser, settings, device, reduction) if takes else None
    step = None if parts else build_step(cell.model, model, optimiser, settings, device)
    # An own network can draw in other ways.
    draws = entry.own or any(isinstance(module, nn.Dropout) for module in model.modules())

    # ---- data
    batches = build_feeder(data, cell, settings, device, feeder, log, sharing)
    n, sizes = len(batches.labels), batches.sizes()
    share = parts.share if parts else whole
    steps_per_epoch = math.ceil(n / settings.batch_size)

    # ---- state: new, or from the checkpoint
    progress = Progress()
    top5 = data.num_classes > CLASSES_WITHOUT_TOP5
    seen = new_record(steps_per_epoch, n, device, top5)
    untrained, evaluated = copy.deepcopy(model), average.model if average else model
    if checkpoint and (found := checkpoint.load()):
        progress, tensors = found
        restore(model, optimiser, tensors, average)
        seen = {name: tensors[name].to(device) for name in seen}
    shared = [*state_tensors(model, optimiser, average).values(), seen["losses"]]
    progress = team.same_state(progress, shared)
    progress.devices = list(dict.fromkeys([*progress.devices, device_name(device)]))
    earlier_seconds = progress.seconds

    def save_if_due() -> None:
        if not checkpoint:
            return
        done = (progress.epoch - 1 + progress.step / steps_per_epoch) / settings.epochs
        checkpoint.running.update(progress.epoch, settings.epochs, done, n * settings.epochs)
        if team.agree(checkpoint):
            progress.seconds = earlier_seconds + time.perf_counter() - started
            checkpoint.save(progress, state_tensors(model, optimiser, average) | of_all(seen, team))

    given = {"train": data.train_labels, "test": data.test_labels}

    def evaluate_on(split: str, network: nn.Module = evaluated) -> Evaluation:
        blocks = batches.evaluation(split, team.rank, team.size)
        return evaluate(network, blocks, given[split], settings, save_if_due, team, batches.evaluation_block)

    # ---- epochs
    test: Evaluation | None = None  # of the last epoch, unless this process starts after it
    diverged_at, stepped = None, False
    while progress.epoch <= settings.epochs:
        epoch = progress.epoch
        epoch_started = logged = time.perf_counter()
        falls = (epoch - 1) // settings.decay_every
        learning_rate = settings.learning_rate * settings.learning_rate_decay**falls
        optimiser.set_learning_rate(learning_rate)

        model.train()
        first = progress.step  # not 0 in a process that resumes where another was stopped
        for images, labels, index in batches.epoch(epoch, first, share):
            place = f"{epoch}/{progress.step}"
            if parts:
                loss, logits = parts(images, labels, place, int(sizes[progress.step]))
            else:
                if draws:
                    seed_layers(cell, place)
                loss, logits = step(images, labels)
            if average:
                average.update((epoch - 1) * steps_per_epoch + progress.step + 1)
            seen["losses"][progress.step] = loss
            predicted = logits.argmax(1)
            seen["predictions"][index] = predicted
            seen["correct"][progress.step] = (predicted == labels).sum()
            if top5:
                seen["correct_top5"][progress.step] = (label_ranks(logits, labels) < 5).sum()
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
        record = of_all(seen, team)
        losses, predictions = record["losses"].cpu(), record["predictions"].cpu().numpy()
        step_seconds = time.perf_counter() - epoch_started
        images_seen = max(n - first * settings.batch_size, 0)
        progress.device_seconds += step_seconds
        progress.images_seen += images_seen
        if not progress.curve:
            # The untrained network is evaluated only now, so that training starts at once.
            untrained_train = evaluate_on("train", untrained)
            untrained_test = evaluate_on("test", untrained)
            seconds = time.perf_counter() - epoch_started - step_seconds
            before = untrained_train.loss, untrained_train.accuracy
            untrained_top5 = percent_within(untrained_train.ranks, 5) if top5 else None
            progress.curve.append(curve_row(0, 0, 0.0, before, before, untrained_test, data, seconds, untrained_top5))
            epoch_started = time.perf_counter() - step_seconds
        test = evaluate_on("test")
        finite = torch.isfinite(losses)
        if not finite.all() or not math.isfinite(test.loss):
            # The effect of the last step is only visible in the evaluation.
            number = finite.tolist().index(False) + 1 if not finite.all() else steps_per_epoch
            diverged_at = (epoch, (epoch - 1) * steps_per_epoch + number)
            log(f"epoch {epoch} step {diverged_at[1]}: the loss is not finite; the cell ends as diverged")
            break
        seconds = time.perf_counter() - epoch_started
        train_loss = float(losses.double() @ sizes) / n
        train_accuracy = percent_equal(predictions, data.train_labels)
        at_end = moving_average(losses), moving_average(100 * record["correct"].cpu() / sizes)
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
                100 * int(record["correct_top5"].sum()) / n if top5 else None,
            )
        )
        progress.memorisation.append(memorisation_row(epoch, predictions, data))
        progress.epoch, progress.step = epoch + 1, 0
        seen = new_record(steps_per_epoch, n, device, top5)
        log(
            f"epoch {epoch}/{settings.epochs} loss {train_loss:.4f} train {train_accuracy:.2f} % "
            f"test {test.accuracy:.2f} % {seconds:.1f} s"
            # A process that resumed within this epoch does not know how long a whole one takes.
            + (
                ""
                if first
                else f" {images_seen / step_seconds:.0f} images/s left {(settings.epochs - epoch) * seconds:.0f} s"
            )
        )

    # ---- the whole training set without augmentation, in evaluation mode
    train = evaluate_on("train")
    if diverged_at is None and not math.isfinite(train.loss):
        diverged_at = (settings.epochs, settings.epochs * steps_per_epoch)
    return TrainedCell(
        model=evaluated,
        curve=progress.curve,
        memorisation=progress.memorisation,
        diverged_at=diverged_at,
        train=train,
        test=test or evaluate_on("test"),
        wall_seconds=earlier_seconds + time.perf_counter() - started,
        device_seconds=progress.device_seconds,
        images_per_second=progress.images_seen / progress.device_seconds if progress.device_seconds else 0.0,
        devices=progress.devices,
    )


def of_all(seen: dict[str, Tensor], team: Team) -> dict[str, Tensor]:
    """The record of all workers: each counts its own images, and all know the loss of a step."""
    return {name: value if name == "losses" else team.add_up(value) for name, value in seen.items()}


def check_sizes(cell: Cell, settings: CellSettings, data: CorruptedData) -> None:
    """Refuse crops for which the images are too small, or that the data set does not have."""
    if data.preprocessing == "inception":
        if "crop" in cell.regularisers:
            raise UserError(f"cell {cell}: {cell.dataset} has no 'crop'; its 'augment' crops")
        return
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
    batch = settings.micro_batch or settings.batch_size
    if images % settings.batch_size % batch != 1 and batch > 1:
        return
    try:
        with torch.no_grad():
            copy.deepcopy(model).train()(torch.zeros(1, *shape))
    except ValueError as error:
        raise UserError(
            f"cell {cell}: {images:,} training images in batches of {settings.batch_size} leave a batch of one image, "
            f"which batch normalisation cannot take ({error}); set another batch_size, or a train_limit of the data set"
        ) from None
