"""Compare measures of complexity with the generalisation gap: rank correlations, the networks behind them, a figure."""

from pathlib import Path

import pandas as pd

from rethinking import registry
from rethinking.analysis.aggregation import aggregate_accuracy, corrupted_gap
from rethinking.analysis.descriptions import describe_data, describe_lost, describe_scale
from rethinking.analysis.rank_correlations import correlate
from rethinking.analysis.runs import CELL_PARTS, cell_parts, read_runs
from rethinking.figures import complexity as complexity_figure
from rethinking.figures.style import draw, save
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line and the measured networks, write the three results."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument("--ranks", type=Path, required=True, help="CSV of rank correlations to write")
    parser.add_argument("--networks", type=Path, required=True, help="CSV of all networks to write")
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="to write: .svg, .png, .pdf")
    args = parser.parse_args()

    measures = registry.names("measure")
    files = [f"{name}/complexity.json" for name in args.cells]
    found = read_runs(args.root, args.cells, args.seeds, measures=files)
    runs = [run for some in found.values() for run in some]
    runs = [run for run in runs if run.measured]
    rows = [
        {
            **cell_parts(run.cell.name),
            "seed": run.cell.seed,
            "gap": None if run.diverged else corrupted_gap(run.summary),
        }
        | {measure: run.measured.get(measure) for measure in measures}
        | {"images": run.measured.get("images"), "data": describe_data(run.summary)}
        for run in runs
    ]
    columns = [*CELL_PARTS, "seed", "gap", *measures, "images", "data"]
    networks = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(["gap", *measures], float))
    cells = aggregate_accuracy(args.cells, [run.summary for run in runs], {})
    cells = cells[cells.seeds + cells.diverged > 0]
    scale = describe_scale(cells) + describe_lost(cells.diverged, cells.seeds)
    ranks = correlate(networks, scale)
    write_text(args.ranks, ranks.to_csv(index=False, float_format="%.4f"))
    numbers = networks.merge(cells[[*CELL_PARTS, "epochs"]], on=CELL_PARTS, how="left")
    write_text(args.networks, numbers.to_csv(index=False, float_format="%.9g"))
    save(draw(complexity_figure.plot, networks, ranks, scale), args.images)
    print(f"{len(networks)} networks of {len(args.cells)} cells")


if __name__ == "__main__":
    scripts.run(main)
