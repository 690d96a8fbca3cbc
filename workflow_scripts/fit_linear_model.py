"""Fit a linear model to all training images exactly, for each of its penalties, and measure its error and norm.

Features and the factor's tiles lie in a scratch folder until it is done; started again, it goes on from what is there.
"""

import argparse
import fcntl
import hashlib
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rethinking import scripts
from rethinking.features import make_features
from rethinking.files import atomic_path, load_array, read_json, write_json
from rethinking.fingerprint import fingerprint
from rethinking.hardware import choose_device
from rethinking.linear_models import best_setting, fit
from rethinking.scripts import log
from rethinking.theory_results import provenance
from rethinking.theory_settings import LinearModelConfig, SolverConfig


def main() -> None:
    """Read the command line and the images, fit, write the record and the outputs on the test images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="its settings as JSON")
    parser.add_argument("--solver", required=True, help="the section linear_models.solver as JSON")
    parser.add_argument("--prepared", type=Path, required=True, help="folder of the prepared data set")
    parser.add_argument(
        "--validation", type=Path, help="CSV of errors on the validation part, to choose from"
    )
    parser.add_argument("--seed", type=int, required=True, help="of random features")
    parser.add_argument(
        "--scratch", type=Path, required=True, help="folder for what a killed run goes on from"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--output", type=Path, required=True, help="folder for summary.json and outputs.npz")
    args = parser.parse_args()

    model = LinearModelConfig.model_validate_json(args.model)
    solver = SolverConfig.model_validate_json(args.solver)
    torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    manifest = read_json(args.prepared / "manifest.json")
    arrays = [load_array(args.prepared / f"{split}_images.npy") for split in ("train", "test")]
    labels = [np.array(load_array(args.prepared / f"{split}_labels.npy")) for split in ("train", "test")]
    scanned = pd.read_csv(args.validation) if args.validation else pd.DataFrame()

    # Only what was computed from the same settings, data and code is gone on from.
    code = fingerprint("rethinking.linear_models", "rethinking.features")
    wanted = [best_setting(scanned, model.gamma, penalty) for penalty in model.penalties]
    source = [model.preprocessing, model.kernel, model.filters, args.seed, manifest, code]
    folder = args.scratch / digest(*source, wanted[0][0], solver.model_dump(), str(device))
    args.scratch.mkdir(parents=True, exist_ok=True)
    with open(args.scratch / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until this process ends: no second one writes the same tiles
        for other in args.scratch.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)
        train, test = make_features(
            model.preprocessing,
            *arrays,
            folder / "features",
            device,
            filters=model.filters,
            seed=args.seed,
            dataset=model.dataset,
            log=log,
        )
        fits, outputs = [], []
        for (gamma, penalty), given in zip(wanted, model.penalties, strict=True):
            started = time.monotonic()
            log(f"penalty {penalty:g}" + ("" if gamma is None else f", gamma {gamma:g}"))
            facts, predicted = fit(
                train, test, *labels, manifest["num_classes"], gamma, penalty, solver, folder, device, log
            )
            chosen = [
                name for name, value in (("gamma", model.gamma), ("penalty", given)) if value == "validated"
            ]
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
        record = {
            "kind": "linear model",
            "model": model.name,
            "seed": args.seed,
            **model.model_dump(include={"dataset", "preprocessing", "kernel", "filters"}),
            "random": model.random,
            "images": len(train),
            "fits": fits,
            "data": manifest,
            "provenance": provenance(
                model.model_dump() | {"solver": solver.model_dump()},
                args.seed,
                torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
                "rethinking.linear_models",
                "rethinking.features",
            ),
        }
        write_json(args.output / "summary.json", record)
        shutil.rmtree(folder, ignore_errors=True)


def digest(*parts: object) -> str:
    """A short name for some values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    scripts.run(main)
