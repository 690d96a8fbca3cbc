"""The state of a configuration's cells: done, part-trained, stale and why, or to run; and how long the rest takes.

It is read from the files of the cells. A cell is stale when its identity (settings, code, data) is no longer the one
that the configuration and the library ask for. So are measures of networks and fits of the theory.
"""

import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from rethinking import registry
from rethinking.cells import Cell, sample_size
from rethinking.config.configuration import Config
from rethinking.data.imagenet_classes import IMAGES
from rethinking.run.files import UserError, read_json
from rethinking.run.identity import Identity, damages, differences, read_record, record_faults
from rethinking.run.made import Made
from rethinking.run.plan import Plan, branch, checkpoint_file
from rethinking.run.running import Running, read_running

# Anything that reading a damaged or outdated file can raise.
UNREADABLE = (UserError, SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True)
class CellStatus:
    """The state of one cell."""

    cell: Cell
    variant: str | None  # the ablation that it belongs to
    state: Literal["done", "part-trained", "stale", "to run"]
    epochs: int  # of its schedule
    images: int | None  # in its training set; None if that is not known
    pixels: int  # of an image as the network sees it
    reasons: tuple[str, ...] = ()  # why it is stale, or why its checkpoint does not fit
    epochs_done: float = 0.0  # of a part-trained cell, or of a done one that the user had trained again
    diverged: tuple[int, int] | None = None  # epoch and step
    damaged: bool = False  # it is done, but its summary cannot be read
    seconds_per_image: float | None = None  # of its training so far, evaluation included, per image and epoch
    device: Literal["cpu", "gpu"] | None = None  # on which it was trained; None: not recorded
    running: Running | None = None  # progress of a process that is working on it, or why one failed

    @property
    def is_training(self) -> bool:
        """Whether a process is working on it."""
        return self.running is not None and not self.running.failed


@dataclass(frozen=True)
class ResultStatus:
    """The state of a measure of a network, or of a fit of the theory."""

    rule: str  # that makes it
    state: Literal["done", "stale", "to run"]
    reasons: tuple[str, ...] = ()  # why it is stale


@dataclass(frozen=True)
class Estimate:
    """How long the rest takes."""

    seconds: float  # one cell at a time
    cells: int  # that the estimate covers
    unknown: dict[str, int]  # model -> number of cells without an estimate
    device: Literal["cpu", "gpu"] | None  # of the times that it is made from; None: not recorded


# ---- one cell


def survey(config: Config) -> tuple[list[CellStatus], list[CellStatus], list[ResultStatus]]:
    """The status of the cells of all tables and figures, of those that ablations need in addition, and of what else is made.

    Ablations need variants, and cells that no table or figure shows. The third are measures and fits.
    """
    plan, shown = Plan(config), dict.fromkeys(config.cells(*config.results))
    statuses = [cell_status(plan, cell) for cell in shown]
    further = [cell_status(plan, cell) for cell in config.ablated_cells() if cell not in shown]
    further += [cell_status(plan, cell, name) for name, cell in config.variants()]
    results = [result_status(made) for some in plan.measures_and_fits().values() for made in some]
    return statuses, further, results


def result_status(made: Made) -> ResultStatus:
    """The status of a measure or fit."""
    if made.current:
        return ResultStatus(made.script, "done")
    if not any(map(os.path.exists, made.outputs)):
        return ResultStatus(made.script, "to run")
    behind = [] if all(each.current for each in made.needs) else ["what it is made from is stale or missing"]
    return ResultStatus(made.script, "stale", tuple(dict.fromkeys(behind or changes(made))))


def changes(made: Made) -> list[str]:
    """How the files of a result differ from what the configuration and the code ask for now, one line each."""
    record = read_record(made.outputs[0])
    if record:
        lines = differences(Identity.from_json(record), made.identity)
    else:
        lines = record_faults(made.outputs[0], record) or ["there is no record of what it was made from"]
    lines += damages(made.outputs, record)
    return lines or ["what it is made from was made again"]


def training_images(plan: Plan, cell: Cell) -> int | None:
    """Images in a cell's training set: of its prepared data set, or as many as are published and its limit lets pass."""
    if n := sample_size(cell.corruption):
        return n
    try:
        return read_json(plan.prepared(cell.dataset).outputs[0])["train"]["count"]
    except UNREADABLE:
        options = registry.entry("dataset", cell.dataset).options
        published = options.get("train", IMAGES.get(cell.dataset, {}).get("train"))
        return min(filter(None, (plan.config.datasets[cell.dataset].train_limit, published)), default=None)


