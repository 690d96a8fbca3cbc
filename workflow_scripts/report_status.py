"""Print the state of a configuration's cells, measures and fits, and how long the rest of the cells takes."""

import argparse

from rethinking.config.loading import load_config
from rethinking.run import scripts
from rethinking.run.status import estimate, survey
from rethinking.run.status_report import report, report_results


def main() -> None:
    """Read the command line and the files of the results, print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="the whole configuration as JSON")
    args = parser.parse_args()

    config = load_config(scripts.unpacked(args.config), [])
    cells, ablations, results = survey(config)
    # An empty line between this and what Snakemake prints before and after.
    print()
    groups = {"": cells, "In addition for the target 'ablations': ": ablations}
    if config.report_ablations:  # they belong to 'all'
        groups = {"": [*cells, *ablations]}
    for title, statuses in groups.items():
        if statuses:
            rest = None if config.finished_only else estimate(statuses, [*cells, *ablations], config.hardware.device)
            print(f"{title}{report(statuses, rest)}\n")
    if results:
        print(f"{report_results(results, 'missing' if config.finished_only else 'to run')}\n")


if __name__ == "__main__":
    scripts.run(main)
