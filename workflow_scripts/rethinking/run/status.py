"""Where the cells of a configuration stand: done, part-trained, stale and why, or to run; and how long the rest takes.

All of it is read from the files that the cells left. A cell is stale when its settings, the code behind its
numbers or the way its data set was prepared is no longer what the configuration and this library say.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from safetensors import SafetensorError, safe_open

from rethinking.cells import Cell, sample_size
from rethinking.config.loading import Config
from rethinking.config.training import DatasetConfig
from rethinking.run.files import UserError, read_json
from rethinking.run.fingerprint import cell_code, data_code
from rethinking.run.running import Running, read_running

FILES = ("curve.csv", "memorisation.csv", "weights.safetensors", "predictions.npz", "summary.json")
# Anything that a damaged file or one of an older version can raise while it is read.
UNREADABLE = (UserError, SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True)
class Speed:
    """How fast a cell was trained."""

    seconds_per_image: float  # in all, evaluation included, per image and epoch
    device: Literal["cpu", "gpu"] | None  # None: not recorded


@dataclass(frozen=True)
class Prepared:
    """A prepared data set."""

    manifest: dict[str, Any] | None  # None where there is none that the configuration can use
    changes: list[str]  # why it cannot
    images: int | None  # for training, when it is prepared as the configuration says


@dataclass(frozen=True)
class CellStatus:
    """Where one cell stands."""

    cell: Cell
    variant: str | None  # the ablation that it belongs to
    state: Literal["done", "part-trained", "stale", "to run"]
    reasons: tuple[str, ...]  # why it is stale, or why its checkpoint is of no use
    epochs: int  # of its schedule
    epochs_done: float  # of a part-trained cell
    images: int | None  # in its training set, where the data set was ever prepared
    pixels: int  # of an image as the network sees it
    diverged: tuple[int, int] | None  # epoch and step
    speed: Speed | None
    running: Running | None = None  # what a process that is at work on it says, or one that failed


@dataclass(frozen=True)
class Estimate:
    """How long the rest takes."""

    seconds: float  # one cell at a time
    cells: int  # that the seconds are for
    unknown: dict[str, int]  # model -> cells that nothing is known of


# ---- one cell


def survey(config: Config) -> list[CellStatus]:
    """The status of each cell of each table and figure of a configuration, for all its seeds."""
    return cell_statuses(config, [(None, cell) for cell in config.cells(*config.results)])


def survey_ablations(config: Config) -> list[CellStatus]:
    """The status of what ablations need besides: the variants of cells, and cells that no table or figure shows."""
    variants, shown = config.variants(), set(config.cells(*config.results))
    compared = [(None, cell) for cell in dict.fromkeys(cell for _, cell in variants) if cell not in shown]
    return cell_statuses(config, [*compared, *variants])


def cell_statuses(config: Config, cells: Iterable[tuple[str | None, Cell]]) -> list[CellStatus]:
    """The status of cells, each with the name of an ablation or None."""
    prepared = {name: read_prepared(config, name) for name in config.datasets}
    return [cell_status(config, cell, prepared[cell.dataset], variant) for variant, cell in cells]


def read_prepared(config: Config, name: str) -> Prepared:
    """A data set as it is prepared now."""
    try:
        manifest = read_json(Path(config.data_folder, "prepared", name, "manifest.json"))
        changes = data_changes(name, manifest, config.datasets[name])
        full, limit = manifest["train"]["full_count"], config.datasets[name].train_limit
        return Prepared(None if changes else manifest, changes, min(full, limit or full))
    except UNREADABLE:
        return Prepared(None, [], None)


def cell_status(config: Config, cell: Cell, prepared: Prepared, variant: str | None = None) -> CellStatus:
    """The status of a cell, whose data set is prepared as told, or of a variant of it."""
    settings, dataset = config.settings(cell, variant).model_dump(), config.datasets[cell.dataset]
    results, branch = Path(config.results_dir), Path("ablations", variant) if variant else Path()
    folder = results / branch / "cells" / str(cell)
    checkpoint = results / "checkpoints" / branch / f"{cell}.safetensors"
    state, reasons, epochs_done, diverged, speed = "to run", [], 0.0, None, None

    def changes(found: Mapping[str, Any], code: Mapping[str, str], data: Mapping[str, Any]) -> list[str]:
        return [
            *value_changes("", found, settings),
            *code_changes(code, cell_code(cell.model, cell.corruption)),
            *data_changes(cell.dataset, data, dataset, prepared.manifest),
        ]

    if (folder / "summary.json").exists():
        try:
            summary = read_json(folder / "summary.json")
            origin, data = summary["provenance"], summary["data"]
            reasons = changes(origin["settings"], origin.get("code", {}), data)
            if summary["status"] == "diverged":
                diverged = summary["diverged_epoch"], summary["diverged_step"]
            if summary["epochs"]:
                device = "cpu" if origin["device"] == "cpu" else "gpu"
                speed = Speed(summary["wall_seconds"] / (summary["epochs"] * data["train"]["count"]), device)
        except UNREADABLE:
            reasons = ["summary.json cannot be read"]
        reasons += [f"{name} is missing" for name in FILES if not (folder / name).exists()]
        # Where the data set is to be prepared anew, its cells are trained anew.
        reasons += prepared.changes
        state = "stale" if reasons else "done"

    if state != "done" and checkpoint.exists():
        try:
            identity, progress = checkpoint_metadata(checkpoint)
            data = identity["data"][0]
            misfits = changes(identity["settings"], identity["code"], data)
            if not misfits:
                steps_per_epoch = math.ceil(data["train"]["count"] / settings["batch_size"])
                epochs_done = progress["epoch"] - 1 + progress["step"] / steps_per_epoch
                state, reasons, diverged = "part-trained", [], None
                if epochs_done:
                    speed = Speed(progress["seconds"] / (epochs_done * data["train"]["count"]), None)
        except UNREADABLE:
            misfits = ["it cannot be read"]
        if state == "to run":
            reasons = misfits

    return CellStatus(
        cell=cell,
        variant=variant,
        state=state,
        reasons=tuple(dict.fromkeys(reasons)),
        epochs=settings["epochs"],
        epochs_done=epochs_done,
        images=sample_size(cell.corruption) or prepared.images,
        pixels=settings["input_size"] ** 2,
        diverged=diverged,
        speed=speed,
        running=None if state == "done" else read_running(checkpoint),
    )


def checkpoint_metadata(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Whose a checkpoint is and how far it is (see :mod:`rethinking.run.checkpoint`), without reading a tensor."""
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
    return json.loads(metadata["identity"]), json.loads(metadata["progress"])


