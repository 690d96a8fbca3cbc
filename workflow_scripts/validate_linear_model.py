"""Try gamma and penalty of a linear model on a part of the training set; test images are not looked at."""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from rethinking import scripts
from rethinking.features import make_features
from rethinking.files import load_array, read_json, write_text
from rethinking.linear_models import validate, validation_split
from rethinking.scripts import log
from rethinking.tables import describe_data
from rethinking.theory_settings import LinearModelConfig, ValidationConfig


def main() -> None:
    """Read the command line and the training images, write the errors as CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="its settings as JSON")
    parser.add_argument("--validation", required=True, help="the section linear_models.validation as JSON")
    parser.add_argument("--prepared", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument("--seed", type=int, required=True, help="of random features")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write")
    args = parser.parse_args()

    model = LinearModelConfig.model_validate_json(args.model)
    settings = ValidationConfig.model_validate_json(args.validation)
    torch.set_num_threads(args.threads)
    manifest = read_json(args.prepared / "manifest.json")
    images = load_array(args.prepared / "train_images.npy")
    labels = np.array(load_array(args.prepared / "train_labels.npy"))
    fitted, others = validation_split(labels, settings, model.dataset)
    gammas = [None]
    if model.kernel == "gaussian":
        given = [] if model.gamma == "validated" else [model.gamma]
        gammas = sorted({*model.gammas, *given})
    with tempfile.TemporaryDirectory(dir=args.output.parent, prefix=".features-") as folder:
        train, test = make_features(
            model.preprocessing,
            images[fitted],
            images[others],
            Path(folder),
            torch.device("cpu"),
            filters=model.filters,
            seed=args.seed,
            dataset=model.dataset,
            log=log,
        )
        table = validate(
            train,
            test,
            labels[fitted],
            labels[others],
            manifest["num_classes"],
            gammas,
            settings.penalties,
            log,
        )
    table.insert(0, "model", model.name)
    table["images"], table["validation_images"] = len(fitted), len(others)
    table["data"] = describe_data({"data": manifest})
    write_text(args.output, table.to_csv(index=False))


if __name__ == "__main__":
    scripts.run(main)
