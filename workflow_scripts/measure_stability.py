"""Measure how far the losses of a network move when one of its training examples is replaced."""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from rethinking.analysis.aggregation import read_summary
from rethinking.cells import Cell, replaced_example
from rethinking.corruption.loading import load_corrupted
from rethinking.corruption.replacements import exchanged
from rethinking.measures.stability import MEASURED, PREDICTIONS, loss_changes
from rethinking.measures.weights import load_weights
from rethinking.run import scripts
from rethinking.run.files import reading, write_json
from rethinking.training.feeders import inputs_of
from rethinking.training.initial_weights import build_network


def main() -> None:
    """Read the command line and both networks, write the changes; there are none if one network diverged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="folder of the cell without the replacement")
    parser.add_argument("--after", type=Path, required=True, help="folder of the cell with it")
    parser.add_argument("--prepared", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument("--overlay", type=Path, required=True, help="corruption of the cell without")
    parser.add_argument("--images", type=Path, help="where the files of large images lie")
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    args = parser.parse_args()

    torch.set_num_threads(1)
    summaries = [read_summary(folder / "summary.json") for folder in (args.before, args.after)]
    cell = Cell.parse(summaries[1]["cell"])
    changes = dict.fromkeys(MEASURED)
    if all(summary["status"] == "finished" for summary in summaries):
        counts = (summaries[0]["data"][split]["count"] for split in ("train", "test"))
        places = exchanged(cell.dataset, cell.seed, replaced_example(cell.corruption), *counts)
        before, after = (read_predictions(folder / "predictions.npz") for folder in (args.before, args.after))
        changes = loss_changes(before, after, places, change_at(cell, summaries[0], places, args))
    write_json(args.output, {"cell": str(cell)} | changes)
    for name, value in changes.items():
        print(f"{name}: {value}")


def read_predictions(path: Path) -> dict[str, np.ndarray]:
    """What :func:`rethinking.measures.stability.loss_changes` takes of a cell's ``predictions.npz``."""
    with reading(path), np.load(path) as arrays:
        return {key: arrays[key] for key in PREDICTIONS}


def change_at(cell: Cell, summary: dict[str, object], places: tuple[int, int], args: argparse.Namespace) -> list[float]:
    """Change of the loss at the two examples that were exchanged.

    These are not in predictions.npz: each network was trained on only one of the two.
    """
    settings = summary["provenance"]["settings"]
    data = load_corrupted(args.prepared, args.overlay, args.images)
    splits = list(zip(("train", "test"), places, strict=True))
    size, device = settings["input_size"], torch.device("cpu")
    inputs = torch.cat([inputs_of(data, split, np.array([place]), size, device) for split, place in splits])
    labels = torch.tensor([int(data.train_labels[places[0]]), int(data.test_labels_corrupted[places[1]])])
    shape, architecture = tuple(inputs.shape[1:]), settings.get("architecture", {})
    model = build_network(cell, shape, data.num_classes, architecture).eval()
    confidence = []
    for folder in (args.before, args.after):
        load_weights(model, folder)
        with torch.inference_mode():
            confidence.append(F.softmax(model(inputs), 1).gather(1, labels[:, None])[:, 0])
    return (confidence[0] - confidence[1]).tolist()


if __name__ == "__main__":
    scripts.run(main)
