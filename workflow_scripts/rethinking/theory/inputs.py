"""What the scripts for one linear model share: arguments, settings, the device and a folder for features."""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from rethinking.config.theory import LinearModelConfig
from rethinking.data.prepared import read_manifest
from rethinking.run.gpu_slots import gpus_alone
from rethinking.run.hardware import choose_device, expects_gpu
from rethinking.training.steps import set_precision


def argument_parser(description: str, seed: str, output: str) -> argparse.ArgumentParser:
    """The common arguments; ``seed`` and ``output`` are the help texts of these two."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", required=True, help="its settings as JSON")
    parser.add_argument("--prepared", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument("--seed", type=int, required=True, help=seed)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help=output)
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    """The arguments of a script that takes a GPU if there is one."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--cells-per-gpu", type=int, default=1, help="slots of a GPU, all of which it takes")


@contextmanager
def device_alone(args: argparse.Namespace) -> Iterator[torch.device]:
    """The device of :func:`add_device`; a GPU is held alone. Products of matrices are in full precision."""
    with gpus_alone(1, args.cells_per_gpu) if expects_gpu(args.device) else nullcontext():
        device = choose_device(args.device)
        set_precision("float32", device)  # torch's default for the convolutions of Gabor features is TF32
        yield device


def read_model(args: argparse.Namespace) -> tuple[LinearModelConfig, dict[str, Any]]:
    """The model and the manifest of its data set. Also sets the number of threads."""
    torch.set_num_threads(args.threads)
    return LinearModelConfig.model_validate_json(args.model), read_manifest(args.prepared)


@contextmanager
def features_folder(output: Path) -> Iterator[Path]:
    """A folder for the features that a file is made from, beside it; what a killed process left there is deleted first."""
    folder = output.with_name(f".features-{output.stem}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
