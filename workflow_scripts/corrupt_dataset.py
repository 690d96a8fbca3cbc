"""Draw a corruption once and store it as an overlay on a prepared data set."""

import argparse
from pathlib import Path

from rethinking.corruption.overlays import write
from rethinking.run import scripts


def main() -> None:
    """Read the command line, write the overlay, log what it changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument("--dataset", required=True, help="name of the data set, which selects the random streams")
    parser.add_argument("--corruption", required=True, help="for example labels_p0.5 or shuffled_pixels")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder of the overlay")
    args = parser.parse_args()

    manifest = write(args.prepared, args.output, args.corruption, args.dataset, args.seed)
    for key, value in manifest.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    scripts.run(main)
