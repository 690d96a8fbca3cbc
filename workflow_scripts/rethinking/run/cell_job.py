"""The job that trains one cell: its lock, the cache, its place on a GPU, its workers, and what a signal does to it.

The script of the rule hands in the training itself, so nothing here can change a number.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from rethinking.cells import CELL_FILES
from rethinking.run import cell_cache, workers
from rethinking.run.checkpoint import Checkpoint, Interrupted
from rethinking.run.files import UserError, remove_parts
from rethinking.run.gpu_slots import device_in, gpu_slot, gpus_alone
from rethinking.run.hardware import UNLISTED
from rethinking.run.identity import Identity, is_made, remove, stamp, write_record
from rethinking.run.scripts import asked_for, log
from rethinking.run.team import Follower, Team

# Device, how it is called in the log, checkpoint, and the workers, which start when they are entered.
Train = Callable[[torch.device, str, Checkpoint, AbstractContextManager[Team]], None]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of where and how a cell is trained, with which its numbers do not change."""
    parser.add_argument("--output", type=Path, required=True, help="folder of the cell")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--cells-per-gpu", type=int, default=1, help="cells that share a GPU")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each worker")
    parser.add_argument("--workers", type=int, default=1, help="processes that train the cell together")
    parser.add_argument("--nodes", type=int, default=1, help="nodes of a SLURM job that they are spread over")
    parser.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)  # of those it starts
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", type=Path, required=True, help="file that keeps the state of training")
    parser.add_argument("--cache", type=Path, help="folder of finished cells that others share")
    parser.add_argument("--checkpoint-seconds", type=float, default=60, help="time between two checkpoints")


def run(args: argparse.Namespace, identity: Identity, count: int, train: Train) -> None:
    """Train a cell with ``count`` workers, unless it is there or in the cache and the user does not force it.

    A process that is asked to stop exits with status 75 ("try again") and leaves its checkpoint. The old files of a cell
    stay until it is trained.

    Args:
        args: the options of :func:`add_options`.
        identity: what the cell's files are made from.
        count: workers.
        train: trains the cell and writes its files.

    Raises:
        UserError: there are not as many GPUs as workers, or it is not known which there are.
    """
    asked = asked_for()
    again = asked is not None and asked.again
    files = [args.output / name for name in CELL_FILES]
    checkpoint = Checkpoint(args.checkpoint, identity, args.checkpoint_seconds, log)
    before = stamp(files[0])

    # First the cell, then a GPU: while another process works on the cell, this one must not occupy a GPU.
    with checkpoint.alone():
        # A job keeps running, or waiting in a queue, after its Snakemake was killed.
        if (not again or stamp(files[0]) != before) and is_made(files, identity):
            log("another process has finished this cell")
            checkpoint.delete()
            return
        # A process that was killed while writing the cell leaves a partial file.
        remove_parts(args.output)
        if args.cache and not again and cell_cache.take(args.cache, identity, args.output):
            write_record(files, identity)
            checkpoint.delete()
            return
        try:
            limits = args.cells_per_gpu, checkpoint.stop_if_asked
            nodes = workers.nodes_of_job(args.nodes) if count > 1 else [""]
            slot = gpu_slot(*limits) if count == 1 else gpus_alone(count // len(nodes), *limits)
            with device_in(slot, args.device) as (device, gpus):
                if count > len(nodes) and device.type == "cuda" and not gpus:
                    raise UserError(f"several workers would train on one GPU: {UNLISTED}")
                where = f" on {' and '.join(nodes)}" if len(nodes) > 1 else ""
                place = f"{device}, {count} workers{where}" if count > 1 else str(device)
                team = workers.lead(count, device, gpus or (), nodes, lambda: checkpoint.signal is not None)
                train(device, place, checkpoint, forgetting(team, files))
        except Interrupted as stop:
            how = f"resumes from {args.checkpoint}" if args.checkpoint.exists() else "begins again"
            log(f"stopped by {stop}; the next start{' that is forced' if again else ''} {how}")
            sys.exit(os.EX_TEMPFAIL)
        write_record(files, identity)
        if args.cache:
            cell_cache.put(args.cache, identity, args.output)
        checkpoint.delete()


def sharing(args: argparse.Namespace, device: torch.device, count: int) -> int:
    """How many processes share a device's memory: ``count`` workers on a CPU, cells on a GPU, which workers have alone."""
    if device.type == "cpu":
        return count
    return args.cells_per_gpu if count == 1 else 1


@contextmanager
def forgetting(team: AbstractContextManager[Team], files: Sequence[Path]) -> Iterator[Team]:
    """The workers. The old files go once these have trained, so that a job that is stopped spoils none."""
    with team as each:
        yield each
    remove(files)


def work_along(args: argparse.Namespace, train: Callable[[torch.device, Follower, Team], object]) -> None:
    """Train as a worker of another process, which writes the results; this does not return."""
    follower = Follower()
    team, device = workers.follow(args.worker, args.workers, args.nodes, args.port, args.device)
    try:
        train(device, follower, team)
        team.leave()
        status = 0
    except Interrupted:
        status = os.EX_TEMPFAIL
    os._exit(status)  # without the record of a result, which is not there yet
