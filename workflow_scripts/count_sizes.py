"""Count the parameters of networks and the training images of their data sets, with the paper's counts."""

import argparse
from pathlib import Path

import pandas as pd

from rethinking import paper
from rethinking.analysis.sizes import count_imagenet, count_sizes
from rethinking.data.prepared import read_manifest
from rethinking.run import scripts
from rethinking.run.files import write_text


def main() -> None:
    """Read the command line and the manifests, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", required=True, help="JSON list of dataset, model, input_size and architecture")
    parser.add_argument("--manifests", nargs="*", default=[], type=Path, help="manifest.json of prepared data sets")
    parser.add_argument(
        "--imagenet", action="store_true", help="add the networks on ImageNet of zhang2017.json's sizes"
    )
    parser.add_argument("--output", required=True, type=Path, help="CSV to write")
    args = parser.parse_args()

    manifests = {manifest["dataset"]: manifest for manifest in (read_manifest(file.parent) for file in args.manifests)}
    table = count_sizes(scripts.unpacked(args.networks), manifests, paper.sizes())
    if args.imagenet:
        listed = (table.dataset == "imagenet").any()
        table = pd.concat([table, count_imagenet(manifests.get("imagenet"), paper.sizes(), own=not listed)])
    write_text(args.output, table.to_csv(index=False, float_format="%.4f"))
    print(f"{len(table)} networks counted")


if __name__ == "__main__":
    scripts.run(main)
