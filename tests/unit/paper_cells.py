"""Made-up networks with the paper's published numbers, as if every result came out as there."""

import json

import numpy as np
import pandas as pd

from rethinking import paper, registry
from rethinking.analysis.runs import Run

from ..summaries import make_data, make_summary, write_summary

EPOCHS = 70
SEEDS = (0, 1, 2)
EPOCHS_AT_P0 = {"inception": 10, "alexnet": 31, "mlp_1x512": 28}  # denominators of the ratios of figure 1b
JITTER = 0.02  # points of test accuracy by which seeds differ
NOISE = 1e-6  # by which their curves at the ends of epochs do, because those that agree decide nothing
FIG1A = ("true_labels", "random_labels", "shuffled_pixels", "random_pixels", "gaussian")
CORRUPTION_NAMES = {0.0: "true_labels", 1.0: "random_labels"}


def cell_values():
    """(cell without data set) -> the values that :func:`make_run` takes."""
    cells = {}
    for (corruption, model, regularisers), row in paper.table1().items():
        cells[f"{corruption}/{model}/{regularisers}"] = {
            "train": row["train_accuracy"],
            "test": row["test_accuracy"],
        }
    for (corruption, model, regularisers), row in paper.table4().items():
        train = row["train_accuracy"] or 12.0  # failed to converge
        cells[f"{corruption}/{model}/{regularisers}"] = {"train": train, "test": 10.0}
    for model, epochs in EPOCHS_AT_P0.items():
        errors = paper.curve(f"fig1c_{model}")[:, 1]
        for (p, ratio), error in zip(paper.curve(f"fig1b_{model}"), errors, strict=True):
            values = cells.setdefault(f"{CORRUPTION_NAMES.get(p, f'labels_p{p}')}/{model}/none", {"train": 100.0})
            values["fitted"] = round(ratio * epochs)
            values["test_corrupted"] = 100 * (1 - error)
            if 0 < p < 1:  # a share p/10 of the corrupted test labels is right by chance
                values["test"] = (values["test_corrupted"] - 10 * p) / (1 - p)
                values["memorisation"] = [(9.0, 25.0), (99.0, 0.5)]
    for corruption in FIG1A:
        values = cells.setdefault(f"{corruption}/inception/none", {"train": 100.0, "test": 10.0})
        values["losses"] = paper.curve(f"fig1a_{corruption}")[:, 1].tolist()
    for model, name in (("inception", "inception"), ("inception_no_bn", "inception_wo_bn")):
        values = cells[f"true_labels/{model}/none"]
        values["tests"] = (100 * paper.curve(f"fig2b_test_{name}")[:, 1]).tolist()
    for model in ("inception", "inception_no_bn", "alexnet", "mlp_3x512", "mlp_1x512"):
        for n in (500, 5000, 50000):
            cells[f"random_signs_n{n}/{model}/none"] = {"train": 100.0, "test": 50.0}
        cells[f"true_signs_n50000/{model}/none"] = {"train": 100.0, "test": 70.0}
        replaced = {"train": 100.0, "test": 10.0, "measured": {"all_change": 0.9}}
        cells[f"random_labels_replaced0/{model}/none"] = replaced
        cells[f"true_labels_replaced0/{model}/none"] = dict(replaced)
    # Measures that equal the gap except for one network.
    for name, values in cells.items():
        outlier = name == "true_labels/inception/none"
        gap = values["train"] - values.get("test_corrupted", 10.0)
        values.setdefault("measured", dict.fromkeys(registry.names("measure"), 1e3 if outlier else gap))
    return cells


def make_run(
    name,
    seed=0,
    *,
    train,
    test,
    test_corrupted=10.0,
    online=None,
    fitted=20,
    losses=(2.0, 1.0, 0.1),
    tests=None,
    best=None,
    memorisation=None,
    measured=None,
    settings=None,
    diverged=False,
    images=50_000,
    parameters=None,
):
    """One network.

    Args:
        name: with data set, without seed.
        test: mean over seeds of the test accuracy, percent; seed 1 has it, the others lie beside it.
        fitted: first epoch with an online training accuracy of 100 % at its end, or None. Over the batches of an
            epoch it is one later.
        losses, tests: training loss and test accuracy at the end of each epoch, extended with their last value.
            Over the batches of an epoch the loss is that at the end of the one before.
        best: best test accuracy; that of ``tests`` above its last value if not given.
        memorisation: (given, true) of the first and of the last epoch.
        measured: measures of complexity, or stability.
        settings: those that differ from the rest.
    """
    test = test + (seed - 1) * JITTER
    model = name.split("/")[2]
    tests = [test] if tests is None else [value + (seed - 1) * JITTER for value in tests]
    published = {"inception_no_bn": "inception"}.get(model, model)
    given = {
        "best_test_accuracy": test + max(tests) - tests[-1] if best is None else best,
        "parameters": parameters or paper.sizes()["cifar10", published]["parameters"],
        "data": make_data(name.split("/")[0], images),
        "settings": {"epochs": EPOCHS, "learning_rate": 0.1, "thresholds": [99.0]} | (settings or {}),
    }
    if diverged:
        given |= {"diverged_at": (3, 812)}
    else:
        given |= {"train_accuracy": train, "train_accuracy_online": train if online is None else online}
        given |= {"test_accuracy": test, "test_accuracy_corrupted": test_corrupted}
    summary = make_summary(f"{name}/seed{seed}", **given)
    epochs = np.arange(EPOCHS + 1)
    losses, fitted = [3.0, *extend(losses)], fitted or EPOCHS + 1
    curve = pd.DataFrame(
        {
            "epoch": epochs,
            "step": epochs * 391,
            "train_loss": [3.0, *losses[:-1]],
            "train_accuracy": np.where(epochs > fitted, 100.0, 50.0),
            "test_accuracy": [10.0, *extend(tests)],
            "test_accuracy_corrupted": test_corrupted,
            "train_loss_end": np.add(losses, seed * NOISE),
            "train_accuracy_end": np.where(epochs >= fitted, 100.0, 50.0 - seed * NOISE),
        }
    )
    first, last = memorisation or [(np.nan, np.nan)] * 2
    given, true = zip(*([first] * (EPOCHS - 1) + [last]), strict=True)
    rows = pd.DataFrame(
        {
            "epoch": epochs[1:],
            "unchanged_accuracy": 100.0,
            "changed_accuracy_given": given,
            "changed_accuracy_true": true,
        }
    )
    return Run(summary, curve, rows, measured or {})


def extend(values):
    values = list(values)[:EPOCHS]
    return values + values[-1:] * (EPOCHS - len(values))


def make_runs(values, seeds=SEEDS, dataset="cifar10"):
    """Networks as :func:`rethinking.analysis.runs.read_runs` gives them."""
    return {
        f"{dataset}/{cell}": [make_run(f"{dataset}/{cell}", seed, **some) for seed in seeds]
        for cell, some in values.items()
    }


def write_runs(root, runs):
    """Write networks as a workflow leaves them below ``root``."""
    for of_cell in runs.values():
        for run in of_cell:
            folder = write_summary(root, run.summary)
            run.curve.to_csv(folder / "curve.csv", index=False)
            name = "stability.json" if "replaced" in run.summary["cell"] else "complexity.json"
            if run.measured:
                (folder / name).write_text(json.dumps(run.measured))
            run.memorisation.to_csv(folder / "memorisation.csv", index=False)
