"""Fit some images exactly in other ways than with the minimum norm, and compare norms and test errors."""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rethinking import scripts
from rethinking.counterexamples import compare_fits
from rethinking.datasets import stratified_sample
from rethinking.features import make_features
from rethinking.files import UserError, load_array, read_json, write_json
from rethinking.linear_models import best_setting
from rethinking.streams import stream
from rethinking.theory_results import provenance
from rethinking.theory_settings import CounterexampleConfig, LinearModelConfig


def main() -> None:
    """Read the command line and the images, write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="its settings as JSON; the kernel is Gaussian")
    parser.add_argument("--settings", required=True, help="the section linear_models.counterexamples as JSON")
    parser.add_argument("--prepared", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument(
        "--validation", type=Path, help="CSV of errors on the validation part, to choose gamma from"
    )
    parser.add_argument("--seed", type=int, required=True, help="of images, labels and centres")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    args = parser.parse_args()

    model = LinearModelConfig.model_validate_json(args.model)
    settings = CounterexampleConfig.model_validate_json(args.settings)
    torch.set_num_threads(args.threads)
    manifest = read_json(args.prepared / "manifest.json")
    gamma, _ = best_setting(
        pd.read_csv(args.validation) if args.validation else pd.DataFrame(), model.gamma, 0
    )
    images, labels = [], []
    for split, count in (("train", settings.train), ("test", settings.test)):
        everything = np.array(load_array(args.prepared / f"{split}_labels.npy"))
        if count > len(everything):
            raise UserError(
                f"linear_models.counterexamples.{split} is {count:,}, but {model.dataset} has {len(everything):,} images"
            )
        chosen = stratified_sample(
            everything, count, stream(args.seed, "counterexamples", model.dataset, split)
        )
        images.append(load_array(args.prepared / f"{split}_images.npy")[chosen])
        labels.append(everything[chosen])
    with tempfile.TemporaryDirectory(dir=args.output.parent, prefix=".features-") as folder:
        features = make_features(
            model.preprocessing,
            *images,
            Path(folder),
            torch.device("cpu"),
            filters=model.filters,
            seed=args.seed,
            dataset=model.dataset,
        )
        values = [some.read(slice(None), torch.device("cpu"), torch.float64) for some in features]
    table = compare_fits(
        *values,
        *labels,
        manifest["num_classes"],
        gamma,
        args.seed,
        model.dataset,
        scripts.log,
    )
    record = {
        "kind": "counterexamples",
        "model": model.name,
        "dataset": model.dataset,
        "preprocessing": model.preprocessing,
        "gamma": gamma,
        "seed": args.seed,
        "images": settings.train,
        "test_images": settings.test,
        "fits": table.to_dict("records"),
        "data": manifest,
        "provenance": provenance(
            model.model_dump() | settings.model_dump(),
            args.seed,
            "cpu",
            "rethinking.counterexamples",
            "rethinking.features",
        ),
    }
    write_json(args.output, record)


if __name__ == "__main__":
    scripts.run(main)
