"""Put all trained networks into two tables for further analysis: one row per network, and one row per epoch."""

import csv
import gzip
import io
from pathlib import Path

import pandas as pd

from rethinking.analysis.collection import NAMES, curve_columns, curve_rows, network_row
from rethinking.analysis.runs import network_folders
from rethinking.run import scripts
from rethinking.run.files import atomic_path, write_text


def main() -> None:
    """Read the command line and all networks, write both tables."""
    parser = scripts.networks_parser(__doc__)
    parser.add_argument("--networks", required=True, type=Path, help="CSV to write")
    parser.add_argument("--curves", required=True, type=Path, help="gzipped CSV to write")
    args = parser.parse_args()

    found = list(network_folders(args.root, args.cells, args.seeds))
    networks = [network_row(folder, variant) for folder, variant in found]
    write_text(args.networks, pd.DataFrame(networks).to_csv(index=False))
    epochs = 0
    columns = dict.fromkeys(name for folder, _ in found for name in curve_columns(folder))
    with (
        atomic_path(args.curves) as temporary,
        open(temporary, "wb") as file,
        # Without a time and a name, equal curves give equal bytes.
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        writer = csv.DictWriter(text, [*NAMES, *columns], restval="", lineterminator="\n")
        writer.writeheader()
        # One network at a time: the curves of thousands take gigabytes of memory.
        for (folder, _), network in zip(found, networks, strict=True):
            names = {name: network[name] for name in NAMES}
            rows = curve_rows(folder, network["status"] == "diverged")
            writer.writerows(names | row for row in rows)
            epochs += len(rows)
    print(f"{len(networks)} networks, {epochs} epochs")


if __name__ == "__main__":
    scripts.run(main)
