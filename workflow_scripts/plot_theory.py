"""Plot a figure of the paper's theory and write its numbers as CSV."""

import argparse
import json
from pathlib import Path

import pandas as pd

from rethinking import registry
from rethinking.analysis.aggregation import read_columns
from rethinking.analysis.theory_results import FIGURE_TABLES, read_records
from rethinking.figures.style import draw, not_drawn, save
from rethinking.run import scripts
from rethinking.run.files import write_text
from rethinking.run.identity import recorded


def main() -> None:
    """Read the command line and the files, write the figure in each format and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", required=True, choices=registry.made_by("plot_theory"))
    parser.add_argument(
        "--records",
        nargs="*",
        default=[],
        type=Path,
        help="JSON of expressivity, of linear models or of descent",
    )
    parser.add_argument("--tables", nargs="*", default=[], type=Path, help="CSV of validation or of descent")
    parser.add_argument("--models", default="[]", help="settings of the linear models as a JSON list")
    parser.add_argument("--images", nargs="+", required=True, type=Path, help="to write: .svg, .png, .pdf")
    parser.add_argument("--numbers", required=True, type=Path, help="CSV to write")
    args = parser.parse_args()

    records = read_records(args.records)
    tables = [read_columns(path, FIGURE_TABLES[args.figure]) for path in args.tables]
    models = json.loads(args.models)
    # With finished_only a table can be of earlier settings; a kept one has no record.
    for path, table in zip(args.tables, tables, strict=True):
        if (made := recorded(path)) and "model" in made.settings:
            models.append({"name": table.model.iloc[0], **made.settings["model"]})
    figure, numbers = draw(
        registry.entry("figure", args.figure).call,
        instead=lambda reason: (not_drawn(reason), pd.DataFrame({"error": [reason]})),
        records=records,
        tables=tables,
        models=models,
    )
    save(figure, args.images)
    write_text(args.numbers, numbers.to_csv(index=False, float_format="%.6g"))


if __name__ == "__main__":
    scripts.run(main)