# ---- what has changed


def value_changes(prefix: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Keys whose value is another one, as ``key old -> new``."""

    def show(values: Mapping[str, Any], key: str) -> str:
        value = values.get(key, "unknown")
        return value if isinstance(value, str) else json.dumps(value)

    keys = [key for key in {**expected, **found} if key not in found or found[key] != expected.get(key)]
    return [f"{prefix}{key} {show(found, key)} -> {show(expected, key)}" for key in keys]


def code_changes(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Modules whose code is another one."""
    if not found:
        return ["its code was not recorded"]
    modules = sorted({*found, *expected})
    return [f"code of {name}" for name in modules if found.get(name) != expected.get(name)]


def data_changes(
    name: str, found: Mapping[str, Any], dataset: DatasetConfig, prepared: Mapping[str, Any] | None = None
) -> list[str]:
    """How a data set differs from the one that the manifest ``found`` tells of.

    It is compared with the options in the configuration, with the code that reads it and, where they are the
    same, with the images that are ``prepared`` now.
    """
    source = found["source"]
    options = {
        "source": source["kind"],
        "provenance": found["provenance"],
        "train_limit": found["train"].get("limit", "unknown"),
        "test_limit": found["test"].get("limit", "unknown"),
    }
    changes = value_changes(f"datasets.{name}.", options, dataset.model_dump(include=set(options)))
    if dataset.path and dataset.source == source["kind"] and len(source["files"]) == 1:
        # Manifests name files without their folder.
        path = Path(dataset.path)
        new = path.resolve().name if path.is_dir() else path.name
        changes += value_changes(f"datasets.{name}.", {"path": next(iter(source["files"]))}, {"path": new})
    changes += code_changes(found.get("code", {}), data_code())
    whole = found.get("drawn_from", found)  # of a sample, what it was drawn from
    if not changes and prepared:
        changes = [
            f"datasets.{name} has other {split} images now"
            for split in ("train", "test")
            if whole[split] != prepared[split]
        ]
    return changes


# ---- time


def estimate(statuses: Iterable[CellStatus], trained: Iterable[CellStatus], device: str) -> Estimate:
    """How long those of the cells that are not done take one after the other.

    The time of a cell is that of its like: the same data set and model for as many images, else the same
    model for as many pixels.

    Args:
        statuses: the cells in question.
        trained: cells that tell how long training takes, as far as they are trained.
        device: ``cpu``, ``cuda`` or ``auto``, which is taken to be what most cells were trained on.
    """
    measured = [status for status in trained if status.speed]
    used = Counter(status.speed.device for status in measured if status.speed.device)
    if device == "auto":
        wanted = used.most_common(1)[0][0] if used else None
    else:
        wanted = "cpu" if device == "cpu" else "gpu"
    per_image, per_pixel = defaultdict(list), defaultdict(list)
    for status in measured:
        if None in (wanted, status.speed.device) or status.speed.device == wanted:
            seconds = status.speed.seconds_per_image
            per_image[status.cell.dataset, status.cell.model].append(seconds)
            per_pixel[status.cell.model].append(seconds / status.pixels)

    total, cells, unknown = 0.0, 0, Counter()
    for status in statuses:
        if status.state == "done":
            continue
        key = status.cell.dataset, status.cell.model
        if status.images and key in per_image:
            seconds = median(per_image[key])
        elif status.images and status.cell.model in per_pixel:
            seconds = median(per_pixel[status.cell.model]) * status.pixels
        else:
            unknown[status.cell.model] += 1
            continue
        total += seconds * status.images * max(status.epochs - status.epochs_done, 0)
        cells += 1
    return Estimate(total, cells, dict(unknown))
