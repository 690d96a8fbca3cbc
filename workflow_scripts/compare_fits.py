"""Fit some images exactly, but not with minimum norm, and compare norms and test errors."""

from pathlib import Path

import numpy as np
import torch

from rethinking.analysis.theory_results import write_fit
from rethinking.config.theory import CounterexampleConfig, LinearModelConfig
from rethinking.data.prepared import contradictions, load_split, stratified_sample
from rethinking.run import scripts
from rethinking.run.files import UserError
from rethinking.streams import stream
from rethinking.theory.counterexamples import compare_fits
from rethinking.theory.features import make_features
from rethinking.theory.inputs import argument_parser, features_folder, read
from rethinking.theory.validation import best_setting, read_validation


def main() -> None:
    """Read the command line and the images, write the record."""
    parser = argument_parser(__doc__, "of images, labels and centres", "JSON to write")
    parser.add_argument("--settings", required=True, help="the section linear_models.counterexamples as JSON")
    parser.add_argument("--validation", type=Path, help="CSV of errors on the validation part, to choose gamma from")
    args = parser.parse_args()

    model, manifest = read(LinearModelConfig, args.model, args)
    settings = CounterexampleConfig.model_validate_json(args.settings)
    gamma, _ = best_setting(read_validation(args.validation), model.gamma, 0)
    images, labels = [], []
    for split, count in (("train", settings.train), ("test", settings.test)):
        all_images, all_labels = load_split(args.prepared, split)
        if count > len(all_labels):
            raise UserError(
                f"linear_models.counterexamples.{split} is {count:,}, but {model.dataset} has {len(all_labels):,} {split} "
                f"images; give at most {len(all_labels):,}"
            )
        chosen = stratified_sample(all_labels, count, stream(args.seed, "counterexamples", model.dataset, split))
        images.append(all_images[chosen])
        labels.append(all_labels[chosen])
    # Random labels of two equal images have no exact fit.
    both = np.concatenate(images)
    copies = [later for _, later in contradictions(both, np.arange(len(both)))]
    kept = np.split(~np.isin(np.arange(len(both)), copies), [len(images[0])])
    images = [some[keep] for some, keep in zip(images, kept, strict=True)]
    labels = [some[keep] for some, keep in zip(labels, kept, strict=True)]
    if copies:
        scripts.log(f"{len(copies)} images are left out because they equal another one")
    with features_folder(args.output) as folder:
        cpu = torch.device("cpu")
        features = make_features(model, *images, folder, args.seed, cpu, scripts.log)
        values = [some.read(slice(None), cpu, torch.float64) for some in features]
    table = compare_fits(*values, *labels, manifest["num_classes"], gamma, args.seed, model.dataset, scripts.log)
    write_fit(
        args.output,
        "counterexamples",
        args.seed,
        model.model_dump() | settings.model_dump(),
        manifest,
        model=model.name,
        preprocessing=model.preprocessing,
        gamma=gamma,
        images=len(labels[0]),
        test_images=len(labels[1]),
        fits=table.to_dict("records"),
    )


if __name__ == "__main__":
    scripts.run(main)
