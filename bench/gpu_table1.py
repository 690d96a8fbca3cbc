"""Table 1 in one go on one machine without Snakemake, and the profile of an epoch; see gpu_check.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from bench_training import DEFAULT, WORKFLOW_ENVIRONMENT
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.config.loading import load_config, read_yaml
from rethinking.corruption.loading import CorruptedData
from rethinking.corruption.overlays import write as write_overlay
from rethinking.data.prepared import Dataset, Split, prepare
from rethinking.data.readers import choose_provenance, describe_source, read_dataset
from rethinking.models import training_megaflops
from rethinking.run.files import UserError, read_json
from rethinking.run.scripts import log
from rethinking.training.loop import train_cell

SCRIPT = Path(__file__).parents[1] / "workflow_scripts" / "train_cell.py"


def as_prepared(source: Path | None, folder: Path, otherwise: CorruptedData | None = None) -> Path:
    """The prepared folder of CIFAR-10: ``source`` itself, or made from its archive, or from made-up images.

    Raises:
        UserError: the archive does not have the published images.
    """
    if source and (source / "manifest.json").exists():
        return source
    name, about = "cifar10", {"name": "cifar10"}
    if source:
        dataset, verified = read_dataset(name, "archive", source)
        about |= {"provenance": choose_provenance(name, dataset, verified, None)}
        about |= {"source": describe_source(name, "archive", source)}
    elif otherwise:
        train, test = (
            Split(otherwise.train_images, otherwise.train_labels),
            Split(otherwise.test_images, otherwise.test_labels),
        )
        dataset = Dataset(train, test, tuple(map(str, range(10))))
        about |= {"provenance": "made-up images", "source": {"kind": "made up", "files": {}}}
    else:
        raise UserError("no images are named")
    if (
        not (folder / "manifest.json").exists()
        or read_json(folder / "manifest.json")["source"] != about["source"]
    ):
        prepare(dataset, folder, **about)
    return folder


def train_table1(
    prepared: Path,
    folder: Path,
    device: torch.device,
    models: list[str],
    precision: str,
    epochs: int | None,
    side_by_side: int,
    until: float,
) -> list[dict[str, Any]]:
    """Train table 1's networks with seed 0, the longest first, each in a process of its own; returns a row for each.

    Cells lie in ``folder`` as in the workflow's results. At the time ``until`` (of ``time.monotonic``) networks that
    are not done save their state and stop; the next call goes on with them.
    """
    config = load_config(read_yaml(DEFAULT), [DEFAULT])
    cells = [cell for cell in config.cells("table1") if cell.seed == 0 and cell.model in models]
    settings = {}
    for cell in cells:
        values = {"precision": precision} | ({"epochs": epochs} if epochs else {})
        settings[cell] = CellSettings(**config.settings(cell).model_dump() | values)
        overlay = folder / "overlays" / cell.corruption
        if not (overlay / "manifest.json").exists():
            write_overlay(prepared, overlay, cell.corruption, cell.dataset, cell.seed)

    def cost(cell: Cell) -> float:
        return training_megaflops(cell.model, settings[cell].input_size) * settings[cell].epochs

    waiting = sorted((cell for cell in cells if not summary(folder, cell).exists()), key=cost, reverse=True)
    running: dict[Cell, subprocess.Popen] = {}
    seconds: dict[Cell, float] = {}
    stopped = False
    while waiting or running:
        if not stopped and time.monotonic() > until:
            stopped = True
            log("  the time is over; networks in training save their state")
            waiting.clear()
            for process in running.values():
                process.send_signal(signal.SIGTERM)
        while waiting and len(running) < side_by_side:
            cell = waiting.pop(0)
            seconds[cell] = time.monotonic()
            running[cell] = start(cell, settings[cell], prepared, folder, device, side_by_side)
        for cell in [cell for cell, process in running.items() if process.poll() is not None]:
            status = running.pop(cell).returncode
            seconds[cell] = time.monotonic() - seconds[cell]
            log(f"  {cell.name}: {seconds[cell]:.0f} s, " + ("done" if status == 0 else f"status {status}"))
        time.sleep(0.1)
    return [row(folder, cell, settings[cell], seconds.get(cell)) for cell in cells]


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
    environment = os.environ | WORKFLOW_ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
    with open(path, "a") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)


def summary(folder: Path, cell: Cell) -> Path:
    """The last file of a finished cell."""
    return folder / "cells" / str(cell) / "summary.json"


def row(folder: Path, cell: Cell, settings: CellSettings, seconds: float | None) -> dict[str, Any]:
    """A network's line of the table; ``seconds`` are those of this run's process."""
    found = {
        "model": cell.model,
        "precision": settings.precision,
        "way": f"{cell.corruption} {'+'.join(cell.regularisers)}",
    }
    found |= {"cell": str(cell), "epochs": settings.epochs, "process_seconds": seconds and round(seconds, 1)}
    if not summary(folder, cell).exists():
        return found | {"status": "unfinished"}
    values = read_json(summary(folder, cell))
    keys = ("status", "train_accuracy", "test_accuracy", "images_per_second", "wall_seconds")
    return found | {key: values[key] for key in keys}


def profile_epoch(cell: Cell, settings: CellSettings, data: CorruptedData, device: torch.device) -> str:
    """torch's table of the operations of a training, by their time on the device, after one that warms up."""
    kinds = torch.profiler.ProfilerActivity
    on_gpu = device.type == "cuda"
    train_cell(cell, settings, data, device, log=lambda line: None)
    with torch.profiler.profile(activities=[kinds.CPU, *([kinds.CUDA] if on_gpu else [])]) as found:
        train_cell(cell, settings, data, device, log=lambda line: None)
    by = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    return found.key_averages().table(sort_by=by, row_limit=40, max_name_column_width=80)
