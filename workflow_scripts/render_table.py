"""Render a table's CSV for readers: as Markdown and as LaTeX."""

import argparse
from pathlib import Path

from rethinking import registry
from rethinking.analysis.aggregation import read_columns
from rethinking.run import scripts
from rethinking.run.files import write_text
from rethinking.tables.rendering import to_latex, to_markdown

NOTHING = "There is nothing to show: no result of this configuration belongs into this table."


def main() -> None:
    """Read the command line and the CSV, write both texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, choices=registry.names("table"))
    parser.add_argument("--input", required=True, type=Path, help="the table's CSV")
    parser.add_argument("--markdown", required=True, type=Path)
    parser.add_argument("--latex", required=True, type=Path)
    args = parser.parse_args()

    view = registry.entry("table", args.table).call()
    table = read_columns(args.input, view.columns, empty=True)
    shown, note = scripts.attempt(
        lambda reason: ([], f"This table could not be made from {args.input.name}: {reason}."),
        lambda: view.show(table) if len(table) else ([], NOTHING),
    )
    write_text(args.markdown, to_markdown(shown, note))
    write_text(args.latex, to_latex(shown, note))
    print(f"{len(table)} rows rendered")


if __name__ == "__main__":
    scripts.run(main)
