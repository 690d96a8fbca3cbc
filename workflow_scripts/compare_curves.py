"""Measure how far the curves of our figures are from the paper's, as CSV and for readers."""

import argparse
from pathlib import Path

from rethinking import paper
from rethinking.analysis.differences import COMPARED, compare, note, present, read_numbers
from rethinking.run import scripts
from rethinking.run.files import write_text
from rethinking.tables.rendering import to_latex, to_markdown


def main() -> None:
    """Read the command line and the figures' numbers, write the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    for figure in COMPARED:
        parser.add_argument(f"--{figure}", type=Path, help="CSV from plot_figure.py")
    parser.add_argument("--output", required=True, type=Path, help="CSV to write")
    parser.add_argument("--markdown", required=True, type=Path)
    parser.add_argument("--latex", required=True, type=Path)
    args = parser.parse_args()

    given = {figure: path for figure in COMPARED if (path := getattr(args, figure))}
    tables = {figure: read_numbers(figure, path) for figure, path in given.items()}
    differences = compare(tables, {figure: paper.curves(figure) for figure in tables})
    write_text(args.output, differences.to_csv(index=False, float_format="%.6g"))
    write_text(args.markdown, to_markdown(present(differences), note(differences)))
    write_text(args.latex, to_latex(present(differences), note(differences)))
    print(f"{len(differences)} curves compared")


if __name__ == "__main__":
    scripts.run(main)
