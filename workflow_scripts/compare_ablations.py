"""Compare the accuracies of each ablation's cells with those of the same cells with their own settings."""

import argparse
from pathlib import Path

from rethinking import paper
from rethinking.analysis.ablations import compare_variants
from rethinking.analysis.runs import read_runs, summaries
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line and the networks, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ablations", required=True, help="JSON list of name, question and cells of each variant")
    parser.add_argument("--results", required=True, type=Path, help="folder of the results")
    parser.add_argument("--seeds", nargs="+", required=True, help="of all cells, and NAME=0,1 of cells with fewer")
    parser.add_argument("--output", required=True, type=Path, help="CSV to write")
    args = parser.parse_args()

    ablations = scripts.unpacked(args.ablations)
    names = dict.fromkeys(name for each in ablations for name in each["cells"])
    defaults = summaries(read_runs(args.results / "cells", names, args.seeds))
    variants = {
        each["name"]: summaries(
            read_runs(args.results / "ablations" / each["name"] / "cells", each["cells"], args.seeds)
        )
        for each in ablations
    }
    table = compare_variants(ablations, defaults, variants, paper.accuracies())
    write_text(args.output, table.to_csv(index=False, float_format="%.4f"))
    print(f"{table.pairs.sum()} pairs of networks in {len(table)} rows")


if __name__ == "__main__":
    scripts.run(main)
