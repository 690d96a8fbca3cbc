"""Constructed runs for tests of figures."""

import json

import numpy as np
import pandas as pd

from rethinking.analysis.runs import Run
from rethinking.cells import Cell


def make_run(name, seed=0, diverged=False, steps_per_epoch=16, first_epoch=0, **columns):
    """A run whose curve has these columns, one value per epoch from ``first_epoch`` on."""
    epochs = np.arange(len(next(iter(columns.values())))) + first_epoch
    curve = pd.DataFrame({"epoch": epochs, "step": epochs * steps_per_epoch, **columns})
    return Run(Cell.from_name(name, seed), curve, diverged)


def write_run(folder, run, filename="curve.csv"):
    """Write a run as a cell's folder, 2,000 of 50,000 images of CIFAR-10, and return the folder."""
    folder.mkdir(parents=True)
    run.curve.to_csv(folder / filename, index=False)
    accuracies = ("train_accuracy", "train_accuracy_online", "test_accuracy", "best_test_accuracy")
    summary = {
        "cell": str(run.cell),
        "status": "diverged" if run.diverged else "finished",
        "diverged_epoch": 1 if run.diverged else None,
        "diverged_step": 5 if run.diverged else None,
        **dict.fromkeys(accuracies, None if run.diverged else 50),
        "parameters": 5,
        "provenance": {"settings": {"epochs": 1}},
        "data": {
            "dataset": "cifar10",
            "provenance": None,
            "source": {"kind": "official"},
            "train": {"count": 2000, "full_count": 50000},
            "test": {"count": 10000, "full_count": 10000},
        },
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def solid_lines(axes):
    """The lines of means."""
    return [line for line in axes.lines if line.get_linestyle() == "-"]


def dashed_lines(axes):
    """The lines of the paper."""
    return [line for line in axes.lines if line.get_linestyle() == "--"]


def legend(figure):
    """The text of the legend, without the padding between its columns."""
    return [text.get_text() for text in figure.legends[0].get_texts() if text.get_text()]


def note(figure):
    """The text below the axes, as one line."""
    return " ".join(figure.get_supxlabel().split())
