"""Draw a corruption once and store it as an overlay on a prepared data set."""

import argparse
from pathlib import Path

from rethinking.cells import corruption_kind
from rethinking.corruption.labels import write_corrupted_labels
from rethinking.corruption.pixels import write_corrupted_images
from rethinking.corruption.replacements import write_replacement
from rethinking.corruption.signs import write_signs
from rethinking.run import scripts

WRITERS = {
    "labels": write_corrupted_labels,
    "pixels": write_corrupted_images,
    "signs": write_signs,
    "replacements": write_replacement,
}


def main() -> None:
    """Read the command line, write the overlay, log what it changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument(
        "--dataset", required=True, help="name of the data set, which selects the random streams"
    )
    parser.add_argument("--corruption", required=True, help="for example labels_p0.5 or shuffled_pixels")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder of the overlay")
    args = parser.parse_args()

    write = WRITERS[corruption_kind(args.corruption)]
    manifest = write(args.prepared, args.output, args.corruption, args.dataset, args.seed)
    for key, value in manifest.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    scripts.run(main)
