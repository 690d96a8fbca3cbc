"""GPU slots: at most k cells train on one GPU, no matter which or how many Snakemakes start them; a fit has a GPU alone.

A slot is a GPU and a number below k, held by a lock on a file. The kernel releases the lock
when its process ends, however it ends, so no slot is ever lost.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rethinking.run.files import UserError
from rethinking.run.hardware import visible_gpus
from rethinking.run.locks import lock, open_lock

POLL_SECONDS = 1.0


@contextmanager
def gpu_slot(
    cells_per_gpu: int,
    between: Callable[[], None] = lambda: None,
    log: Callable[[str], None] = print,
    alone: bool = False,
) -> Iterator[str | None]:
    """Hold a slot and make only its GPU visible. The value is that GPU, or None where there is none to share.

    Enter this before anything initialises CUDA, which reads ``CUDA_VISIBLE_DEVICES`` once; the variable
    stays set. Slot 0 of every GPU is taken before slot 1 of any.

    Args:
        cells_per_gpu: k, how many processes may hold a slot of one GPU.
        between: called before each attempt; an exception that it raises ends the waiting.
        log: takes one line if all slots are taken.
        alone: take all slots of one GPU.

    Raises:
        UserError: the folder of the locks is another user's.
    """
    gpus = visible_gpus()
    if not gpus:
        yield None
        return
    slots = [[(gpu, lock_file(gpu, number)) for gpu in gpus] for number in range(cells_per_gpu)]
    # Slots that are taken together.
    choices = list(zip(*slots, strict=True)) if alone else [[slot] for row in slots for slot in row]
    gpu, locks = take(choices, between, log)
    with locks:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        yield gpu


@contextmanager
def gpus_alone(
    count: int,
    cells_per_gpu: int,
    between: Callable[[], None] = lambda: None,
    log: Callable[[str], None] = print,
) -> Iterator[list[str]]:
    """Hold all slots of ``count`` GPUs, for the workers of one cell; the value is these GPUs, empty where there are none.

    Only the first is made visible to this process. Who takes several holds a lock meanwhile, so that no two processes
    wait for each other's. Arguments and errors are those of :func:`gpu_slot`.

    Raises:
        UserError: there are fewer GPUs.
    """
    gpus = visible_gpus()
    if not gpus:
        yield []
        return
    if len(gpus) < count:
        raise UserError(
            f"hardware.workers is {count}, but there are {len(gpus)} GPUs; a worker needs its own"
        )
    with ExitStack() as held:
        _, turn = take([[("all", lock_file("several", 0))]], between, log)
        with turn:
            taken: list[str] = []
            while len(taken) < count:
                left = [gpu for gpu in gpus if gpu not in taken]
                choices = [[(gpu, lock_file(gpu, n)) for n in range(cells_per_gpu)] for gpu in left]
                gpu, locks = take(choices, between, log)
                held.enter_context(locks)
                taken.append(gpu)
        os.environ["CUDA_VISIBLE_DEVICES"] = taken[0]
        yield taken


def lock_file(gpu: str, number: int) -> Path:
    """The lock of a slot. SLURM numbers the GPUs of each job from 0, and no other job has them."""
    job = os.environ.get("SLURM_JOB_ID") or "local"
    return lock_folder() / f"{job}-{gpu.replace('/', '_')}-{number}.lock"


def take(
    choices: Sequence[Sequence[tuple[str, Path]]], between: Callable[[], None], log: Callable[[str], None]
) -> tuple[str, ExitStack]:
    """Wait for the first choice whose slots are all free: its GPU and the locked files."""
    between()
    waiting = False
    while (held := take_one(choices)) is None:
        if not waiting:
            log("waiting for a GPU slot")
            waiting = True
        time.sleep(POLL_SECONDS)
        between()
    return held


def take_one(choices: Sequence[Sequence[tuple[str, Path]]]) -> tuple[str, ExitStack] | None:
    """The GPU and the locked files of the first choice whose slots are all free, or None."""
    for slots in choices:
        with ExitStack() as locks:
            if all(lock(locks.enter_context(open_lock(path))) for _, path in slots):
                return slots[0][0], locks.pop_all()
    return None


def lock_folder() -> Path:
    """The user's folder of locks on this machine. A folder that somebody else created is refused."""
    folder = Path(tempfile.gettempdir()) / f"rethinking-gpu-slots-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise UserError(
            f"{folder} belongs to another user; have it removed, or set TMPDIR to a folder of yours"
        )
    return folder
