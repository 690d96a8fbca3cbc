"""The steps of gpu_check.py: what is compared with the CPU, and what is measured."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Timer
from typing import get_args
from unittest import mock

import torch

from bench_training import ask, baseline_network, bench_cell, cell_settings, changed, quiet, receive
from check import Check
from gpu_bounds import BOUNDS, Comparison, compare_curves
from gpu_table1 import profile_epoch, train_table1
from peak import peak_flops, training_flops
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings, Precision
from rethinking.config.theory import SolverConfig
from rethinking.corruption.loading import CorruptedData
from rethinking.run.environment import ALLOCATION
from rethinking.run.files import UserError
from rethinking.run.scripts import log
from rethinking.theory.features import Features
from rethinking.theory.linear_models import fit
from rethinking.training.batches import EVALUATION_BATCH, to_inputs
from rethinking.training.loop import TrainedCell, evaluate, train_cell
from rethinking.training.steps import CapturedStep, set_precision

HERE = Path(__file__).parent
CPU = torch.device("cpu")
PRECISIONS = get_args(Precision)
GPU_TESTS = [f"tests/unit/test_{name}.py" for name in ("capture", "gpu_slots", "linear_models", "norms")]
# Of the networks that are compared; one has all of them, so that their draws and images are compared too.
REGULARISERS = {"alexnet": "crop+augment+wd"}
SIDE_BY_SIDE = ("mlp_1x512", "alexnet", "inception")  # the smallest, a middle one and the largest
IMAGES, TEST_IMAGES = 25_600, 10_000  # that speed is measured on


# ---- the steps


def run_tests(check: Check) -> None:
    """The tests that need a GPU, in a process of their own."""
    # Without the strictness of `make test`, which takes plug-ins of pytest that need not be installed here.
    options = ["-q", "-m", "gpu", "-p", "no:cacheprovider", "-o", "addopts="]
    command = [sys.executable, "-m", "pytest", *options, *GPU_TESTS]
    pipe, left = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}, check.until - time.monotonic()
    done = subprocess.run(command, cwd=HERE.parent, text=True, timeout=left, **pipe)
    lines = done.stdout.strip().splitlines() or ["no output"]
    check.facts["GPU tests"] = lines[-1]
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            log(f"  {line}")
    skipped = check.device.type == "cuda" and "skipped" in lines[-1]
    check.comparisons.append(Comparison(f"GPU tests ({lines[-1]})", done.returncode or skipped, 0))


def compare_training(check: Check) -> None:
    """A few epochs of each network in each precision, captured and eager, against float32 on the CPU."""
    data = check.data(*(100, 50) if check.quick else (200, 100))
    for model in check.args.models:
        cell, settings = compared_cell(model)
        expected = train_cell(cell, settings, data, CPU, log=quiet).curve
        for precision in PRECISIONS:
            for way in ways(check.device):
                name = f"{model} in {precision}, {way}"
                row = check.row(model, precision, way)
                if not check.time_is_left(name):
                    check.comparisons.append(Comparison(f"{name}: no time", float("nan"), 0))
                    continue
                with computed(way):
                    trained = train_cell(cell, changed(settings, precision=precision), data, check.device, log=quiet)
                found = list(compare_curves(name, trained.curve, expected, BOUNDS[precision]))
                check.comparisons += found
                row["passed"] = all(each.passed for each in found)


def measure_speed(check: Check) -> None:
    """Images per second in training and evaluation, share of the peak, time to the first step; and the upload."""
    n, tested = (256, 64) if check.quick else (IMAGES, TEST_IMAGES)
    data, peaks = check.data(n, tested), {}
    for _ in range(2):  # the first time, the device starts
        started = time.perf_counter()
        to_inputs(data.train_images, 28, check.device)
        synchronise(check.device)
        seconds = time.perf_counter() - started
    check.facts["upload"] = f"{n} images uploaded, cropped and whitened in {seconds:.3f} s"
    # Few test images, whose evaluation would be part of no rate.
    few = data.test_labels[:100]
    short = replace(data, test_images=data.test_images[:100], test_labels=few, test_labels_corrupted=few)
    for way in ways(check.device):
        for precision in reversed(PRECISIONS):
            dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
            inputs = to_inputs(data.test_images, 28, check.device, dtype)
            set_precision(precision, check.device)
            peaks[precision] = peaks.get(precision) or peak_flops(check.device, dtype)
            for model in check.args.models:
                if not check.time_is_left(f"the speed of {model} in {precision}, {way}"):
                    continue
                settings = changed(cell_settings(model, precision), epochs=2 if check.quick else 4)
                with computed(way):
                    measured, trained = timed(bench_cell(model), settings, short, check.device)
                flops = training_flops(*baseline_network(model, settings))
                measured["peak_share"] = measured["images_per_second"] * flops / peaks[precision]
                for _ in range(2):  # the first time, libraries choose their algorithms
                    started = time.perf_counter()
                    evaluate(trained.model, inputs.split(EVALUATION_BATCH), data.test_labels, settings)
                    measured["evaluated_per_second"] = tested / (time.perf_counter() - started)
                row = check.row(model, precision, way)
                row |= measured
    check.facts["peak, 10^9 operations per second"] = {k: round(v / 1e9) for k, v in peaks.items()}


def measure_side_by_side(check: Check) -> None:
    """Networks that train on one GPU at the same time, as whole processes, in bfloat16."""
    counts = (1, 2) if check.quick else (1, 2, 4, 8)
    models = [model for model in SIDE_BY_SIDE if model in check.args.models]
    options = [f"--device={check.device.type}", "--worker", *(["--quick"] if check.quick else [])]
    command = [sys.executable, HERE / "gpu_check.py", *options]
    environment = os.environ | ALLOCATION | {"OMP_NUM_THREADS": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as running:
        processes = []
        for _ in range(max(counts)):
            process = running.enter_context(subprocess.Popen(command, env=environment, **pipes))
            # At the end, and also where one of them hangs, which ends the waiting for its answer.
            running.callback(process.kill)
            limit = Timer(check.until - time.monotonic(), process.kill)
            limit.start()
            running.callback(limit.cancel)
            processes.append(process)
        for process in processes:
            receive(process)
        for model in models:
            warm, epochs, seconds = 0, 2, 0.0
            for count in counts:
                way = f"{count} side by side"
                # A GPU that one network keeps busy takes twice as long for twice as many.
                if not check.time_is_left(f"{model}, {way}", 2 * seconds):
                    break
                started = time.monotonic()
                # Libraries choose their algorithms, and the rate of the first says how many epochs take two seconds.
                alone = ask(processes[warm:count], f"{model} 2")["images_per_second"]
                if not (warm or check.quick):
                    epochs = min(max(round(2 * alone / IMAGES), 3), 200)
                found = ask(processes[:count], f"{model} {epochs}")
                check.row(model, "bfloat16", way)["images_per_second"] = found["images_per_second"]
                warm, seconds = count, time.monotonic() - started


def compare_fit(check: Check) -> None:
    """An exact fit in float64, as in section 5, against the same on the CPU."""
    n, m = (200, 100) if check.quick else (4000, 1000)
    data = check.data(n, m)
    train, test = (Features([images.reshape(len(images), -1)]) for images in (data.train_images, data.test_images))
    solver = SolverConfig(precision="float64", tile=n // 2, residual=1e-10, iterations=100)
    found = []
    for device in (CPU, check.device):
        started = time.perf_counter()
        facts, outputs = fit(
            train, test, data.train_labels, data.test_labels, 10, 0.02, 0.0, solver,
            check.scratch / f"fit_{len(found)}", device, quiet,
        )  # fmt: skip
        found.append((facts, outputs, time.perf_counter() - started))
    (expected, outputs, seconds), (facts, ours, our_seconds) = found
    check.facts["exact fit"] = f"{n} images, CPU {seconds:.2f} s, {check.device.type} {our_seconds:.2f} s"
    # 16 digits, of which the condition of the kernel matrix (below 10^4 for such images) and the sums take some.
    norm = abs(facts["norm"] / expected["norm"] - 1)
    check.comparisons += [
        Comparison("exact fit in float64: norm, relative", norm, 1e-8),
        Comparison("exact fit in float64: outputs on test images", float((ours - outputs).abs().max()), 1e-8),
        Comparison("exact fit in float64: error on training images, percent", facts["train_error"], 0),
    ]


def table1(check: Check) -> None:
    """Table 1 through the trainer, several networks on the GPU at a time."""
    args = check.args
    prepared = check.prepared(*(300, 100) if check.quick else (50_000, 10_000))
    # What a CPU trained, or another torch, must not pass for this one's.
    place = re.sub(r"\W+", "_", f"{check.hardware['device']} torch {torch.__version__}")
    folder = args.output / ("table1" if args.data else "table1_made_up") / place
    rows = train_table1(
        prepared,
        folder,
        check.device,
        args.models,
        args.configfile,
        args.precision,
        args.epochs,
        args.side_by_side,
        check.until,
    )
    unfinished = sum(row["status"] == "unfinished" for row in rows)
    check.facts["table 1"] = (
        f"{len(rows)} networks in {args.precision}, images: {check.images}, {unfinished} unfinished; {folder}"
    )
    check.rows += rows
    check.comparisons.append(Comparison("table 1: unfinished networks", unfinished, 0))


def profile(check: Check) -> None:
    """Where the time of an Inception epoch goes."""
    model = "inception" if "inception" in check.args.models else check.args.models[0]
    n = 256 if check.quick else 12_800
    settings = changed(cell_settings(model, check.args.precision), epochs=2)
    text = profile_epoch(bench_cell(model), settings, check.data(n, 100), check.device)
    path = check.args.output / "profile.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(text)
    check.facts["profile"] = str(path)


# Each step and its seconds, at most 8 minutes together; --minutes limits table 1.
STEPS = {
    "tests": (run_tests, 120),
    "training": (compare_training, 120),
    "speed": (measure_speed, 110),
    "side by side": (measure_side_by_side, 90),
    "exact fit": (compare_fit, 40),
}
MORE = {"table 1": (table1, 0), "profile": (profile, 60)}


# ---- what they share


def compared_cell(model: str) -> tuple[Cell, CellSettings]:
    """A cell to compare, and its settings in float32.

    Two epochs of three full batches and one smaller, which is never captured. The rate is halved after the first, so
    that a step that keeps the old one shows.
    """
    cell = Cell.parse(f"cifar10/true_labels/{model}/{REGULARISERS.get(model, 'none')}/seed0")
    small = {"epochs": 2, "batch_size": 64, "learning_rate": 0.01, "learning_rate_decay": 0.5}
    return cell, changed(cell_settings(model, "float32"), **small)


@contextmanager
def computed(way: str) -> Iterator[None]:
    """Training steps are captured, or computed operation by operation."""
    if way == "captured":
        yield
        return
    with mock.patch.object(CapturedStep, "__call__", lambda self, *batch: self.step(*batch)):
        yield


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(
    cell: Cell, settings: CellSettings, data: CorruptedData, device: torch.device
) -> tuple[dict[str, float], TrainedCell]:
    """Train; seconds to the end of the first step and the median rate of the epochs after the first, and the cell."""
    started, first, rates = time.perf_counter(), [], []

    def note(line: str) -> None:
        if line == "first step done":
            synchronise(device)
            first.append(time.perf_counter() - started)
        elif found := re.search(r"(\d+) images/s", line):
            rates.append(float(found[1]))

    trained = train_cell(cell, settings, data, device, log=note)
    if trained.diverged_at:
        raise UserError(f"{cell} diverged; speeds of numbers that are not finite mean nothing")
    return {
        "first_step_seconds": first[0],
        "images_per_second": statistics.median(rates[1:] or rates),
    }, trained


def work(check: Check) -> None:
    """Answer each network and number of epochs on stdin with the training speed."""
    torch.set_num_threads(1)
    data = check.data(256 if check.quick else IMAGES, 100)
    synchronise(check.device)  # starts CUDA
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        model, epochs = line.split()
        settings = changed(cell_settings(model, "bfloat16"), epochs=int(epochs))
        measured, _ = timed(bench_cell(model), settings, data, check.device)
        print(json.dumps(measured), flush=True)


def ways(device: torch.device) -> list[str]:
    """How a training step is computed there."""
    return ["captured", "eager"] if device.type == "cuda" else ["eager"]
