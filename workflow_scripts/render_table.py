"""Render a table's CSV for readers: as Markdown and as LaTeX."""

import argparse
from pathlib import Path

from rethinking import scripts
from rethinking.files import write_text
from rethinking.rendering import to_latex, to_markdown
from rethinking.tables import COLUMNS, read_columns


def main() -> None:
    """Read the command line and the CSV, write both texts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", required=True, type=Path, help="CSV from aggregate_table.py")
    parser.add_argument("--markdown", required=True, type=Path)
    parser.add_argument("--latex", required=True, type=Path)
    args = parser.parse_args()

    table = read_columns(args.input, COLUMNS)
    write_text(args.markdown, to_markdown(table))
    write_text(args.latex, to_latex(table))
    print(f"{len(table)} rows rendered")


if __name__ == "__main__":
    scripts.run(main)
