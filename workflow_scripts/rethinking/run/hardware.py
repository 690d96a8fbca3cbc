"""Which device a cell is trained on."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from rethinking.run.files import UserError

if TYPE_CHECKING:
    import torch

CPU_INFO = Path("/proc/cpuinfo")
DRIVER = Path("/proc/driver/nvidia/version")
GIVEN = os.environ.get("CUDA_VISIBLE_DEVICES")  # by the user; the slot of a GPU replaces it
LEAST_DRIVER = {"12": 525, "13": 580}  # of NVIDIA, for any minor version of a CUDA
UNLISTED = (
    "torch can use a GPU of which there is no /dev/nvidia*, as with WSL2 and ROCm, so nothing limits how many jobs "
    "share it; set CUDA_VISIBLE_DEVICES to the numbers of the GPUs, such as 0"
)
# What torch and the libraries that it calls say of a full GPU; the second is cuDNN's word up to version 8, the third since.
FULL = re.compile("out of memory|_STATUS_ALLOC_FAILED|DEVICE_ALLOCATION_FAILED")
# What cuDNN says where its algorithms found no memory, but also of a layer for which it has none; and cuBLAS where it
# does not start.
PROBABLY_FULL = re.compile(
    "unable to find an engine to execute this computation|NOT_INITIALIZED when calling `cublasCreate"
)


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
    """The device for ``cpu``, ``cuda`` or ``auto``, which takes the GPU where torch can use one.

    On stderr it says where that GPU has no slots.

    Raises:
        UserError: a GPU is asked for and torch can use none.
    """
    import torch

    why = no_gpu() if name != "cpu" else None
    if why and name == "cuda":
        raise UserError(f"hardware.device is 'cuda', but {why}; set 'auto' or 'cpu'")
    if why or name == "cpu":
        return torch.device("cpu")
    if not visible_gpus():
        print(UNLISTED, file=sys.stderr, flush=True)
    return torch.device("cuda")


def device_name(device: torch.device) -> str:
    """What a device is called in records: ``cpu``, or the model of the GPU."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def no_gpu() -> str | None:
    """Why torch can use no GPU here; None where it can."""
    import torch

    if not torch.cuda.is_available():
        why = "" if GIVEN is None else f"CUDA_VISIBLE_DEVICES is '{GIVEN}'; "
        if torch.version.cuda:
            why += f"is the driver too old for CUDA {torch.version.cuda}?"
        else:
            why += "is the driver too old?" if torch.version.hip else "its build is for the CPU alone"
        return f"torch {torch.__version__} sees no GPU here ({why})"
    # As torch itself does before it warns; every operation on such a GPU fails.
    builds, capability = torch.cuda.get_arch_list(), torch.cuda.get_device_capability()
    if torch.version.cuda is None or not builds or any(runs_on(build, capability) for build in builds):
        return None
    return (
        f"torch {torch.__version__} cannot use the {torch.cuda.get_device_name()}, whose compute capability is "
        f"{'.'.join(map(str, capability))}, as it is built for {', '.join(builds)}"
    )


def old_driver() -> str | None:
    """What tells that NVIDIA's driver is too old for torch, without the cost of importing it; None where nothing does."""
    spec = find_spec("torch")
    try:
        version = Path(spec.origin).with_name("version.py").read_text() if spec and spec.origin else ""
        loaded = DRIVER.read_text(errors="replace")
    except OSError:
        return None
    cuda, driver = re.search(r"^cuda\b.*'(\d+)", version, re.M), re.search(r"^NVRM version:.*?\s(\d+)\.", loaded, re.M)
    if not (cuda and driver and int(driver[1]) < (least := LEAST_DRIVER.get(cuda[1], 0))):
        return None
    return (
        f"torch is built for CUDA {cuda[1]}, which needs NVIDIA's driver {least} or later, and this machine has {driver[1]}: "
        "what could use the GPU will probably run on the CPU (docs/running.md, Several networks on one GPU)"
    )


def runs_on(build: str, capability: tuple[int, int]) -> bool:
    """Whether a GPU runs what is compiled for ``sm_86``: the same major number, and no smaller minor one.

    ``compute_90`` is compiled on any later GPU.
    """
    kind, number = build.split("_")[:2]
    built = divmod(int(number.rstrip("af")), 10)
    return built <= capability and (kind == "compute" or built[0] == capability[0])


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
    """Whether a GPU had no memory left, for torch or for a library that it calls; with PROBABLY_FULL probably."""
    return any(pattern.search(str(error)) for pattern in (FULL, PROBABLY_FULL))


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
