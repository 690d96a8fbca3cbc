"""GPU slots: at most k cells train on one GPU, no matter which or how many Snakemakes start them; a fit has a GPU alone.

A slot is a GPU and a number below k, held by a lock on a file. The kernel releases the lock
when its process ends, however it ends, so no slot is ever lost.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from itertools import chain, count, takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from rethinking.run.files import UserError
from rethinking.run.hardware import choose_device, expects_gpu, no_gpu, visible_gpus
from rethinking.run.locks import locked
from rethinking.run.scripts import log

if TYPE_CHECKING:
    import torch

POLL_SECONDS = 1.0
USUAL_SLOTS = 16  # that no run is expected to exceed
JOB_NUMBERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")  # of SLURM, PBS, LSF and Grid Engine
T = TypeVar("T")


@contextmanager
def gpu_slot(cells_per_gpu: int, between: Callable[[], None] = lambda: None) -> Iterator[str | None]:
    """Hold a slot and make only its GPU visible. The value is that GPU, or None where there is none to share.

    Enter this before anything initialises CUDA, which reads ``CUDA_VISIBLE_DEVICES`` once; the variable
    stays set. Slot 0 of every GPU is taken before slot 1 of any.

    Args:
        cells_per_gpu: k, how many processes may hold a slot of one GPU.
        between: called before each attempt; an exception that it raises ends the waiting.

    Raises:
        UserError: the folder of the locks is another user's.
    """
    gpus = visible_gpus()
    if not gpus:
        yield None
        return
    slots = [(gpu, lock_file(gpu, number)) for number in range(cells_per_gpu) for gpu in gpus]

    def free_slot() -> tuple[str, IO[str]] | None:
        return next(((gpu, file) for gpu, path in slots if (file := locked(path))), None)

    gpu, file = wait_for(free_slot, between)
    with file:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        yield gpu


@contextmanager
def gpus_alone(count: int, cells_per_gpu: int, between: Callable[[], None] = lambda: None) -> Iterator[list[str]]:
    """Hold all slots of ``count`` GPUs, for a fit or a cell's workers; the value is these GPUs, empty if there are none.

    Only the first is made visible to this process. Who takes several slots holds a lock meanwhile, so that no two
    processes wait for each other's. Arguments and errors are those of :func:`gpu_slot`.

    Raises:
        UserError: there are fewer GPUs.
    """
    gpus = visible_gpus()
    if not gpus:
        yield []
        return
    if len(gpus) < count:
        raise UserError(
            f"each of {count} workers on this machine needs its own GPU, but it has {len(gpus)}; lower hardware.workers"
        )
    with ExitStack() as held:
        with wait_for(lambda: locked(lock_file("several", 0)), between):
            taken: list[str] = []
            while len(taken) < count:
                kept: dict[Path, IO[str]] = {}
                held.callback(release, kept)
                left = [gpu for gpu in gpus if gpu not in taken]
                taken.append(wait_for(partial(whole_gpu, left, cells_per_gpu, kept), between))
        os.environ["CUDA_VISIBLE_DEVICES"] = taken[0]
        yield taken


@contextmanager
def device_in(slot: AbstractContextManager[T], name: str) -> Iterator[tuple[torch.device, T | None]]:
    """A device ``cpu``, ``cuda`` or ``auto``, and what its ``slot`` gave, which is entered where a GPU is expected.

    Where torch can use no GPU the slot is left again, and the log says why.

    Raises:
        UserError: a GPU is asked for and torch can use none; or what the slot raises.
    """
    with ExitStack() as held:
        gpus = held.enter_context(slot) if expects_gpu(name) else None
        # Only now: torch looks once for the GPUs that it may use.
        device = choose_device(name)
        if gpus and device.type == "cpu":
            held.close()
            gpus = None
            log(
                f"{no_gpu()}; working on the CPU. Set hardware.device to 'cpu' to run as many jobs at a time as there are "
                "cores"
            )
        yield device, gpus


def lock_file(gpu: str, number: int) -> Path:
    """The lock of a slot.

    Machines can share the folder, and schedulers number the GPUs of each job from 0, which no other job has.
    """
    job = [os.environ.get(name) for name in JOB_NUMBERS]
    return lock_folder() / f"{'-'.join(filter(None, [socket.gethostname(), *job, gpu, str(number)]))}.lock"


def wait_for(attempt: Callable[[], T | None], between: Callable[[], None]) -> T:
    """What an attempt gives, as soon as it gives something."""
    between()
    waiting = False
    while (found := attempt()) is None:
        if not waiting:
            log("waiting for a GPU slot")
            waiting = True
        time.sleep(POLL_SECONDS)
        between()
    return found


def whole_gpu(gpus: Sequence[str], cells_per_gpu: int, kept: dict[Path, IO[str]]) -> str | None:
    """A GPU with all of its slots, or None; ``kept`` has the slots that it holds.

    Where no GPU is free it keeps what is free of one, for the next attempt: cells that begin there one after the other
    would keep the GPU busy as long as there are any.
    """
    slots = {gpu: all_slots(gpu, cells_per_gpu) for gpu in gpus}
    for path in chain.from_iterable(slots.values()):
        if path not in kept and (file := locked(path)):
            kept[path] = file
    most = min(gpus, key=lambda gpu: len(slots[gpu] - kept.keys()))
    for path in kept.keys() - slots[most]:
        kept.pop(path).close()
    return most if slots[most] == kept.keys() else None


def all_slots(gpu: str, cells_per_gpu: int) -> set[Path]:
    """The slots of a GPU, also those that another run with a larger k takes, now or later."""
    least = max(cells_per_gpu, USUAL_SLOTS)
    numbers = takewhile(lambda number: number < least or lock_file(gpu, number).exists(), count())
    return {lock_file(gpu, number) for number in numbers}


def release(files: Mapping[Path, IO[str]]) -> None:
    """Give slots back."""
    for file in files.values():
        file.close()


def lock_folder() -> Path:
    """The user's folder of locks on this machine. A folder that somebody else created is refused."""
    folder = Path(tempfile.gettempdir()) / f"rethinking-gpu-slots-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user; have it removed, or set TMPDIR to a folder of yours")
    return folder
