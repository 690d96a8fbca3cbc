"""Measure how fast cells train, compared with the loop that PyTorch reproductions of the paper use.

Baseline and cells are measured in turn, several times each, on the same images and networks, so that other load
on the machine slows both; medians are reported. Rates are images per second of training steps, including loading,
without evaluation, after warm-up.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd
import torch

from baseline import ImageDataset, build_baseline, build_loader, build_transform, measure_baseline
from peak import peak_flops, training_flops
from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings, Precision
from rethinking.config.loading import load_config
from rethinking.config.reading import read
from rethinking.corruption.loading import CorruptedData
from rethinking.models.initialisation import initialise
from rethinking.run import scripts
from rethinking.run.environment import ALLOCATION
from rethinking.run.files import UserError, write_text
from rethinking.run.hardware import choose_device, emulates_bfloat16
from rethinking.training.loop import train_cell

# CIFAR-10's; few test images, because nobody looks at test results.
IMAGE_SHAPE, NUM_CLASSES, TEST_IMAGES = (3, 32, 32), 10, 100
DEFAULT = str(Path(__file__).parents[1] / "config.yaml")
LEAST_STEPS = 4
LINE = "{:<15}  {:<27}  {:>26}  {:>32}  {:>6}  {:>7}"


def main() -> None:
    """Read the command line; measure all models, or be one of the measured processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models",
        nargs="+",
        choices=registry.names("model"),
        default=["mlp_1x512", "mlp_3x512", "alexnet", "inception"],
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        help="of the cells, not the baseline; by default bfloat16, or float32 where that is emulated",
    )
    parser.add_argument("--images", type=int, default=50_000, help="training images; each cell holds them")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="of training in each repetition, about")
    parser.add_argument("--output", type=Path, default=Path(f"results/bench/{date.today()}.csv"))
    parser.add_argument("--worker", choices=("baseline", "cell"), help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if min(args.images, args.repetitions, args.seconds) <= 0:
        parser.error("--images, --repetitions and --seconds must be positive")
    if args.worker:
        work(args)
        return

    cores = len(os.sched_getaffinity(0))
    device = choose_device(args.device)
    args.precision = args.precision or ("float32" if emulates_bfloat16(device) else "bfloat16")
    hardware = torch.cuda.get_device_name() if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    print(
        f"{hardware}, {cores} CPU cores, torch {torch.__version__}; cells in {args.precision}, baseline in float32, on a GPU "
        "with torch's TF32 in convolutions\n"
        f"on {args.images} images of random bytes, {'x'.join(map(str, IMAGE_SHAPE))}: what they show does not "
        f"change the speed\n{args.repetitions} repetitions of about {args.seconds:g} s each, baseline and cells in turn; "
        "median (lowest to highest)\n"
    )
    print(LINE.format("model", "device", "images/s", "baseline, its loading processes", "ratio", "of peak"))
    rows = [row for model in args.models for row in measure(model, device, cores, args)]
    # Rates to a tenth of an image per second.
    digits = {"images_per_second": 1, "baseline_images_per_second": 1, "ratio": 3, "peak_share": 4}
    write_text(args.output, pd.DataFrame(rows).round(digits).to_csv(index=False))
    print(f"\nwrote {args.output}")


# ---- the measuring process


class Group(NamedTuple):
    """Processes that train at the same time."""

    processes: list[subprocess.Popen]
    images: int  # per process and repetition
    num_workers: int | None  # loading processes of the baseline


def measure(model: str, device: torch.device, cores: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of one model, one for each way in which the workflow uses the device. Prints each row."""
    # Number of cells at the same time, and CPU threads of each.
    if device.type == "cuda":
        ways = {"cuda": (1, 1)}
    elif cores == 1:
        ways = {"cpu, 1 thread": (1, 1)}
    else:
        ways = {f"cpu, {cores} threads": (1, cores), f"cpu, {cores} cells side by side": (cores, 1)}

    with ExitStack() as running:
        groups = {"baseline": start_group(running, "baseline", model, 1, cores, args)}
        for way, (count, threads) in ways.items():
            groups[way] = start_group(running, "cell", model, count, threads, args)
        answers = {name: [] for name in groups}
        for _ in range(args.repetitions):
            for name, group in groups.items():
                answers[name].append(ask(group.processes, group.images))
    settings = cell_settings(model, args.precision)
    flops = training_flops(*baseline_network(model, settings))
    rates = {name: [answer["images_per_second"] for answer in found] for name, found in answers.items()}
    medians = {name: statistics.median(values) for name, values in rates.items()}
    rows = []
    for way in ways:
        rows.append(
            {
                "model": model,
                "device": way,
                "images_per_second": medians[way],
                "baseline_images_per_second": medians["baseline"],
                "ratio": medians[way] / medians["baseline"],
                "peak_share": medians[way] * flops / max(answer["peak_flops"] for answer in answers[way]),
            }
        )
        ours, theirs = (
            f"{medians[name]:,.0f} ({min(rates[name]):,.0f} to {max(rates[name]):,.0f})" for name in (way, "baseline")
        )
        theirs = f"{theirs}, {groups['baseline'].num_workers}"
        ratio, share = f"{rows[-1]['ratio']:.2f}", f"{rows[-1]['peak_share']:.1%}"
        print(LINE.format(model, way, ours, theirs, ratio, share), flush=True)
    return rows


def start_group(
    running: ExitStack, worker: str, model: str, count: int, threads: int, args: argparse.Namespace
) -> Group:
    """Start processes, wait until they are warm, and choose how many images fill a repetition."""
    ours = ALLOCATION | {"OMP_NUM_THREADS": str(threads)}  # the latter from Snakemake
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    if worker == "cell":
        environment |= ours
    options = {"worker": worker, "models": model, "threads": threads}
    options |= {name: getattr(args, name) for name in ("device", "precision", "images", "seconds")}
    command = [sys.executable, __file__, *(f"--{name}={value}" for name, value in options.items())]
    processes = []
    for _ in range(count):
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.enter_context(process)  # at the end waits for the process
        running.callback(process.kill)  # comes before that
        processes.append(process)
    ready = [receive(process) for process in processes]
    rate = min(answer["images_per_second"] for answer in ready)
    return Group(processes, round(rate * args.seconds), ready[0].get("num_workers"))


def ask(processes: list[subprocess.Popen], what: int | str) -> dict[str, float]:
    """Let processes train what they read at the same time; returns the sums of what they measured."""
    for process in processes:
        process.stdin.write(f"{what}\n")
        process.stdin.flush()
    answers = [receive(process) for process in processes]
    return {key: sum(answer[key] for answer in answers) for key in answers[0]}


def receive(process: subprocess.Popen) -> dict[str, float]:
    """The next answer of a measured process."""
    line = process.stdout.readline()
    if not line:
        raise UserError(f"a measured process ended with status {process.wait()}; its message is above")
    return json.loads(line)


# ---- the measured processes


def work(args: argparse.Namespace) -> None:
    """Warm up and report it, then answer each number of images on stdin with the training speed on them."""
    device, data = choose_device(args.device), random_data(args.images)
    settings = cell_settings(args.models[0], args.precision)
    if args.worker == "cell":
        torch.set_num_threads(args.threads)
        run = cell_run(args.models[0], settings, data, device)
        ready = {"images_per_second": warm_up(run, settings, args.seconds)}
    else:
        # The number of threads that torch chooses.
        run, ready = baseline_run(args.models[0], settings, data, device, args.seconds)
    dtype = torch.bfloat16 if args.precision == "bfloat16" else torch.float32

    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        answer = {"images_per_second": run(int(line))}
        if args.worker == "cell":
            answer["peak_flops"] = peak_flops(device, dtype)
        print(json.dumps(answer), flush=True)


def warm_up(run: Callable[[int], float], settings: CellSettings, seconds: float) -> float:
    """Train until libraries have chosen their algorithms; returns the rate after that, measured for a shorter time."""
    rate = run(LEAST_STEPS * settings.batch_size)
    return run(round(rate * seconds / 4))


def cell_run(model: str, settings: CellSettings, data: CorruptedData, device: torch.device) -> Callable[[int], float]:
    """A function that trains a cell as the workflow does, on about a given number of images, and returns its rate."""
    cell = bench_cell(model)

    def run(images: int) -> float:
        images = max(images // settings.batch_size, LEAST_STEPS) * settings.batch_size
        n = min(images, len(data.train_labels))
        part = replace(
            data,
            train_images=data.train_images[:n],
            train_labels=data.train_labels[:n],
            train_labels_true=data.train_labels_true[:n],
        )
        trained = train_cell(cell, changed(settings, epochs=round(images / n)), part, device, log=quiet)
        if trained.diverged_at:
            raise UserError(f"{model} diverged; speeds of numbers that are not finite mean nothing")
        return trained.images_per_second

    return run


def baseline_run(
    model: str, settings: CellSettings, data: CorruptedData, device: torch.device, seconds: float
) -> tuple[Callable[[int], float], dict[str, float]]:
    """The same for the baseline after warm-up, with the fastest number of loading processes of a trial, and the trial."""
    on_gpu = device.type == "cuda"
    torch.backends.cudnn.benchmark = True
    network, _ = baseline_network(model, settings)
    initialise(network, settings.initialisation, torch.Generator().manual_seed(0))
    dataset = ImageDataset(data.train_images, data.train_labels, build_transform(settings.input_size))

    def run_with(num_workers: int) -> Callable[[int], float]:
        loader = build_loader(dataset, settings, num_workers, pin_memory=on_gpu)

        def run(images: int) -> float:
            steps = max(images // settings.batch_size, LEAST_STEPS)
            return measure_baseline(network, loader, settings, device, steps)

        return run

    # With a GPU the CPU only has to load images.
    choices = {0, 2, min(len(os.sched_getaffinity(0)), 16)} if on_gpu else {0, 2}
    runs = {num_workers: run_with(num_workers) for num_workers in sorted(choices)}
    rate = warm_up(runs[0], settings, seconds)
    rates = {num_workers: run(round(rate * seconds / 2)) for num_workers, run in runs.items()}
    best = max(rates, key=rates.get)
    return runs[best], {"num_workers": best, "images_per_second": rates[best]}


# ---- what both train


def bench_cell(model: str) -> Cell:
    """The cell that is trained: without regularisers, as most of the paper's are."""
    return Cell.parse(f"cifar10/random_labels/{model}/none/seed0")


def cell_settings(model: str, precision: str) -> CellSettings:
    """The default configuration's settings of that cell, in a precision."""
    settings = load_config(read(DEFAULT).content, [DEFAULT]).settings(bench_cell(model))
    return changed(settings, precision=precision)


def changed(settings: CellSettings, **values: Any) -> CellSettings:
    """Settings with other values."""
    return CellSettings(**settings.model_dump() | values)


def quiet(line: str) -> None:
    """Drop a line of progress."""


def baseline_network(model: str, settings: CellSettings) -> tuple[torch.nn.Module, tuple[int, int, int]]:
    """The baseline's network and the shape of its images."""
    shape = (IMAGE_SHAPE[0], settings.input_size, settings.input_size)
    return build_baseline(model, shape, NUM_CLASSES), shape


def random_data(images: int) -> CorruptedData:
    """Random bytes and labels, the same in every process."""
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (n, *IMAGE_SHAPE), np.uint8) for n in (images, TEST_IMAGES))
    labels, test_labels = (rng.integers(NUM_CLASSES, size=n) for n in (images, TEST_IMAGES))
    return CorruptedData(train, labels, labels, test, test_labels, test_labels, NUM_CLASSES)


if __name__ == "__main__":
    scripts.run(main)
