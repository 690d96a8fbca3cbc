"""Tabulate what networks can fit, and how far one example moves them: Rademacher complexity, stability, a figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rethinking.analysis.runs import read_runs
from rethinking.cells import Cell
from rethinking.figures import capacity as capacity_figure
from rethinking.figures.style import draw, save
from rethinking.measures.folding import depth
from rethinking.measures.rademacher import rademacher_table
from rethinking.measures.stability import MEASURED, stability_table
from rethinking.models import build_model, device_for_shapes
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line and the existing cells, write both tables and the figure."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument("--rademacher", type=Path, required=True, help="CSV to write")
    parser.add_argument("--stability", type=Path, required=True, help="CSV to write")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="to write: .svg, .png, .pdf")
    args = parser.parse_args()

    runs = [run for some in read_runs(args.root, args.cells, args.seeds).values() for run in some]
    summaries = {run.cell: run.summary for run in runs}
    changes = {run.cell: run.measured for run in runs if run.measured.get(MEASURED[0]) is not None}
    # Once for each model, not for each of its networks, of which there can be thousands.
    examples = {cell.model: (cell, summary) for cell, summary in summaries.items()}
    depths = {model: network_depth(*example) for model, example in examples.items()}
    rademacher = rademacher_table(args.cells, list(summaries.values()), depths)
    stability = stability_table(args.cells, list(summaries.values()), changes)
    write_text(args.rademacher, rademacher.to_csv(index=False, float_format="%.6g"))
    write_text(args.stability, stability.to_csv(index=False, float_format="%.6g"))
    save(draw(capacity_figure.plot, rademacher, stability), args.images)
    print(f"{len(summaries)} networks, {len(changes)} replacements")


def network_depth(cell: Cell, summary: Mapping[str, Any]) -> int:
    """Layers with weights on the longest path through a cell's network."""
    data, settings = summary["data"], summary["provenance"]["settings"]
    shape = (data["image_shape"][0], settings["input_size"], settings["input_size"])
    with torch.device(device_for_shapes(cell.model)):
        model = build_model(cell.model, shape, data["num_classes"], **settings.get("architecture", {}))
        return depth(model.eval(), torch.zeros(1, *shape))


if __name__ == "__main__":
    scripts.run(main)
