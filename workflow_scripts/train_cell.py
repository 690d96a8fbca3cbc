"""Train the network of one cell and write its curve, summary, weights and predictions.

On SIGTERM, SIGINT, SIGUSR1 or SIGHUP the current step is finished, the state is written to the checkpoint and the
exit status is 75 ("try again"). Started again, it resumes from the checkpoint, however it ended. With several workers
this process holds the cell and starts the others.
"""

# ruff: noqa: E402
from rethinking.run import stop_signals

stop_signals.exit_at_once()  # before the imports that take a second or two

import argparse
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import torch

from rethinking.cells import CELL_FILES, Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import load_corrupted
from rethinking.run import cell_cache, scripts, workers
from rethinking.run.checkpoint import Checkpoint, Interrupted
from rethinking.run.code import SCRIPTS
from rethinking.run.files import hash_file, read_json, remove_parts
from rethinking.run.gpu_slots import gpu_slot, gpus_alone
from rethinking.run.hardware import choose_device, emulates_bfloat16, expects_gpu
from rethinking.run.identity import Identity, is_made, write_record
from rethinking.run.scripts import log
from rethinking.run.team import Follower
from rethinking.training.loop import train_cell
from rethinking.training.results import write_cell

COMMAND = [sys.executable, str(SCRIPTS / "train_cell.py"), *sys.argv[1:]]  # for other workers


def main() -> None:
    """Read the command line, train, write."""
    parent = os.getppid()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cell", required=True, help="for example cifar10/random_labels/mlp_1x512/none/seed0"
    )
    parser.add_argument("--settings", required=True, help="the cell's resolved settings as JSON")
    parser.add_argument("--prepared", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument("--overlay", type=Path, required=True, help="folder of the corruption")
    parser.add_argument("--images", type=Path, help="where the files of large images lie")
    parser.add_argument(
        "--feeder",
        choices=("auto", "resident", "streamed"),
        default="auto",
        help="how large images come to the device",
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the cell")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--cells-per-gpu", type=int, default=1, help="cells that share a GPU")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each worker")
    parser.add_argument("--workers", type=int, default=1, help="processes that train the cell together")
    parser.add_argument("--nodes", type=int, default=1, help="nodes of a SLURM job that they are spread over")
    parser.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)  # of those it starts
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="file that keeps the state of training"
    )
    parser.add_argument("--cache", type=Path, help="folder of finished cells that others share")
    parser.add_argument("--checkpoint-seconds", type=float, default=60, help="time between two checkpoints")
    args = parser.parse_args()

    cell = Cell.parse(args.cell)
    settings = CellSettings.model_validate_json(args.settings)
    torch.set_num_threads(args.threads)
    if args.worker:
        return work_along(cell, settings, args)
    manifest = read_json(args.prepared / "manifest.json")
    manifest.pop("odd_files", None)  # thousands of names
    identity = own_identity(cell, settings, args)
    files = [args.output / name for name in CELL_FILES]
    checkpoint = Checkpoint(args.checkpoint, identity, args.checkpoint_seconds, log)

    def stopping() -> bool:
        return checkpoint.signal is not None

    def stop_if_asked() -> None:
        if stopping():
            raise Interrupted(signal.Signals(checkpoint.signal).name)

    # First the cell, then a GPU: while another process works on the cell, this one must not occupy a GPU.
    with checkpoint.alone() as waited:
        if waited and is_made(files, identity):
            # A job keeps running after its Snakemake was killed.
            log("the other process has finished this cell")
            checkpoint.delete()
            return
        # A process that was killed while writing the cell leaves a partial file.
        remove_parts(args.output)
        if args.cache and cell_cache.take(args.cache, identity, args.output):
            write_record(files, identity)
            checkpoint.delete()
            return
        try:
            count = args.workers if settings.micro_batch else 1  # others have nothing to share
            limits = args.cells_per_gpu, stop_if_asked
            nodes = workers.nodes_of_job(args.nodes) if count > 1 else [""]
            slot = gpu_slot(*limits) if count == 1 else gpus_alone(count // len(nodes), *limits)
            with slot if expects_gpu(args.device) else nullcontext() as gpus:
                device = choose_device(args.device)
                where = f" on {' and '.join(nodes)}" if len(nodes) > 1 else ""
                together = f", {count} workers{where}" if count > 1 else ""
                log(f"cell {cell} on {device}{together} with {settings.model_dump_json()}")
                if settings.precision == "bfloat16" and emulates_bfloat16(device):
                    log("this device only emulates bfloat16; float32 is faster here")
                data = load_corrupted(args.prepared, args.overlay, args.images)
                with workers.lead(count, COMMAND, gpus or (), nodes, stopping) as team:
                    trained = train_cell(cell, settings, data, device, checkpoint, log, args.feeder, team)
                write_cell(args.output, cell, settings, data, manifest, trained, device, identity)
        except Interrupted as stop:
            how = f"resumes from {args.checkpoint}" if args.checkpoint.exists() else "begins again"
            log(f"stopped by {stop}; the next start {how}")
            sys.exit(os.EX_TEMPFAIL)
        write_record(files, identity)
        if args.cache:
            cell_cache.put(args.cache, identity, args.output)
        # If Snakemake died in the meantime, the next one can take these files for incomplete and ask for them again.
        if os.getppid() == parent:
            checkpoint.delete()
    log(f"done in {trained.wall_seconds:.1f} s, {trained.images_per_second:.0f} images/s in training")


def work_along(cell: Cell, settings: CellSettings, args: argparse.Namespace) -> None:
    """Train as a worker of another process, which writes the results."""
    follower = Follower()
    team = workers.follow(args.worker, args.workers, args.nodes, args.port)
    device = choose_device(args.device)
    data = load_corrupted(args.prepared, args.overlay, args.images)
    try:
        train_cell(cell, settings, data, device, follower, lambda _: None, args.feeder, team)
        team.leave()
        status = 0
    except Interrupted:
        status = os.EX_TEMPFAIL
    os._exit(status)  # without the record of a result, which is not there yet


def own_identity(cell: Cell, settings: CellSettings, args: argparse.Namespace) -> Identity:
    """The cell's identity, also when the script is run by hand."""
    if result := scripts.asked_for():
        return result.identity
    data = {name: hash_file(getattr(args, name) / "manifest.json") for name in ("prepared", "overlay")}
    return Identity({"cell": str(cell), **settings.model_dump()}, scripts.running_code(), data)


if __name__ == "__main__":
    scripts.run(main, locked=False)  # the checkpoint has a lock
