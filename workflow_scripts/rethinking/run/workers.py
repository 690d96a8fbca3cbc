"""Processes that train one cell together on one machine.

The process that holds the cell's lock is worker 0. It starts the others with its own command line, and it alone reads
and writes checkpoint, cache, log and results. torch's elastic agent is not used: there the process with the lock would
train nothing, a SIGUSR1 would reach no worker, and the exit status would be the agent's.

A worker that a signal kills ends all of them, and the process starts itself again in place (same number, same log), so
that nothing of a broken group remains; it resumes from the checkpoint. The others wait on a pipe from worker 0 and end
when that closes, however worker 0 ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from rethinking.run.checkpoint import Interrupted
from rethinking.run.files import UserError
from rethinking.run.stop_signals import SIGNALS

RESTARTS = 3  # of a cell's workers by one process
RESTARTED = "RETHINKING_RESTARTED"  # the environment variable that counts them
LOOPBACK = "127.0.0.1"
LOOPBACK_INTERFACES = ("lo", "lo0")
GRACE_SECONDS = 10  # for a process to end by itself
POLL_SECONDS = 0.2
START_MINUTES = 30  # also the longest that one worker waits for another


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
        except RuntimeError:
            time.sleep(GRACE_SECONDS if self.rank == 0 and self.failure is None else 0)
            if self.rank > 0:  # worker 0 ends this process
                time.sleep(2 * GRACE_SECONDS)
                os._exit(os.EX_SOFTWARE)
            if self.failure:
                raise UserError(self.failure) from None
            raise


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
            raise Interrupted(signal.Signals(self.signal).name)


@contextmanager
def lead(size: int, gpus: Sequence[str], log: Callable[[str], None] = print) -> Iterator[Team]:
    """Start the other workers of this cell and be worker 0.

    Args:
        size: workers in all; 1 starts none.
        gpus: one for each worker, as CUDA_VISIBLE_DEVICES names them; empty on a CPU.
        log: takes one line if a worker is lost.

    Raises:
        UserError: another worker ended with an error; what it said stands above.
    """
    if size == 1:
        yield ALONE
        return
    from torch.distributed import TCPStore, destroy_process_group

    team = Team(0, size)
    store = TCPStore(LOOPBACK, 0, size, is_master=True, wait_for_workers=False)
    # Signals wait until a worker can note them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        children = [start(rank, store.port, gpus) for rank in range(1, size)]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    done = threading.Event()
    threading.Thread(target=watch, args=(team, children, done, log), daemon=True).start()
    try:
        join(team, store)
        yield team
        done.set()
        destroy_process_group()
    finally:
        done.set()
        end(children)


def start(rank: int, port: int, gpus: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a worker with this process's command line."""
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": gpus[rank]} if gpus else {})
    command = [sys.executable, *sys.orig_argv[1:], "--worker", str(rank), "--port", str(port)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)


def follow(rank: int, size: int, port: int) -> Team:
    """Be another worker of the cell, which ends with worker 0."""
    from torch.distributed import TCPStore

    threading.Thread(target=end_with_worker_0, daemon=True).start()
    team = Team(rank, size)
    join(team, TCPStore(LOOPBACK, port, size, is_master=False))
    return team


def join(team: Team, store: Any) -> None:
    """Make the process group."""
    for name in LOOPBACK_INTERFACES:
        if name in {each for _, each in interfaces()}:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with team.together() as dist:
        dist.init_process_group(
            backend,
            store=store,
            rank=team.rank,
            world_size=team.size,
            timeout=timedelta(minutes=START_MINUTES),
        )


def interfaces() -> list[tuple[int, str]]:
    """The machine's network interfaces."""
    import socket

    return socket.if_nameindex()


def end_with_worker_0() -> None:
    """End this process as soon as the pipe from worker 0 closes."""
    with suppress(OSError):
        os.read(0, 1)
    os._exit(os.EX_TEMPFAIL)


def watch(
    team: Team,
    children: Sequence[subprocess.Popen[bytes]],
    done: threading.Event,
    log: Callable[[str], None],
) -> None:
    """Act when a worker is lost: start again if a signal killed it, else end with an error.

    Worker 0 may hang meanwhile in a sum that never comes, so this thread ends the process if it must.
    """
    while not done.wait(POLL_SECONDS):
        for rank, child in enumerate(children, 1):
            # They end with these when training ends, or when all have agreed to stop.
            if child.poll() not in (None, 0, os.EX_TEMPFAIL):
                return lost(team, rank, child.returncode, children, done, log)
    return None


def lost(
    team: Team,
    rank: int,
    status: int,
    children: Sequence[subprocess.Popen[bytes]],
    done: threading.Event,
    log: Callable[[str], None],
) -> None:
    """End all workers after worker ``rank`` ended with ``status``, and start again if a signal killed it."""
    restarts = int(os.environ.get(RESTARTED, "0"))
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    if status < 0 and restarts < RESTARTS:
        end(children, 0)
        if done.is_set():
            return
        log(f"worker {rank} {how}; all workers start again ({restarts + 1} of at most {RESTARTS} times)")
        os.environ[RESTARTED] = str(restarts + 1)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    why = "its message stands above" if status > 0 else f"the workers were started again {restarts} times"
    team.failure = f"worker {rank} {how}; {why}"
    end(children, 0)
    if not done.wait(2 * GRACE_SECONDS):
        print(f"error: {team.failure}", file=sys.stderr, flush=True)
        os._exit(1)


def end(children: Sequence[subprocess.Popen[bytes]], grace: float = GRACE_SECONDS) -> None:
    """End workers, by force after a time of grace in seconds."""
    deadline = time.monotonic() + grace
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(0, deadline - time.monotonic()))
    for child in children:
        child.kill()
        child.wait()
