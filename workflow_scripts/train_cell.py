"""Train the network of one cell and write its curve, summary, weights and predictions.

On SIGTERM, SIGINT, SIGUSR1 or SIGHUP the current step is finished, the state is written to the checkpoint and the
exit status is 75 ("try again"). Started again, it resumes from the checkpoint, however it ended. With several workers
this process holds the cell and starts the others.
"""

# ruff: noqa: E402
from rethinking.run import stop_signals

stop_signals.exit_at_once()  # before the imports that take a second or two

import argparse
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import load_corrupted
from rethinking.data.prepared import read_manifest
from rethinking.run import cell_job, scripts
from rethinking.run.checkpoint import Checkpoint
from rethinking.run.files import hash_file
from rethinking.run.hardware import emulates_bfloat16
from rethinking.run.identity import Identity
from rethinking.run.scripts import log
from rethinking.run.team import Follower, Team
from rethinking.training.loop import train_cell
from rethinking.training.results import write_cell


def main() -> None:
    """Read the command line, train, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", required=True, help="for example cifar10/random_labels/mlp_1x512/none/seed0")
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
    cell_job.add_options(parser)
    args = parser.parse_args()

    cell = Cell.parse(args.cell)
    settings = CellSettings.model_validate_json(args.settings)
    torch.set_num_threads(args.threads)
    count = args.workers if settings.micro_batch else 1  # others have nothing to share

    def work_along(device: torch.device, follower: Follower, team: Team) -> None:
        data = load_corrupted(args.prepared, args.overlay, args.images)
        sharing = cell_job.sharing(args, device, count)
        train_cell(cell, settings, data, device, follower, lambda _: None, args.feeder, team, sharing)

    if args.worker:
        cell_job.work_along(args, work_along)
    manifest = read_manifest(args.prepared)
    manifest.pop("odd_files", None)  # thousands of names
    identity = own_identity(cell, settings, args)

    def train(device: torch.device, place: str, checkpoint: Checkpoint, workers: AbstractContextManager[Team]) -> None:
        log(f"cell {cell} on {place} with {settings.model_dump_json()}")
        if settings.precision == "bfloat16" and emulates_bfloat16(device):
            log("this device only emulates bfloat16; float32 is faster here")
        data = load_corrupted(args.prepared, args.overlay, args.images)
        with workers as team:
            sharing = cell_job.sharing(args, device, count)
            trained = train_cell(cell, settings, data, device, checkpoint, log, args.feeder, team, sharing)
        write_cell(args.output, cell, settings, data, manifest, trained, identity)
        log(f"trained in {trained.wall_seconds:.1f} s, {trained.images_per_second:.0f} images/s in training")

    cell_job.run(args, identity, count, train)


def own_identity(cell: Cell, settings: CellSettings, args: argparse.Namespace) -> Identity:
    """The cell's identity, also when the script is run by hand."""
    if result := scripts.asked_for():
        return result.identity
    data = {name: hash_file(getattr(args, name) / "manifest.json") for name in ("prepared", "overlay")}
    return Identity({"cell": str(cell), **settings.model_dump()}, scripts.running_code(), data)


if __name__ == "__main__":
    scripts.run(main, locked=False)  # the checkpoint has a lock
