"""Download one published file of a data set and verify it.

python workflow_scripts/download_dataset.py --dataset cifar10 --file cifar-10-binary.tar.gz --output PATH
"""

import argparse
from pathlib import Path

from rethinking.data.download import download
from rethinking.data.published import published
from rethinking.run import scripts
from rethinking.run.files import UserError, sharing
from rethinking.run.shared import alone


def main() -> None:
    """Parse the command line and download."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="name of the data set, e.g. cifar10")
    parser.add_argument("--file", required=True, help="name of the published file")
    parser.add_argument("--output", required=True, help="where to put it")
    args = parser.parse_args()

    description = published(args.dataset)
    files = {file.name: file for file in description.downloads} if description else {}
    if args.file not in files:
        raise UserError(f"{args.dataset} has no file {args.file}; its files are {', '.join(files) or 'none'}")
    output = Path(args.output)  # in <data_dir>/downloads/<data set>
    with sharing(output.parents[2], output.parent), alone(output):
        download(files[args.file], args.output)


if __name__ == "__main__":
    scripts.run(main)
