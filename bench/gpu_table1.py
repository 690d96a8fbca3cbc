"""Table 1 in one go on one machine without Snakemake, and the profile of an epoch; see gpu_check.py."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from typing import Any

import torch

from bench_training import DEFAULT, changed, quiet
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.config.loading import load_config
from rethinking.config.reading import read
from rethinking.corruption.loading import CorruptedData
from rethinking.corruption.overlays import write as write_overlay
from rethinking.data.prepared import Dataset, Split, prepare
from rethinking.data.readers import choose_provenance, describe_source, read_dataset
from rethinking.models import training_megaflops
from rethinking.run.code import combined, script_code
from rethinking.run.environment import ALLOCATION
from rethinking.run.files import read_json
from rethinking.run.scripts import log
from rethinking.training.loop import train_cell

MIXED = 4  # largest ratio of operations between networks that are trained at the same time
SCRIPT = Path(__file__).parents[1] / "workflow_scripts" / "train_cell.py"


def as_prepared(source: Path | None, folder: Path, make: Callable[[], CorruptedData]) -> Path:
    """The prepared images: ``source`` if it is such a folder, else ``folder``, from that archive or from made-up ones.

    Raises:
        UserError: the archive does not have the published images.
    """
    if source and (source / "manifest.json").exists():
        return source
    if source:
        about = {"source": describe_source("archive", source)}
    else:
        made = make()
        about = {"source": {"kind": "made up", "files": {}, "images": len(made.train_labels)}}
    manifest = folder / "manifest.json"
    if manifest.exists() and read_json(manifest)["source"] == about["source"]:
        return folder
    if source:
        dataset, verified = read_dataset("cifar10", "archive", source)
        about["provenance"] = choose_provenance("cifar10", dataset, verified, None)
    else:
        splits = Split(made.train_images, made.train_labels), Split(made.test_images, made.test_labels)
        dataset = Dataset(*splits, tuple(map(str, range(made.num_classes))))
        about["provenance"] = "made-up images"
    prepare(dataset, folder, name="cifar10", **about)
    return folder


def train_table1(
    prepared: Path,
    folder: Path,
    device: torch.device,
    models: Collection[str],
    configfile: str | None,
    precision: str,
    epochs: int | None,
    side_by_side: int,
    until: float,
) -> list[dict[str, Any]]:
    """Train table 1's networks with seed 0, the longest first, each in a process of its own; returns a row for each.

    ``configfile`` says what differs from config.yaml. Networks of very different sizes are not trained at the same time:
    the small kernels of one wait for the large ones of the other. Cells lie in ``folder`` as in the workflow's results,
    those of each device and torch in a folder of their own. At the time ``until`` (of ``time.monotonic``) networks that are
    not done save their state and stop; the next call goes on with them.
    """
    files = [DEFAULT, *([configfile] if configfile else [])]
    config = load_config(reduce(merged, [read(file).content for file in files]), files)
    manifest = read_json(prepared / "manifest.json")
    settings, waiting = {}, []
    for cell in config.cells("table1"):
        if cell.seed or cell.model not in models:
            continue
        own = config.settings(cell)
        settings[cell] = changed(own, precision=precision, epochs=epochs or own.epochs)
        if not is_done(folder, cell, settings[cell], manifest):
            summary(folder, cell).unlink(missing_ok=True)
            waiting.append(cell)
    for cell in {cell.corruption: cell for cell in waiting}.values():
        write_overlay(prepared, folder / "overlays" / cell.corruption, cell.corruption, cell.dataset, cell.seed)

    def size(cell: Cell) -> float:
        return training_megaflops(cell.model, settings[cell].input_size)

    def train(cell: Cell) -> None:
        started = time.monotonic()
        if started > until:
            return
        process = start(cell, settings[cell], prepared, folder, device, side_by_side)
        try:
            process.wait(until - started)
        except subprocess.TimeoutExpired:
            process.terminate()
        status, seconds = process.wait(), time.monotonic() - started
        log(f"  {cell.name}: {seconds:.0f} s, {'done' if status == 0 else f'status {status}'}")

    waiting.sort(key=lambda cell: (size(cell), settings[cell].epochs), reverse=True)
    while waiting:
        alike = [cell for cell in waiting if size(waiting[0]) < MIXED * size(cell)]
        with ThreadPoolExecutor(side_by_side) as pool:
            list(pool.map(train, alike))
        waiting = waiting[len(alike) :]
    if time.monotonic() > until:
        log("  the time is over; networks that were in training have saved their state")
    return [row(folder, cell, settings[cell]) for cell in settings]


def merged(values: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A configuration with what a further file sets, section by section, as Snakemake merges them."""
    sections = {
        key: merged(values[key], value)
        for key, value in own.items()
        if isinstance(value, dict) and isinstance(values.get(key), dict)
    }
    return values | own | sections


def start(
    cell: Cell, settings: CellSettings, prepared: Path, folder: Path, device: torch.device, side_by_side: int
) -> subprocess.Popen:
    """Start a network's process, whose output goes to its log."""
    path = folder / "logs" / f"{str(cell).replace('/', '_')}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {
        "cell": cell,
        "settings": settings.model_dump_json(),
        "prepared": prepared,
        "overlay": folder / "overlays" / cell.corruption,
        "output": summary(folder, cell).parent,
        "device": device.type,
        "cells-per-gpu": side_by_side,
        "checkpoint": folder / "checkpoints" / f"{cell}.safetensors",
    }
    command = [sys.executable, SCRIPT, *(f"--{name}={value}" for name, value in options.items())]
    environment = os.environ | ALLOCATION | {"OMP_NUM_THREADS": "1"}
    with open(path, "a") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)


def summary(folder: Path, cell: Cell) -> Path:
    """The last file of a finished cell."""
    return folder / "cells" / str(cell) / "summary.json"


def is_done(folder: Path, cell: Cell, settings: CellSettings, manifest: dict[str, Any]) -> bool:
    """Whether a cell was trained with these settings on these images by today's code."""
    if not summary(folder, cell).exists():
        return False
    values = read_json(summary(folder, cell))
    found = values["provenance"]["settings"], values["provenance"]["code_fingerprint"], values["data"]
    return found == (settings.model_dump(), combined(script_code(SCRIPT.stem)), manifest)


def row(folder: Path, cell: Cell, settings: CellSettings) -> dict[str, Any]:
    """A network's line of the table."""
    way = f"{cell.corruption} {'+'.join(cell.regularisers)}".strip()
    found = {"model": cell.model, "precision": settings.precision, "way": way, "cell": str(cell)}
    found |= {"epochs": settings.epochs, "status": "unfinished"}
    if not summary(folder, cell).exists():
        return found
    values = read_json(summary(folder, cell))
    keys = ("status", "train_accuracy", "test_accuracy", "images_per_second", "wall_seconds")
    return found | {key: values[key] for key in keys}


def profile_epoch(cell: Cell, settings: CellSettings, data: CorruptedData, device: torch.device) -> str:
    """torch's table of the operations of a training, by their time on the device, after one that warms up."""
    kinds = torch.profiler.ProfilerActivity
    on_gpu = device.type == "cuda"
    train_cell(cell, settings, data, device, log=quiet)
    with torch.profiler.profile(activities=[kinds.CPU, *([kinds.CUDA] if on_gpu else [])]) as found:
        train_cell(cell, settings, data, device, log=quiet)
    by = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    return found.key_averages().table(sort_by=by, row_limit=40, max_name_column_width=80)
