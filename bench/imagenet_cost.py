"""What table 2 costs on this machine: Inception V3 is trained for a minute, and the rest is multiplication.

Training alone is measured, in steps of micro-batches as in a cell, on made-up images that are on the device. Real images
are decoded meanwhile by other cores (bench_images.py says how fast). Several GPUs are assumed to share the work without
loss.
"""

import argparse
import time
from pathlib import Path
from typing import get_args

import torch

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings, Precision
from rethinking.config.loading import load_config
from rethinking.config.reading import read
from rethinking.data.imagenet_classes import IMAGES
from rethinking.models import build_model
from rethinking.run import scripts
from rethinking.run.hardware import choose_device
from rethinking.run.status_report import duration
from rethinking.training.micro_batches import MicroBatchStep
from rethinking.training.steps import build_optimiser, memory_layout, set_precision

CLASSES, GPUS = 1000, (1, 8, 64)
GIGAFLOPS = 34  # of training on an image of 299x299
DEFAULT = str(Path(__file__).parents[1] / "config.yaml")


def main() -> None:
    """Read the command line, measure, print the costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=get_args(Precision), help="default: the setting")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = choose_device(args.device)

    values = read(DEFAULT).content
    values["datasets"]["imagenet"]["path"] = "."  # without a path its cells are left out
    config = load_config(values, [DEFAULT])
    cells = [cell for cell in config.cells("table2") if cell.seed == config.seeds[0]]
    settings = config.settings(cells[0])
    if args.precision:
        settings = settings.model_copy(update={"precision": args.precision})
    rate = measure(cells[0], settings, device, args.seconds)

    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{args.threads} CPU threads"
    print(f"{hardware}, {settings.precision}: {rate:.1f} images/s, {rate * GIGAFLOPS / 1000:.2f} TFLOP/s")
    print(f"{'table 2, one seed':<52}" + "".join(f"{f'{count} x this':>14}" for count in GPUS))
    total = 0.0
    for cell in cells:
        seconds = config.settings(cell).epochs * IMAGES["imagenet"]["train"] / rate
        total += seconds
        print_row(cell.name, seconds)
    print_row("together", total)


def print_row(title: str, seconds: float) -> None:
    """One line of the table: time on each number of GPUs."""
    print(f"{title:<52}" + "".join(f"{duration(seconds / count):>14}" for count in GPUS))


def measure(cell: Cell, settings: CellSettings, device: torch.device, seconds: float) -> float:
    """Images per second in steps of one micro-batch, after one for warming up."""
    set_precision(settings.precision, device)
    shape = (3, settings.input_size, settings.input_size)
    model = build_model(cell.model, shape, CLASSES, **settings.architecture)
    model = model.to(device, memory_format=memory_layout(model)).train()
    step = MicroBatchStep(cell, model, build_optimiser(model, settings), settings, device)
    n = settings.micro_batch
    images, labels = torch.randn(n, *shape, device=device), torch.randint(CLASSES, (n,), device=device)
    step(images, labels, "0")[0].item()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        steps += 1
        step(images, labels, str(steps))[0].item()
    return steps * n / (time.perf_counter() - started)


if __name__ == "__main__":
    scripts.run(main)
