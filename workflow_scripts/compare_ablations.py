"""Compare the accuracies of each ablation's cells with those of the same cells with their own settings."""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from rethinking import paper
from rethinking.analysis.ablations import compare_variants
from rethinking.analysis.aggregation import read_summary
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line and the summaries, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--ablations", required=True, help="JSON list of name, question and cells of each variant"
    )
    parser.add_argument(
        "--defaults", nargs="*", default=[], type=Path, help="summary.json of the cells themselves"
    )
    parser.add_argument(
        "--variants",
        nargs="*",
        default=[],
        type=Path,
        help="{variant}/cells/{cell}/summary.json of the variants",
    )
    parser.add_argument("--output", required=True, type=Path, help="CSV to write")
    args = parser.parse_args()

    variants = defaultdict(list)
    for path in args.variants:
        variants[path.parents[6].name].append(read_summary(path))
    table = compare_variants(
        json.loads(args.ablations), map(read_summary, args.defaults), variants, paper.accuracies()
    )
    write_text(args.output, table.to_csv(index=False, float_format="%.4f"))
    print(f"{table.pairs.sum()} pairs of networks in {len(table)} rows")


if __name__ == "__main__":
    scripts.run(main)
