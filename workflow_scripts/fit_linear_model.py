"""Fit a linear model to all training images exactly, for each of its penalties, and measure its error and norm.

Features and the factor's tiles stay in a scratch folder until the fit is done. Started again, it resumes from them.
"""

import shutil
import time
from pathlib import Path

import numpy as np

from rethinking.analysis.theory_results import write_fit
from rethinking.config.theory import LinearModelConfig, SolverConfig
from rethinking.data.prepared import load_split
from rethinking.run import scripts
from rethinking.run.files import atomic_path
from rethinking.run.hardware import device_name
from rethinking.run.identity import Identity
from rethinking.run.scripts import log, running_code
from rethinking.theory.features import make_features
from rethinking.theory.inputs import add_device, argument_parser, device_alone, read
from rethinking.theory.linear_models import fit
from rethinking.theory.validation import best_setting, read_validation


def main() -> None:
    """Read the command line and the images, fit, write the record and the outputs on the test images."""
    parser = argument_parser(__doc__, "of random features", "folder for summary.json and outputs.npz")
    parser.add_argument("--solver", required=True, help="the section linear_models.solver as JSON")
    parser.add_argument("--validation", type=Path, help="CSV of errors on the validation part, to choose from")
    parser.add_argument(
        "--scratch", type=Path, required=True, help="folder for the files from which a killed run resumes"
    )
    add_device(parser)
    args = parser.parse_args()

    model, manifest = read(LinearModelConfig, args.model, args)
    solver = SolverConfig.model_validate_json(args.solver)
    arrays, labels = zip(*(load_split(args.prepared, split) for split in ("train", "test")), strict=True)
    scanned = read_validation(args.validation)
    wanted = [best_setting(scanned, model.gamma, penalty) for penalty in model.penalties]
    args.scratch.mkdir(parents=True, exist_ok=True)
    with device_alone(args) as device:
        # Only what was computed from the same settings, data and code is used.
        made_from = model.model_dump(include={"preprocessing", "kernel", "filters"})
        made_from |= {"gamma": wanted[0][0], "seed": args.seed, "data": manifest, "device": str(device)}
        folder = args.scratch / Identity(made_from | {"solver": solver.model_dump()}, running_code()).digest
        for other in args.scratch.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)
        train, test = make_features(model, *arrays, folder / "features", args.seed, device, log)
        fits, outputs = [], []
        for (gamma, penalty), given in zip(wanted, model.penalties, strict=True):
            started = time.monotonic()
            log(f"penalty {penalty:g}" + ("" if gamma is None else f", gamma {gamma:g}"))
            facts, predicted = fit(
                train,
                test,
                *labels,
                manifest["num_classes"],
                gamma,
                penalty,
                solver,
                folder,
                device,
                log,
                arrays[0],
            )
            chosen = [name for name, value in (("gamma", model.gamma), ("penalty", given)) if value == "validated"]
            facts |= {"gamma": gamma, "chosen": " and ".join(chosen) or None}
            facts["seconds"] = round(time.monotonic() - started, 1)
            fits.append(facts)
            outputs.append(predicted.float().numpy())
            log(
                f"test error {facts['test_error']:.2f} %, training error {facts['train_error']:.2f} %, norm "
                f"{facts['norm']:.4g}, residual {facts['residual']:.1e}, {facts['seconds']:.0f} s"
            )
        with atomic_path(args.output / "outputs.npz") as path, open(path, "wb") as file:
            np.savez_compressed(file, test_outputs=np.stack(outputs), test_labels=labels[1])
        write_fit(
            args.output / "summary.json",
            "linear model",
            args.seed,
            model.model_dump() | {"solver": solver.model_dump()},
            manifest,
            device=device_name(device),
            model=model.name,
            **model.model_dump(include={"preprocessing", "kernel", "filters"}),
            random=model.random,
            images=len(train),
            fits=fits,
        )
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    scripts.run(main)
