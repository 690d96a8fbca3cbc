"""Put all trained networks into two tables for further analysis: one row per network, and one row per epoch."""

import gzip
from pathlib import Path

import pandas as pd

from rethinking.analysis.collection import curve_rows, network_row
from rethinking.report.provenance import folders
from rethinking.run import scripts
from rethinking.run.files import atomic_path, write_text


def main() -> None:
    """Read the command line and all networks, write both tables."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument("--networks", required=True, type=Path, help="CSV to write")
    parser.add_argument("--curves", required=True, type=Path, help="gzipped CSV to write")
    args = parser.parse_args()

    found = list(folders(args.root, args.cells, args.seeds))
    networks = pd.DataFrame([network_row(folder, variant) for folder, variant in found])
    write_text(args.networks, networks.to_csv(index=False))
    curves = [curve_rows(folder, variant) for folder, variant in found]
    text = pd.concat(curves).to_csv(index=False) if curves else ""
    with atomic_path(args.curves) as temporary:
        # Without a time, equal curves give equal bytes.
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{len(networks)} networks, {sum(map(len, curves))} epochs")


if __name__ == "__main__":
    scripts.run(main)
