"""What is checked on a GPU, on which images, and the table and JSON of what was found."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_bounds import Comparison
from gpu_table1 import as_prepared
from rethinking.corruption.loading import CorruptedData
from rethinking.run.commit import git_commit
from rethinking.run.files import load_array, read_json, write_json
from rethinking.run.scripts import log

LINE = "{:<15}  {:<9}  {:<22}  {:>11}  {:>8}  {:>10}  {:>13}  {}"
HEAD = ("network", "precision", "way", "images/s", "of peak", "first step", "evaluation/s", "numbers")
ONLY_MEASURED = ("speed", "side by side", "profile")  # steps that compare nothing
MEASURED = {  # columns of the table
    "images_per_second": "{:,.0f}",
    "peak_share": "{:.1%}",
    "first_step_seconds": "{:.2f} s",
    "evaluated_per_second": "{:,.0f}",
}


class Check:
    """What is checked, on which device and images, and what was found."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device, self.quick = args, torch.device(args.device), args.quick
        self.rows: list[dict[str, Any]] = []  # of the table: network, precision, way and what was measured
        self.comparisons: list[Comparison] = []
        self.facts: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}  # that each step took
        self.until = 0.0  # the end of the step's time, of time.monotonic
        self.scratch = Path()
        self.images = "made up"
        self.hardware = hardware(self.device)

    def run(self, steps: dict[str, tuple[Callable[[Check], None], int]]) -> None:
        """Take the steps, each with its seconds (0: ``--minutes``) and those that earlier ones have left.

        An error in one is a comparison that fails, or a fact where the step only measures: a GPU may be small or slow.
        """
        log(", ".join(f"{name} {value}" for name, value in self.hardware.items() if value))
        with tempfile.TemporaryDirectory() as folder:
            self.scratch = Path(folder)
            for name, (function, limit) in steps.items():
                started = time.monotonic()
                # With few images nothing is slow but the start of processes on a busy machine.
                limit *= 10 if self.quick else 1
                self.until = max(started, self.until) + limit if limit else started + 60 * self.args.minutes
                log(f"{name} ...")
                try:
                    function(self)
                except Exception as error:
                    what = f"{type(error).__name__}: {error}".splitlines()[0]
                    what += " (its time was over)" if time.monotonic() > self.until else ""
                    if name in ONLY_MEASURED:
                        self.facts[name] = f"not measured to the end: {what}"
                    else:
                        self.comparisons.append(Comparison(f"{name}: {what}", float("nan"), 0))
                self.seconds[name] = round(time.monotonic() - started, 1)
                log(f"{name}: {self.seconds[name]:.0f} s")

    def report(self) -> list[Comparison]:
        """Print the table and the comparisons that failed, which are returned, and write the JSON."""
        failed = [each for each in self.comparisons if not each.passed]
        print("\n" + "\n".join([LINE.format(*HEAD), *map(line, self.rows)]) + "\n")
        for name, value in self.facts.items():
            print(f"{name}: {value}")
        for each in failed:
            print(f"FAILED {each.name}: {each.difference:.2g}, at most {each.bound:g} passes")
        path = self.args.output / "gpu_check.json"
        result = {
            "hardware": self.hardware,
            "git_commit": git_commit(),  # None outside a clone
            "images": self.images,
            "quick": self.quick,
            "rows": self.rows,
            "facts": self.facts,
            "comparisons": [each.as_json() for each in self.comparisons],
            "failed": [each.name for each in failed],
            "seconds": self.seconds,
        }
        write_json(path, result)
        passed = len(self.comparisons) - len(failed)
        print(f"{passed} of {len(self.comparisons)} comparisons pass; wrote {path}")
        return failed

    def time_is_left(self, what: str, seconds: float = 0) -> bool:
        """Whether the step has time for what takes so many seconds; if not, say what is left out."""
        if time.monotonic() + seconds < self.until:
            return True
        log(f"  no time for {what}")
        return False

    def prepared(self, train: int = 50_000, test: int = 10_000) -> Path:
        """The prepared images: CIFAR-10's, or as many made-up ones."""
        name = "prepared" if self.args.data else "prepared_made_up"
        folder = as_prepared(self.args.data, self.args.output / name, lambda: made_up_images(train, test))
        self.images = read_json(folder / "manifest.json")["provenance"] or "exact"
        return folder

    def data(self, train: int, test: int) -> CorruptedData:
        """Training and test images: CIFAR-10's first ones if they are there, else made-up ones."""
        if self.args.data is None:
            return made_up_images(train, test)
        folder = self.prepared()
        images, labels, test_images, test_labels = (
            np.array(load_array(folder / f"{split}_{what}.npy")[:count])
            for split, count in (("train", train), ("test", test))
            for what in ("images", "labels")
        )
        return CorruptedData(images, labels, labels, test_images, test_labels, test_labels, 10)

    def row(self, model: str, precision: str, way: str) -> dict[str, Any]:
        """The table's row of a network, precision and way to train; a new one if there is none."""
        key = {"model": model, "precision": precision, "way": way}
        for row in self.rows:
            if key.items() <= row.items():
                return row
        self.rows.append(key)
        return key


def hardware(device: torch.device) -> dict[str, Any]:
    """Device, driver and versions."""
    found = {"device": platform.processor() or platform.machine()}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found = {"device": properties.name, "memory_gib": round(properties.total_memory / 2**30, 1)}
        ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
        with suppress(OSError, subprocess.CalledProcessError):
            found["driver"] = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return found | {"cores": len(os.sched_getaffinity(0))} | versions


def line(row: dict[str, Any]) -> str:
    """One line of the table."""
    measured = [form.format(row[key]) if row.get(key) is not None else "" for key, form in MEASURED.items()]
    verdict = {True: "as on the CPU", False: "FAILED", None: ""}[row.get("passed")]
    if row.get("test_accuracy") is not None:
        verdict = "train {train_accuracy:.2f} %, test {test_accuracy:.2f} %, {wall_seconds:.0f} s".format(**row)
    elif "status" in row:
        verdict = row["status"]
    return LINE.format(row["model"], row["precision"], row["way"], *measured, verdict)


def made_up_images(train: int, test: int) -> CorruptedData:
    """Images (n, 3, 32, 32) of ten patterns under noise, three in ten with a random label: learnt soon, fitted late."""
    rng = np.random.default_rng(0)
    patterns = rng.uniform(64, 192, (10, 3, 8, 8)).repeat(4, 2).repeat(4, 3).astype(np.float32)
    found = []
    for count in (train, test):
        shown = rng.integers(10, size=count)
        images = patterns[shown] + 48 * rng.standard_normal((count, 3, 32, 32), np.float32)
        labels = np.where(rng.random(count) < 0.3, rng.integers(10, size=count), shown)
        found += [np.clip(images, 0, 255).astype(np.uint8), labels]
    images, labels, test_images, test_labels = found
    return CorruptedData(images, labels, labels, test_images, test_labels, test_labels, 10)
