"""The processes that train a cell together, as one of them sees them; :mod:`rethinking.run.workers` starts them."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rethinking.run.checkpoint import Interrupted
from rethinking.run.files import UserError
from rethinking.run.scripts import full_gpu
from rethinking.run.stop_signals import SIGNALS

GRACE_SECONDS = 10  # for a process to end by itself
POLL_SECONDS = 0.2


class Team:
    """All workers of a cell, as one of them sees them. Alone, it does nothing.

    What it does to tensors is exact, except for :meth:`add_up` of floats, whose order it does not promise.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.failure: str | None = None  # why another worker ended

    def share(self, count: int) -> range:
        """Which of ``count`` things this worker does: as many in a row as the others, give or take one."""
        return self.share_of(self.rank, count)

    def share_of(self, rank: int, count: int) -> range:
        """The share of another worker."""
        return range(count * rank // self.size, count * (rank + 1) // self.size)

    def agree(self, checkpoint: Any) -> bool:
        """Whether all workers write a checkpoint now; if one was asked to stop, all note that."""
        asked = torch.tensor(checkpoint.asked())
        if self.size > 1:
            with self.together() as dist:
                dist.all_reduce(asked, dist.ReduceOp.MAX)
        if asked > 1:
            checkpoint.signal = int(asked) - 1
        return bool(asked)

    def same_state(self, progress: Any, tensors: Sequence[Tensor]) -> Any:
        """The progress of worker 0, whose tensors replace this worker's."""
        if self.size == 1:
            return progress
        found = [progress]
        with self.together() as dist:
            dist.broadcast_object_list(found, 0)
            for tensor in tensors:
                flat = tensor.contiguous()
                dist.broadcast(flat, 0)
                tensor.copy_(flat)
        return found[0]

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum over all workers of tensors of one shape."""
        if self.size == 1:
            return tensor
        tensor = tensor.clone()
        with self.together() as dist:
            dist.all_reduce(tensor)
        return tensor

    def collect(self, mine: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
        """To worker 0 the tensors of all workers, one worker after another; ``counts`` says how many each has."""
        found = list(mine)
        with self.together() as dist:
            for rank, count in enumerate(counts[1:], 1):
                for place in range(count):
                    if self.rank == rank:
                        dist.send(mine[place], 0)
                    elif self.rank == 0:
                        found.append(torch.empty_like(mine[0]))
                        dist.recv(found[-1], rank)
        return found

    def hand_out(self, tensor: Tensor) -> Tensor:
        """Worker 0's tensor, in place of this one's."""
        with self.together() as dist:
            dist.broadcast(tensor, 0)
        return tensor

    @contextmanager
    def together(self) -> Iterator[Any]:
        """torch.distributed; if another worker is lost meanwhile, wait for what follows from that."""
        import torch.distributed as dist

        try:
            yield dist
        except RuntimeError as error:
            deadline = time.monotonic() + GRACE_SECONDS
            while self.failure is None and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if self.rank > 0:  # worker 0 should have ended this process, so the error is its own
                why = full_gpu(error) or "".join(traceback.format_exception(error))
                print(f"error: worker {self.rank}: {why}", file=sys.stderr, flush=True)
                os._exit(os.EX_SOFTWARE)
            if self.failure:
                raise UserError(self.failure) from None
            raise

    def leave(self) -> None:
        """The process group ends for this worker."""
        with self.together() as dist:
            dist.destroy_process_group()


ALONE = Team()


class Follower:
    """The checkpoint as workers other than 0 see it: they write nothing and stop with worker 0."""

    def __init__(self) -> None:
        self.signal: int | None = None  # that all workers agreed on
        self.noted: int | None = None
        self.running = self
        for number in SIGNALS:
            signal.signal(number, self.note_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def note_signal(self, number: int, _frame: Any) -> None:
        """Note that the cell was asked to stop."""
        self.noted = number

    def asked(self) -> int:
        """As :meth:`rethinking.run.checkpoint.Checkpoint.asked`."""
        return 0 if self.noted is None else 1 + self.noted

    def update(self, *_: object) -> None:
        """Worker 0 reports the progress."""

    def load(self) -> None:
        """Worker 0 hands out what it has loaded."""

    def save(self, *_: object) -> None:
        """Stop if all agreed on it.

        Raises:
            Interrupted: they did.
        """
        if self.signal is not None:
            raise Interrupted(self.signal)
