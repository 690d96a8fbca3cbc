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
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor

from rethinking.run.checkpoint import Interrupted
from rethinking.run.files import UserError
from rethinking.run.stop_signals import SIGNALS

RESTARTS = 3  # of a cell's workers by one process
ENVIRONMENT = dict(os.environ)  # before a GPU was chosen
RESTARTED = "RETHINKING_RESTARTED"  # the environment variable that counts them
LOOPBACK = "127.0.0.1"
LOOPBACK_INTERFACES = {"lo", "lo0"}
GRACE_SECONDS = 10  # for a process to end by itself
POLL_SECONDS = 0.2
LONGEST_MINUTES = 30  # that one worker waits for another


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
            deadline = time.monotonic() + GRACE_SECONDS
            while self.failure is None and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            if self.rank > 0:  # worker 0 should have ended this process
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
            raise Interrupted(signal.Signals(self.signal).name)


@dataclass
class Others:
    """The other workers, as worker 0 watches them."""

    team: Team
    command: Sequence[str]  # of worker 0
    stopping: Callable[[], bool]  # whether worker 0 was asked to stop
    children: Sequence[subprocess.Popen[bytes]]
    done: threading.Event  # nothing depends on them any more


@contextmanager
def lead(
    size: int,
    command: Sequence[str],
    gpus: Sequence[str],
    stopping: Callable[[], bool],
    log: Callable[[str], None] = print,
) -> Iterator[Team]:
    """Start the other workers of this cell and be worker 0.

    Args:
        size: workers in all; 1 starts none.
        command: of this process.
        gpus: one for each worker, as CUDA_VISIBLE_DEVICES names them; empty on a CPU.
        stopping: whether this process was asked to stop.
        log: takes one line if a worker is lost.

    Raises:
        UserError: another worker ended with an error; what it said stands above.
    """
    if size == 1:
        yield ALONE
        return
    from torch.distributed import TCPStore

    team = Team(0, size)
    store = TCPStore(LOOPBACK, 0, size, is_master=True, wait_for_workers=False)
    # Signals wait until a worker can note them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        children = [
            start([*command, f"--worker={rank}", f"--port={store.port}"], gpus[rank : rank + 1])
            for rank in range(1, size)
        ]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    done = threading.Event()
    threading.Thread(
        target=watch, args=(Others(team, command, stopping, children, done), log), daemon=True
    ).start()
    try:
        join(team, store)
        yield team
        done.set()
        team.leave()
        end(children, GRACE_SECONDS)
    finally:
        done.set()
        end(children)


def start(command: Sequence[str], gpu: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a worker, on a GPU if one is given."""
    environment = os.environ | ({"CUDA_VISIBLE_DEVICES": gpu[0]} if gpu else {})
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)


def follow(rank: int, size: int, port: int) -> Team:
    """Be another worker of the cell, which ends with worker 0."""
    from torch.distributed import TCPStore

    threading.Thread(target=end_with_worker_0, daemon=True).start()
    team = Team(rank, size)
    join(team, TCPStore(LOOPBACK, port, size, is_master=False))
    return team


def join(team: Team, store: Any) -> None:
    """Make the process group: gloo on the CPU, also for agreements, and NCCL between GPUs."""
    loopback = LOOPBACK_INTERFACES & {name for _, name in socket.if_nameindex()}
    if loopback:  # whatever the machine's name resolves to
        os.environ["GLOO_SOCKET_IFNAME"] = loopback.pop()
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    longest = timedelta(minutes=LONGEST_MINUTES)
    with team.together() as dist:
        dist.init_process_group(backend, timeout=longest, world_size=team.size, rank=team.rank, store=store)


def end_with_worker_0() -> None:
    """End this process as soon as the pipe from worker 0 closes."""
    with suppress(OSError):
        os.read(0, 1)
    os._exit(os.EX_TEMPFAIL)


def watch(others: Others, log: Callable[[str], None]) -> None:
    """Act when a worker is lost.

    Worker 0 may hang meanwhile in a sum that never comes, so this thread ends the process if it must.
    """
    while not others.done.wait(POLL_SECONDS):
        for rank, child in enumerate(others.children, 1):
            # They end with these when training ends, or when all have agreed to stop.
            if child.poll() not in (None, 0, os.EX_TEMPFAIL):
                return lost(others, rank, child.returncode, log)
    return None


def lost(others: Others, rank: int, status: int, log: Callable[[str], None]) -> None:
    """End all workers after worker ``rank`` ended with ``status``, and start again if a signal killed it."""
    restarts = int(os.environ.get(RESTARTED, "0"))
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    end(others.children)
    if others.done.is_set():
        return
    if status < 0 and others.stopping():
        log(f"worker {rank} {how} while all were stopping; the next start resumes from the last checkpoint")
        os._exit(os.EX_TEMPFAIL)
    if status < 0 and restarts < RESTARTS:
        log(f"worker {rank} {how}; all workers start again ({restarts + 1} of at most {RESTARTS} times)")
        os.execve(others.command[0], others.command, ENVIRONMENT | {RESTARTED: str(restarts + 1)})
    why = "its message stands above" if status > 0 else f"the workers were started again {restarts} times"
    others.team.failure = f"worker {rank} {how}; {why}"
    if not others.done.wait(2 * GRACE_SECONDS):
        print(f"error: {others.team.failure}", file=sys.stderr, flush=True)
        os._exit(1)


def end(children: Sequence[subprocess.Popen[bytes]], grace: float = 0) -> None:
    """End workers, by force after a time of grace in seconds."""
    deadline = time.monotonic() + grace
    for child in children:
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(0, deadline - time.monotonic()))
    for child in children:
        child.kill()
        child.wait()
