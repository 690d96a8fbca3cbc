"""Download one published file of a data set and verify it.

python workflow_scripts/download_dataset.py --dataset cifar10 --file cifar-10-binary.tar.gz --output PATH
"""

import argparse
from pathlib import Path

from rethinking.data.download import download
from rethinking.data.sources import SOURCES
from rethinking.run import scripts
from rethinking.run.files import UserError, shared_folder
from rethinking.run.shared import alone


def main() -> None:
    """Parse the command line and download."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", required=True, choices=sorted(SOURCES))
    parser.add_argument("--file", required=True, help="name of the published file")
    parser.add_argument("--output", required=True, help="where to put it")
    args = parser.parse_args()

    files = {file.name: file for file in SOURCES[args.dataset].downloads}
    if args.file not in files:
        raise UserError(f"{args.dataset} has no file {args.file}; its files are {', '.join(files)}")
    output = Path(args.output)  # in <data_dir>/downloads/<data set>
    shared_folder(output.parents[2], output.parent)
    with alone(output):
        download(files[args.file], args.output)


if __name__ == "__main__":
    scripts.run(main)
