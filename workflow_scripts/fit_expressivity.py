"""Build the networks of theorem 1 and corollary 1 for a data set's training images and measure how exactly they fit."""

import time

import numpy as np
import torch

from rethinking.analysis.theory_results import write_fit
from rethinking.config.theory import ExpressivityConfig
from rethinking.corruption import Draws
from rethinking.corruption.labels import replace_labels
from rethinking.data.prepared import contradictions, load_split
from rethinking.run import scripts
from rethinking.run.files import UserError
from rethinking.streams import stream
from rethinking.theory.expressivity import (
    conditioning,
    construct,
    draw_direction,
    error_by_size,
    flat_pixels,
    largest_error,
    project,
    smallest_eigenvalue,
)
from rethinking.theory.inputs import argument_parser, read


def main() -> None:
    """Read the command line and the images, build, evaluate, write the record."""
    draws, section = "of the direction, the order and the random labels", "the section expressivity as JSON"
    args = argument_parser(__doc__, draws, "JSON to write", "--settings", section).parse_args()

    settings, manifest = read(ExpressivityConfig, args.settings, args)
    dataset, classes = manifest["dataset"], manifest["num_classes"]
    images, labels = load_split(args.prepared, "train")
    copies = contradictions(images, np.arange(len(images)))
    for first, other in copies:
        print(f"image {other} of class {labels[other]} is equal to image {first} of class {labels[first]}")
    if copies and not settings.drop_duplicates:
        raise UserError(
            f"theorem 1 needs images that differ, and {len(copies):,} training images are equal to an earlier one, as "
            f"{copies[0][1]} to {copies[0][0]} (numbered from 0; the log has all); set expressivity.drop_duplicates: true to "
            "keep the first of each"
        )
    images, labels = (np.delete(some, [other for _, other in copies], axis=0) for some in (images, labels))
    images = flat_pixels(images)
    # Some data sets are sorted by class, but the first n images should be typical of all.
    order = torch.from_numpy(stream(args.seed, "order of images", dataset).permutation(len(labels)))
    direction = draw_direction(images.shape[1], args.seed, dataset)
    projections = project(images, direction)
    ordered = torch.sort(projections).values
    random = replace_labels(labels, classes, Draws(args.seed, dataset, "train"), 1.0)
    targets = {"true": torch.from_numpy(labels).double(), "random": torch.from_numpy(random).double()}

    networks = []
    for name, y in targets.items():
        for depth in settings.depths:
            started = time.monotonic()
            network = construct(projections, y, direction, settings.offset, depth)
            error, fitted = largest_error(network(images), y)
            facts = conditioning(ordered, network.thresholds, network.weights)
            networks.append(
                {
                    "labels": name,
                    "depth": depth,
                    "n": len(images),
                    "d": images.shape[1],
                    "width": network.width,
                    "parameters": sum(parameter.numel() for parameter in network.parameters()),
                    "connections": network.connections,
                    "largest_error": error,
                    "fitted": fitted,
                    **facts,
                    "smallest_eigenvalue": smallest_eigenvalue(ordered, network.thresholds),
                    "offset": settings.offset,
                }
            )
            print(f"{name} labels, depth {depth}: largest error {error:.2e}, {time.monotonic() - started:.1f} s")

    sizes = [size for size in settings.sizes if size <= len(labels)]
    precision = error_by_size(
        projections[order], targets["random"][order], direction, sizes, settings.offsets, settings.precisions
    )
    about = settings.model_dump()
    write_fit(args.output, "expressivity", args.seed, about, manifest, networks=networks, precision=precision)


if __name__ == "__main__":
    scripts.run(main)
