"""Measure what networks can fit, and how far one example moves them: Rademacher complexity, stability, a figure."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from rethinking import capacity_figure, scripts
from rethinking.batches import to_inputs
from rethinking.cells import Cell, replaced_example
from rethinking.figures import save
from rethinking.files import load_array, write_text
from rethinking.folding import depth
from rethinking.models import build_model
from rethinking.rademacher import rademacher_table
from rethinking.samples import exchanged
from rethinking.stability import loss_changes, stability_table
from rethinking.tables import describe_scale, read_summary


def main() -> None:
    """Read the command line and the cells that are there, write both tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", required=True, help="names without seeds, in order")
    parser.add_argument("--seeds", nargs="+", type=int, required=True)
    parser.add_argument("--root", type=Path, required=True, help="folder that cell names start from")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--rademacher", type=Path, required=True, help="CSV to write")
    parser.add_argument("--stability", type=Path, required=True, help="CSV to write")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="to write: .svg, .png, .pdf")
    args = parser.parse_args()

    torch.set_num_threads(1)
    cells = [Cell.from_name(name, seed) for name in args.cells for seed in args.seeds]
    paths = {cell: args.root / str(cell) / "summary.json" for cell in cells}
    summaries = {cell: read_summary(path) for cell, path in paths.items() if path.exists()}
    depths = {cell.model: depth(*untrained(cell, summary)) for cell, summary in summaries.items()}
    rademacher = rademacher_table(args.cells, list(summaries.values()), depths)
    changes = {}
    for cell, summary in summaries.items():
        pair = [summary, summaries.get(cell.base)]
        folders = args.data / "prepared" / cell.dataset, overlay_folder(args.data, cell.base)
        there = all((folder / "manifest.json").exists() for folder in folders)
        if cell != cell.base and there and all(each and each["status"] == "finished" for each in pair):
            changes[cell] = measure_changes(cell, summary, args.root, *folders)
    stability = stability_table(args.cells, list(summaries.values()), changes)
    write_text(args.rademacher, rademacher.to_csv(index=False, float_format="%.6g"))
    write_text(args.stability, stability.to_csv(index=False, float_format="%.6g"))
    scales = [
        f"{title}: {describe_scale(table)}"
        for title, table in (("Left", rademacher), ("Right", stability))
        if len(table)
    ]
    save(capacity_figure.plot(rademacher, stability, "Ours. " + ".\n".join(scales) + "."), args.images)
    print(f"{len(summaries)} networks, {len(changes)} replacements")


def untrained(cell: Cell, summary: Mapping[str, Any]) -> tuple[torch.nn.Module, torch.Tensor]:
    """A cell's network with any weights, in evaluation mode, and an image of the size that it takes."""
    data, settings = summary["data"], summary["provenance"]["settings"]
    shape = (data["image_shape"][0], settings["input_size"], settings["input_size"])
    model = build_model(cell.model, shape, data["num_classes"], **settings.get("architecture", {}))
    return model.eval(), torch.zeros(1, *shape)


def overlay_folder(data: Path, cell: Cell) -> Path:
    """Where the corruption of a cell lies."""
    return data / "corrupted" / cell.dataset / cell.corruption / f"seed{cell.seed}"


def measure_changes(
    cell: Cell, summary: Mapping[str, Any], root: Path, prepared: Path, overlay: Path
) -> dict[str, float]:
    """How far the losses differ between a cell with a replacement and that without."""
    counts = (summary["data"][split]["count"] for split in ("train", "test"))
    places = exchanged(cell.dataset, cell.seed, replaced_example(cell.corruption), *counts)
    before, after = (np.load(root / str(each) / "predictions.npz") for each in (cell.base, cell))
    # predictions.npz has neither the replaced example in the one network nor the new one's label in the other.
    splits = list(zip(("train", "test"), places, strict=True))
    images = np.stack([load_array(prepared / f"{split}_images.npy")[place] for split, place in splits])
    labels = torch.tensor(
        [int(load_array(overlay / f"{split}_labels.npy")[place]) for split, place in splits]
    )
    model, _ = untrained(cell, summary)
    inputs = to_inputs(images, summary["provenance"]["settings"]["input_size"], torch.device("cpu"))
    confidence = []
    for each in (cell.base, cell):
        model.load_state_dict(load_file(root / str(each) / "weights.safetensors"))
        with torch.inference_mode():
            confidence.append(F.softmax(model(inputs), 1).gather(1, labels[:, None])[:, 0])
    return loss_changes(before, after, places, (confidence[1] - confidence[0]).tolist())


if __name__ == "__main__":
    scripts.run(main)
