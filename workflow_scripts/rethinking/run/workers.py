"""Processes that train one cell together, on one machine or on the nodes of a SLURM job.

The process that holds the cell's lock is worker 0. It starts the others with its own command line, and it alone reads
and writes checkpoint, cache, log and results. torch's elastic agent is not used: there the process with the lock would
train nothing, a SIGUSR1 would reach no worker, and the exit status would be the agent's. Worker 0 is on the first node;
those on other nodes are started by SLURM's srun, which passes on the pipe, the output and how they end.

A worker that a signal kills ends all of them, and the process starts itself again in place (same number, same log), so
that nothing of a broken group remains; it resumes from the checkpoint. The others wait on a pipe from worker 0 and end
when that closes, however worker 0 ended.
"""

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

from rethinking.run.code import SCRIPTS, combined
from rethinking.run.files import UserError
from rethinking.run.hardware import choose_device, visible_gpus
from rethinking.run.scripts import log, running_code
from rethinking.run.stop_signals import SIGNALS, signal_name
from rethinking.run.team import ALONE, GRACE_SECONDS, POLL_SECONDS, Team

RESTARTS = 3  # of a cell's workers by one process
COMMAND = [sys.executable, str(SCRIPTS / "train_cell.py"), *sys.argv[1:]]  # of worker 0
ENVIRONMENT = dict(os.environ)  # before a GPU was chosen
RESTARTED = "RETHINKING_RESTARTED"  # the environment variable that counts them
CODE, DEVICE = "code", "device"  # where worker 0 leaves the hash of its code and its kind of device for the others
LOOPBACK = "127.0.0.1"
LOOPBACK_INTERFACES = {"lo", "lo0"}
LONGEST_MINUTES = 30  # that one worker waits for another
# Starts a worker on another node of the job, beside whatever runs there.
SRUN = ("srun", "--nodes=1", "--ntasks=1", "--overlap", "--mem=0", "--unbuffered")


@dataclass
class Others:
    """The other workers, as worker 0 watches them."""

    team: Team
    stopping: Callable[[], bool]  # whether worker 0 was asked to stop
    children: Sequence[subprocess.Popen[bytes]]
    done: threading.Event  # nothing depends on them any more


@contextmanager
def lead(
    size: int, device: torch.device, gpus: Sequence[str], nodes: Sequence[str], stopping: Callable[[], bool]
) -> Iterator[Team]:
    """Start the other workers of this cell and be worker 0.

    Args:
        size: workers in all; 1 starts none.
        device: that this worker trains on, as must the others.
        gpus: one for each worker on this node, as CUDA_VISIBLE_DEVICES names them; empty on a CPU.
        nodes: the nodes of a SLURM job, this one first, as :func:`nodes_of_job` has them.
        stopping: whether this process was asked to stop.

    Raises:
        UserError: another worker ended with an error; what it said stands above.
    """
    if size == 1:
        yield ALONE
        return
    from torch.distributed import TCPStore

    team = Team(0, size)
    store = TCPStore(LOOPBACK, 0, size, is_master=True, wait_for_workers=False)
    store.set(CODE, combined(running_code()))
    store.set(DEVICE, device.type)
    # Signals wait until a worker can note them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        children = []
        for rank in range(1, size):
            node = node_of(rank, size, len(nodes))
            there = [*SRUN, f"--nodelist={nodes[node]}"] if node else []
            gpu = () if node else gpus[rank : rank + 1]
            children.append(start([*there, *COMMAND, f"--worker={rank}", f"--port={store.port}"], gpu))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    done = threading.Event()
    others = Others(team, stopping, children, done)
    threading.Thread(target=watch, args=(others,), daemon=True).start()
    try:
        join(team, store, device, len(nodes))
        yield team
        done.set()
        team.leave()
        end(children, GRACE_SECONDS)
    finally:
        done.set()
        end(children)


