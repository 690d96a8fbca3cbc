"""Average the summaries of a table's cells over their seeds and add the paper's values."""

from pathlib import Path

from rethinking import paper
from rethinking.analysis.aggregation import COLUMNS, TABLE2_COLUMNS, TABLE4_COLUMNS, aggregate_accuracy
from rethinking.analysis.runs import read_runs, summaries
from rethinking.run import scripts
from rethinking.run.files import write_text

# table -> the paper's values and the columns
TABLES = {
    "table1": (paper.table1, COLUMNS),
    "table2": (paper.table2, TABLE2_COLUMNS),
    "table4": (paper.table4, TABLE4_COLUMNS),
}


def main() -> None:
    """Read the command line and the networks, write the CSV."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument("--table", required=True, choices=sorted(TABLES))
    parser.add_argument("--output", required=True, type=Path, help="CSV to write")
    args = parser.parse_args()

    published, columns = TABLES[args.table]
    trained = summaries(read_runs(args.root, args.cells, args.seeds))
    table = aggregate_accuracy(args.cells, trained, published(), columns)
    write_text(args.output, table.to_csv(index=False, float_format="%.4f"))
    print(f"{table.seeds.sum()} finished and {table.diverged.sum()} diverged networks in {len(table)} rows")


if __name__ == "__main__":
    scripts.run(main)
