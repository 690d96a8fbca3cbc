"""Check the images of a data set such as ImageNet, and write labels, names and, of small sets, pixels.

    python workflow_scripts/prepare_images.py --dataset imagenette --path FOLDER --stored-size 108 \\
        --provenance "160-pixel copy" --output FOLDER
"""

import argparse
from pathlib import Path

from rethinking.data.image_checksums import check_provenance, verify_archives
from rethinking.data.image_sets import prepare_images
from rethinking.data.imagenet_classes import INSTEAD
from rethinking.run import scripts
from rethinking.run.scripts import log


def main() -> None:
    """Parse the command line, compare the archives with the published checksums, decode and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="name of the data set, e.g. imagenet")
    parser.add_argument("--path", type=Path, required=True, help="folder of the archives, or of train/ and val/")
    parser.add_argument("--provenance", help="what to call this copy of the data")
    parser.add_argument("--classes", type=scripts.unpacked, help="names of classes to take, a JSON list")
    parser.add_argument("--stored-size", type=int, help="height and width that whole images are resized to")
    parser.add_argument("--skip-unreadable", action="store_true", help="leave out what cannot be decoded")
    parser.add_argument("--train-limit", type=int, metavar="N", help="keep N training images")
    parser.add_argument("--test-limit", type=int, metavar="N", help="keep N test images")
    parser.add_argument("--threads", type=int, default=1, help="images decoded at a time")
    parser.add_argument("--checksums", type=Path, help="file that keeps the checksums of archives")
    parser.add_argument("--output", type=Path, required=True, help="folder for the arrays and manifest.json")
    args = parser.parse_args()

    verified = verify_archives(args.path, args.checksums, log)
    check_provenance(args.dataset, verified or args.provenance)
    provenance = args.provenance
    if verified:
        provenance = (provenance or INSTEAD[args.dataset]) if args.dataset in INSTEAD else None
    prepare_images(
        args.dataset,
        args.path,
        args.output,
        provenance=provenance,
        classes=args.classes,
        stored_size=args.stored_size,
        skip_unreadable=args.skip_unreadable,
        train_limit=args.train_limit,
        test_limit=args.test_limit,
        threads=args.threads,
        log=log,
    )
    log(f"{args.dataset} is prepared in {args.output}")


if __name__ == "__main__":
    scripts.run(main)
