"""Turn a data set's source into memory-mappable arrays and a manifest.

    python workflow_scripts/prepare_dataset.py --dataset cifar10 --source official \\
        --path cifar-10-binary.tar.gz --output FOLDER
"""

import argparse

from rethinking.data.prepared import prepare
from rethinking.data.readers import choose_provenance, describe_source, read_dataset
from rethinking.run import scripts


def main() -> None:
    """Parse the command line, read the source and write the arrays."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="name of the data set, e.g. cifar10")
    parser.add_argument("--source", required=True, choices=("official", "archive", "images", "embedded", "plugin"))
    parser.add_argument("--path", help="archive or folder of a published version, or folder or tar of images")
    parser.add_argument("--provenance", help="what to call this copy of the data, e.g. 'JPEG copy'")
    parser.add_argument("--train-limit", type=int, metavar="N", help="keep N training images, classes in proportion")
    parser.add_argument("--test-limit", type=int, metavar="N", help="keep N test images, classes in proportion")
    parser.add_argument("--output", required=True, help="folder for the arrays and manifest.json")
    args = parser.parse_args()

    dataset, verified = read_dataset(args.dataset, args.source, args.path)
    provenance = choose_provenance(args.dataset, dataset, verified, args.provenance)
    if args.provenance and provenance is None:
        print(f"these are the exact images: the provenance '{args.provenance}' is not shown")
    prepare(
        dataset,
        args.output,
        name=args.dataset,
        provenance=provenance,
        source=describe_source(args.dataset, args.source, args.path),
        train_limit=args.train_limit,
        test_limit=args.test_limit,
    )
    print(f"{args.dataset} is prepared in {args.output}")


if __name__ == "__main__":
    scripts.run(main)
