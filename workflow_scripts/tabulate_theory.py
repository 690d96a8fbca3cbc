"""Make a table of the paper's theory from the records of its fits: means over seeds with the paper's values."""

import argparse
from pathlib import Path

from rethinking.analysis.theory_results import TABLES, read_records
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line and the records, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, choices=sorted(TABLES))
    parser.add_argument("--records", nargs="+", required=True, type=Path, help="JSON of the fits")
    parser.add_argument("--output", required=True, type=Path, help="CSV to write")
    args = parser.parse_args()

    table = TABLES[args.table](read_records(args.records))
    write_text(args.output, table.to_csv(index=False, float_format="%.6g"))
    print(f"{len(table)} rows from {len(args.records)} records")


if __name__ == "__main__":
    scripts.run(main)