def start(command: Sequence[str], gpu: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a worker, on a GPU if one is given; on another node it sees all GPUs, of which it takes its own."""
    environment = ENVIRONMENT | ({"CUDA_VISIBLE_DEVICES": gpu[0]} if gpu else {})
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)


def nodes_of_job(count: int) -> list[str]:
    """The nodes of this SLURM job, the first one first; one without a name if ``count`` is 1.

    Raises:
        UserError: this is no job on so many nodes, or SLURM does not say which they are.
    """
    if count == 1:
        return [""]
    job = os.environ.get("SLURM_JOB_NODELIST", "")
    nodes = []
    if job:
        listed = ["scontrol", "show", "hostnames", job]
        try:
            nodes = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise UserError(
                f"'{' '.join(listed)}' does not give the nodes of this SLURM job ({said.strip()}); see that scontrol "
                "works on its nodes, or set hardware.nodes to 1"
            ) from error
    if len(nodes) != count:
        here = f"this SLURM job has {len(nodes)}" if job else "this is no SLURM job"
        raise UserError(f"hardware.nodes is {count}, but {here}; train with profiles/slurm, or set hardware.nodes to 1")
    return nodes


def node_of(rank: int, size: int, nodes: int) -> int:
    """The number of the node that a worker is on: as many workers on each, in their order."""
    return rank * nodes // size


def follow(rank: int, size: int, nodes: int, port: int, device_name: str) -> tuple[Team, torch.device]:
    """Be another worker of the cell, which ends with worker 0; on another node, take one of the job's GPUs there.

    ``device_name`` is that of :func:`rethinking.run.hardware.choose_device`.

    Raises:
        UserError: this process runs other code than worker 0, or would train on another kind of device.
    """
    from torch.distributed import TCPStore

    threading.Thread(target=end_with_worker_0, daemon=True).start()
    team, address = Team(rank, size), LOOPBACK
    if node_of(rank, size, nodes):
        address = os.environ["SLURM_LAUNCH_NODE_IPADDR"]
        if gpus := visible_gpus():
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[rank % (size // nodes)]
    store = TCPStore(address, port, size, is_master=False)
    # Worker 0 can have waited for its GPUs while files were edited, and another node can see older ones.
    if store.get(CODE).decode() != combined(running_code()):
        raise UserError("the code has changed since this cell was started; start again")
    device, first = choose_device(device_name), store.get(DEVICE).decode()
    if device.type != first:  # the two would wait for each other
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
        raise UserError(
            f"worker {rank} on {socket.gethostname()} (CUDA_VISIBLE_DEVICES: {gpus}) would train on '{device.type}', but "
            f"worker 0 trains on '{first}': see why torch cannot use the GPUs of both, or set hardware.device to 'cpu'"
        )
    join(team, store, device, nodes)
    return team, device


def join(team: Team, store: Any, device: torch.device, nodes: int) -> None:
    """Make the process group: gloo on the CPU, also for agreements, and NCCL between GPUs."""
    loopback = LOOPBACK_INTERFACES & {name for _, name in socket.if_nameindex()}
    if loopback and nodes == 1:  # whatever the machine's name resolves to
        os.environ["GLOO_SOCKET_IFNAME"] = loopback.pop()
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    longest = timedelta(minutes=LONGEST_MINUTES)
    with team.together() as dist:
        dist.init_process_group(backend, timeout=longest, world_size=team.size, rank=team.rank, store=store)


def end_with_worker_0() -> None:
    """End this process as soon as the pipe from worker 0 closes."""
    with suppress(OSError):
        os.read(0, 1)
    os._exit(os.EX_TEMPFAIL)


def watch(others: Others) -> None:
    """Act when a worker is lost.

    Worker 0 may hang meanwhile in a sum that never comes, so this thread ends the process if it must.
    """
    while not others.done.wait(POLL_SECONDS):
        for rank, child in enumerate(others.children, 1):
            # They end with these when training ends, or when all have agreed to stop.
            if (status := child.poll()) not in (None, 0, os.EX_TEMPFAIL):
                return lost(others, rank, exit_status(status))
    return None


def exit_status(status: int) -> int:
    """A status below zero for a signal: srun says 128 + the signal, and 255 where it failed itself."""
    return 128 - status if status - 128 in signal.valid_signals() else status


def lost(others: Others, rank: int, status: int) -> None:
    """End all workers after worker ``rank`` ended with ``status``, and start again if a signal killed it."""
    restarts = int(os.environ.get(RESTARTED, "0"))
    how = f"was killed by {signal_name(-status)}" if status < 0 else f"ended with status {status}"
    end(others.children)
    if others.done.is_set():
        return
    if status < 0 and others.stopping():
        log(f"worker {rank} {how} while all were stopping; the next start resumes from the last checkpoint")
        os._exit(os.EX_TEMPFAIL)
    if status < 0 and restarts < RESTARTS:
        log(f"worker {rank} {how}; all workers start again ({restarts + 1} of at most {RESTARTS} times)")
        os.execve(COMMAND[0], COMMAND, ENVIRONMENT | {RESTARTED: str(restarts + 1)})
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
