"""Plot a figure of the paper, our curves over the paper's, and write its numbers as CSV."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from rethinking import registry
from rethinking.analysis.aggregation import aggregate_accuracy
from rethinking.analysis.descriptions import describe_scale
from rethinking.analysis.differences import NUMBERS, SCALE
from rethinking.analysis.runs import CELL_PARTS, cell_parts, read_runs, summaries
from rethinking.figures.style import draw, not_drawn, save
from rethinking.paper.titles import MODEL_TITLES
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line, the curves and the summaries; write the figure in each format and its numbers."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument("--figure", required=True, choices=registry.made_by("plot_figure"))
    parser.add_argument("--images", nargs="+", required=True, type=Path, help="to write: .svg, .png, .pdf")
    parser.add_argument("--numbers", required=True, type=Path, help="CSV to write")
    args = parser.parse_args()

    figure = registry.entry("figure", args.figure)
    runs = read_runs(args.root, args.cells, args.seeds, figure.options["reads"])
    trained_networks = summaries(runs)
    cells = aggregate_accuracy(args.cells, trained_networks, {})
    trained = dict.fromkeys(MODEL_TITLES[cell_parts(name)["model"]] for name, some in runs.items() if some)
    scale = ", ".join([*trained, describe_scale(cells)])
    missing = sum(not some for some in runs.values())
    if 0 < missing < len(runs):
        scale += f"; {missing} of {len(runs)} cells not trained"

    def instead(reason: str) -> tuple[Figure, pd.DataFrame]:
        numbers = pd.DataFrame([cell_parts(name) for name in args.cells])
        return not_drawn(reason), numbers.reindex(columns=[*CELL_PARTS, *NUMBERS.get(args.figure, {})])

    drawn, numbers = draw(figure.call, instead=instead, runs=runs, scale=scale)
    save(drawn, args.images)
    numbers = numbers.merge(cells[[*CELL_PARTS, *SCALE]], on=CELL_PARTS, how="left")
    write_text(args.numbers, numbers.to_csv(index=False, float_format="%.6g"))
    print(f"{len(trained_networks)} networks in {len(args.cells)} cells")


if __name__ == "__main__":
    scripts.run(main)