def cell_status(plan: Plan, cell: Cell, variant: str | None = None) -> CellStatus:
    """The status of a cell, or of a variant of it."""
    made = plan.cell(cell, variant)
    settings = made.identity.settings
    checkpoint = Path(checkpoint_file(plan.results, branch(variant), cell))
    status = CellStatus(
        cell=cell,
        variant=variant,
        state="to run",
        epochs=settings["epochs"],
        images=training_images(plan, cell),
        pixels=settings["input_size"] ** 2,
        running=read_running(checkpoint),
    )
    if Path(made.outputs[-1]).exists():
        status = with_summary(status, made)
    failed = status.running and status.running.failed
    # Of other settings, which were changed back: a network that is done would not start again and so replace the file.
    if failed and status.state == "done" and status.running.identity != made.identity.digest:
        status = replace(status, running=None)
    return with_checkpoint(status, made, checkpoint) if checkpoint.exists() else status


def with_summary(status: CellStatus, made: Made) -> CellStatus:
    """The status of a cell that has been trained: done, or stale and why."""
    reasons = [] if made.current else changes(made)
    facts: dict[str, Any] = {}
    try:
        summary = read_json(made.outputs[-1])
        count = summary["data"]["train"]["count"]
        if summary["status"] == "diverged":
            facts["diverged"] = summary["diverged_epoch"], summary["diverged_step"]
        devices = {"cpu" if name == "cpu" else "gpu" for name in summary["provenance"]["device"].split(" and ")}
        # The time of one that was trained on both tells of neither.
        if summary["epochs"] and len(devices) == 1:
            facts["device"] = devices.pop()
            facts["seconds_per_image"] = summary["wall_seconds"] / (summary["epochs"] * count)
        facts["images"] = status.images or count
    except UNREADABLE:
        facts["damaged"] = not reasons  # of a stale one the reasons are enough
    state = "stale" if reasons else "done"
    return replace(status, state=state, reasons=tuple(dict.fromkeys(reasons)), **facts)


def with_checkpoint(status: CellStatus, made: Made, checkpoint: Path) -> CellStatus:
    """The status of a cell with a checkpoint: part-trained if it fits, else as before, to run with the reason."""
    try:
        identity, progress = checkpoint_metadata(checkpoint)
        if identity.digest == made.identity.digest and status.images:
            return part_trained(status, status.images, made.identity.settings["batch_size"], progress)
        misfits = differences(identity, made.identity)
    except UNREADABLE:
        misfits = ["it cannot be read"]
    return replace(status, reasons=tuple(dict.fromkeys(misfits))) if status.state == "to run" else status


def part_trained(status: CellStatus, images: int, batch_size: int, progress: Mapping[str, Any]) -> CellStatus:
    """The status of a cell with the progress of its checkpoint; a cell that is done stays so while it is trained again."""
    epochs_done = progress["epoch"] - 1 + progress["step"] / math.ceil(images / batch_size)
    if status.state == "done":
        return replace(status, epochs_done=epochs_done)
    status = replace(status, state="part-trained", reasons=(), diverged=None, epochs_done=epochs_done)
    if not epochs_done:
        return status
    return replace(status, device=None, seconds_per_image=progress["seconds"] / (epochs_done * images))


def checkpoint_metadata(path: Path) -> tuple[Identity, dict[str, Any]]:
    """Identity and progress of a checkpoint (see :mod:`rethinking.run.checkpoint`), without reading its tensors."""
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
    return Identity.from_json(json.loads(metadata["identity"])), json.loads(metadata["progress"])


# ---- time


def estimate(statuses: Iterable[CellStatus], trained: Iterable[CellStatus], device: str) -> Estimate:
    """How long the unfinished cells take, and those that are trained again now, one after the other.

    The time of a cell is estimated from similar cells: same data set and model, per image; else same model, per image
    and pixel.

    Args:
        statuses: the cells to estimate.
        trained: cells whose training times are used, as far as they have been trained.
        device: ``cpu``, ``cuda`` or ``auto``, which stands for the device that most cells were trained on.
    """
    measured = [status for status in trained if status.seconds_per_image is not None]
    used = Counter(status.device for status in measured if status.device)
    wanted = "cpu" if device == "cpu" else "gpu"
    if device == "auto":
        wanted = used.most_common(1)[0][0] if used else None
    per_image, per_pixel = defaultdict(list), defaultdict(list)
    for status in measured:
        if None in (wanted, status.device) or status.device == wanted:
            per_image[status.cell.dataset, status.cell.model].append(status.seconds_per_image)
            per_pixel[status.cell.model].append(status.seconds_per_image / status.pixels)

    total, cells, unknown = 0.0, 0, Counter()
    for status in statuses:
        if status.state == "done" and not status.is_training:
            continue
        model = status.cell.model
        if not (status.images and per_pixel[model]):
            unknown[model] += 1
            continue
        like = per_image[status.cell.dataset, model]
        seconds = median(like) if like else median(per_pixel[model]) * status.pixels
        total += seconds * status.images * (status.epochs - status.epochs_done)
        cells += 1
    return Estimate(total, cells, dict(unknown), wanted)
