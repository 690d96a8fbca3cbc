"""Follow SGD on a linear model to an exact fit, from zero and from a random start; compare with the minimum norm."""

import math
from pathlib import Path

import numpy as np
import torch

from rethinking.analysis.theory_results import write_fit
from rethinking.config.theory import DescentConfig
from rethinking.data.prepared import load_split, stratified_sample
from rethinking.run import scripts
from rethinking.run.files import UserError, write_text
from rethinking.streams import stream
from rethinking.theory.descent import descend
from rethinking.theory.inputs import argument_parser, read
from rethinking.training.preprocessing import whiten


def main() -> None:
    """Read the command line and the images, write distances over steps and the record."""
    section = "the section linear_models.descent as JSON"
    parser = argument_parser(__doc__, "of images, order and start", "JSON to write", "--settings", section)
    parser.add_argument("--curve", type=Path, required=True, help="CSV to write")
    args = parser.parse_args()

    settings, manifest = read(DescentConfig, args.settings, args)
    images, labels = load_split(args.prepared, "train")
    test_images, test_labels = load_split(args.prepared, "test")
    values = math.prod(images.shape[1:])
    # The values of a whitened image sum to zero, so no more images are linearly independent.
    most = min(len(labels), values - 1)
    if settings.images > most:
        raise UserError(
            f"linear_models.descent.images is {settings.images:,}, but {settings.dataset} has {len(labels):,} images "
            f"of {values:,} values; give at most {most:,}"
        )
    chosen = stratified_sample(labels, settings.images, stream(args.seed, "images of descent", settings.dataset))
    x, test = (whiten(torch.from_numpy(np.array(some))).flatten(1).double() for some in (images[chosen], test_images))
    curve, facts = descend(
        x,
        test,
        labels[chosen],
        test_labels,
        manifest["num_classes"],
        settings.epochs,
        settings.batch_size,
        args.seed,
        settings.dataset,
        scripts.log,
    )
    write_text(args.curve, curve.to_csv(index=False, float_format="%.6g"))
    facts["images"] = settings.images
    write_fit(args.output, "descent", args.seed, settings.model_dump(), manifest, **facts)


if __name__ == "__main__":
    scripts.run(main)
