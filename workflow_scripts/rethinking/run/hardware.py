"""Which device a cell is trained on."""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from rethinking.run.files import UserError

if TYPE_CHECKING:
    import torch

CPU_INFO = Path("/proc/cpuinfo")


def expects_gpu(device: str) -> bool:
    """Whether a cell will use a GPU of this machine, without the cost of importing torch."""
    return device == "cuda" or (device == "auto" and bool(visible_gpus()))


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; CUDA is not initialised.

    They are that variable's entries, which can be numbers or UUIDs, or all GPUs of the machine where it is not set.
    """
    if (given := os.environ.get("CUDA_VISIBLE_DEVICES")) is None:
        return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    # As CUDA does, stop at the first entry that names no GPU, such as -1.
    entries = (entry.strip() for entry in given.split(","))
    return list(takewhile(re.compile(r"\d|GPU-|MIG-").match, entries))


def choose_device(name: str) -> torch.device:
    """The device for ``cpu``, ``cuda`` or ``auto``, which takes the GPU where torch sees one.

    Raises:
        UserError: a GPU is asked for and torch sees none.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("hardware.device is 'cuda', but torch sees no GPU; set 'auto' or 'cpu'")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def emulates_bfloat16(device: torch.device) -> bool:
    """Whether a device has no instructions for products in bfloat16, which then take longer than in float32."""
    import torch

    if device.type == "cuda":
        return not torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        words = CPU_INFO.read_text().split()
    except OSError:
        return False  # not known
    return not {"avx512_bf16", "amx_bf16", "bf16"} & set(words)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU had no memory left: for torch, or for a library that it calls."""
    return any(text in str(error) for text in ("out of memory", "_STATUS_ALLOC_FAILED"))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device."""
    import torch

    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
