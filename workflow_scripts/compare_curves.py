"""Measure how far the curves of our figures are from the paper's."""

import argparse
from pathlib import Path

from rethinking import paper
from rethinking.analysis.differences import COMPARED, compare, read_numbers
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line and the figures' numbers, write the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    for figure in COMPARED:
        parser.add_argument(f"--{figure}", type=Path, help="CSV from plot_figure.py")
    parser.add_argument("--output", required=True, type=Path, help="CSV to write")
    args = parser.parse_args()

    tables = {figure: read_numbers(figure, path) for figure in COMPARED if (path := getattr(args, figure))}
    differences = compare(tables, {figure: paper.curves(figure) for figure in tables})
    write_text(args.output, differences.to_csv(index=False, float_format="%.6g"))
    print(f"{len(differences)} curves compared")


if __name__ == "__main__":
    scripts.run(main)
