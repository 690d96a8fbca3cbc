"""Draw a sample of the training images as a problem of two classes, stored like a prepared data set."""

import argparse
from pathlib import Path

from rethinking.corruption.signs import write_sample
from rethinking.run import scripts


def main() -> None:
    """Read the command line, write the sample, log what it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument("--images", type=int, required=True, help="training images in the sample")
    parser.add_argument("--output", type=Path, required=True, help="folder of the sample")
    args = parser.parse_args()

    manifest = write_sample(args.prepared, args.output, args.images)
    for key, value in manifest.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    scripts.run(main)
