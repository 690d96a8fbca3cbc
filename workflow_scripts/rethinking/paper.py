"""The values that Zhang et al. (ICLR 2017, arXiv 1611.03530v2) published, from ``paper_data/*.json``."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rethinking.files import read_json

FOLDER = Path(__file__).parent / "paper_data"


@cache
def read(name: str) -> dict[str, Any]:
    """The contents of ``paper_data/{name}.json``; callers must not change them."""
    return read_json(FOLDER / f"{name}.json")


def table1() -> dict[tuple[str, str, str], dict[str, float]]:
    """Table 1: CIFAR-10 accuracies in percent.

    Returns:
        (corruption, model, regularisers), as in cell names -> ``train_accuracy`` and ``test_accuracy``.
    """
    return {
        (f"{row['labels']}_labels", row["model"], regularisers(row)): {
            key: row[key] for key in ("train_accuracy", "test_accuracy")
        }
        for row in read("zhang2017")["table1"]
    }


def regularisers(row: dict[str, Any]) -> str:
    """How cell names write the two regularisers of table 1, for example ``crop+wd``."""
    columns = {"crop": "random_crop", "wd": "weight_decay"}
    return "+".join(name for name, column in columns.items() if row[column]) or "none"


def curve(name: str) -> np.ndarray:
    """A curve read off the vector graphics of figures 1 and 2b, float64 (n, 2): x and y.

    Args:
        name: figure and line, for example ``fig1a_random_labels``; ``paper_data/figures.json`` has names and units.

    Raises:
        KeyError: there is no such curve.
    """
    return np.array(read("figures")["curves"][name])


def steps_per_epoch() -> int:
    """Steps of one epoch on CIFAR-10, which turn the thousand steps of figures 1a and 2b into epochs.

    The batch size is inferred: with it the points of figure 1a lie on whole epochs.
    """
    values = read("zhang2017")
    images = next(row["n_train"] for row in values["sizes"] if row["dataset"] == "CIFAR-10")
    return math.ceil(images / values["settings"]["batch_size"]["value"])
