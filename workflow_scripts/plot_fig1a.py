"""Plot figure 1a: training loss of a network on true and corrupted data, ours over the paper's."""

import argparse
from collections import defaultdict
from pathlib import Path

from rethinking import paper, scripts
from rethinking.cells import CORRUPTIONS, Cell
from rethinking.figures import CURVE_COLUMNS, PAPER_TITLE, Run, plot_fig1a, save
from rethinking.tables import aggregate_accuracy, describe_scale, read_columns, read_summary
from rethinking.titles import MODEL_TITLES


def main() -> None:
    """Read the command line, the curves and the summaries; write the figure in each format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--cells", nargs="+", required=True, help="names without seeds, in the order of the legend"
    )
    parser.add_argument("--folders", nargs="*", default=[], type=Path, help="folders of any of their seeds")
    parser.add_argument(
        "--output", nargs="+", required=True, type=Path, help="files to write: .svg, .png, .pdf"
    )
    args = parser.parse_args()

    summaries, runs = [], defaultdict(list)
    for folder in args.folders:
        summary = read_summary(folder / "summary.json")
        curve = read_columns(folder / "curve.csv", CURVE_COLUMNS)
        summaries.append(summary)
        runs[Cell.parse(summary["cell"]).name].append(Run(curve, summary["status"] == "diverged"))

    scale = describe_scale(aggregate_accuracy(args.cells, summaries, {}))
    models = " and ".join(dict.fromkeys(MODEL_TITLES[Cell.from_name(name, 0).model] for name in args.cells))
    figure = plot_fig1a(
        [(name, runs[name]) for name in args.cells],
        {corruption: paper.curve(f"fig1a_{corruption}") for corruption in CORRUPTIONS},
        paper.steps_per_epoch(),
        note=f"Ours: {models}, {scale}.\n"
        f"{PAPER_TITLE}: Inception, CIFAR-10 at full scale, read off the published figure.",
    )
    save(figure, args.output)
    print(f"{len(summaries)} networks in {len(args.cells)} curves")


if __name__ == "__main__":
    scripts.run(main)
