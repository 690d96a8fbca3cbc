"""Which device a cell is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rethinking.files import UserError

if TYPE_CHECKING:
    import torch


def expects_gpu(device: str) -> bool:
    """Whether a cell will use a GPU of this machine, found out without the cost of importing torch."""
    return device == "cuda" or (device == "auto" and any(Path("/dev").glob("nvidia[0-9]*")))


def choose_device(name: str) -> torch.device:
    """The device for ``cpu``, ``cuda`` or ``auto``, which takes the GPU where torch sees one.

    Raises:
        UserError: a GPU is asked for and torch sees none.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("hardware.device is 'cuda', but torch sees no GPU; say 'auto' or 'cpu'")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
