"""What the scripts of the theory share: arguments, settings, the device and a folder for features."""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from rethinking.config.fields import Strict
from rethinking.data.prepared import read_manifest
from rethinking.run.gpu_slots import device_in, gpus_alone
from rethinking.training.steps import set_precision


def argument_parser(
    description: str, seed: str, output: str, option: str = "--model", settings: str = "its settings as JSON"
) -> argparse.ArgumentParser:
    """The common arguments; ``seed`` and ``output`` are the help texts of these two, ``settings`` that of ``option``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(option, required=True, help=settings)
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
    with device_in(gpus_alone(1, args.cells_per_gpu), args.device) as (device, _):
        set_precision("float32", device)  # torch's default for the convolutions of Gabor features is TF32
        yield device


def read(config: type[Strict], text: str, args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Settings of this kind from JSON, and the manifest of the data set. Also sets the number of threads."""
    torch.set_num_threads(args.threads)
    return config.model_validate_json(text), read_manifest(args.prepared)


@contextmanager
def features_folder(output: Path) -> Iterator[Path]:
    """A folder for the features that a file is made from, beside it; what a killed process left there is deleted first."""
    folder = output.with_name(f".features-{output.stem}")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
