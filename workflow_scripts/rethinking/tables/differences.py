"""How far our curves lie from the paper's, for readers."""

import math
from itertools import takewhile
from typing import Any

import pandas as pd

from rethinking import registry
from rethinking.analysis.differences import COLUMNS
from rethinking.analysis.time_to_fit import TITLES
from rethinking.paper.titles import DATASET_TITLES, MODEL_TITLES
from rethinking.tables.presentation import View
from rethinking.tables.rendering import MISSING, Shown, texts


@registry.table("curve_differences", title="Differences between our curves and the paper's", script="compare_curves")
def curve_differences() -> View:
    """Differences of all curves."""
    return View(COLUMNS, present, note, "nothing to compare")


def present(table: pd.DataFrame) -> list[Shown]:
    """A frame of :func:`compare` for readers, as :mod:`rethinking.tables.rendering` takes it."""
    several = table.dataset.nunique() > 1
    columns = {
        ("", "figure"): table.figure.str.removeprefix("fig"),
        ("", "curve"): [curve_title(row, several) for row in table.itertuples()],
        ("", "unit"): table.unit,
        ("mean", "difference"): digits(table.mean_difference),
        ("largest", "difference"): digits(table.largest_difference),
        ("", "at"): [place(row) for row in table.itertuples()],
        ("", "points"): [f"{row.points} of {row.paper_points}" for row in table.itertuples()],
    }
    _, scales = shared_scale(table)
    if any(scales):
        columns["", "our scale"] = scales
    return [Shown("", pd.DataFrame(columns))]


def note(table: pd.DataFrame) -> str:
    """What is compared, and what the scales of our curves share."""
    shared, _ = shared_scale(table)
    scale = f"Ours: {shared}.\n" if shared else ""
    return (
        f"{scale}Absolute differences between our means over seeds and the curves of Zhang et al. (2017), CIFAR-10 at "
        "full scale, read off the published figures. Training loss (1a) and training accuracy (2b): moving "
        "averages over batches at the end of each epoch, which we infer the paper's to be. Time to overfit (1b): by such "
        "averages (end-of-epoch) and by means over all batches of an epoch (whole-epoch). Over epochs ours are "
        "interpolated at the paper's points, as far as both go, from our first whole epoch on; ratios are 1 at "
        "p = 0 by definition, which is left out."
    )


def shared_scale(table: pd.DataFrame) -> tuple[str, list[str]]:
    """The parts with which the scales of all curves begin, such as the data, and the rest of each.

    In every row the former would widen the table by half, and LaTeX would print it smaller.
    """
    parts = [scale.split("; ") for scale in table.scale]
    shared = [first for first, *_ in takewhile(lambda some: len(set(some)) == 1, zip(*parts, strict=False))]
    return "; ".join(shared), ["; ".join(each[len(shared) :]) for each in parts]


def digits(values: pd.Series) -> list[str]:
    """Numbers with three digits, zeros at the end too."""
    return [text.rstrip(".") for text in texts(values, "{:#.3g}")]


def curve_title(row: Any, several: bool) -> str:
    """A curve in words, for example ``MLP 1×512, whole-epoch accuracy ≥ 99 %``; of several data sets, that of ours too."""
    if row.figure == "fig1a":
        parts = [row.curve.replace("_", " ")]
    elif row.figure == "fig2b":
        split, _, model = row.curve.partition("_")
        parts = [MODEL_TITLES[model], split.replace("train", "training")]
    else:
        parts = [MODEL_TITLES[row.curve]] + ([TITLES[row.variant]] if row.figure == "fig1b" else [])
    return ", ".join(parts + ([DATASET_TITLES[row.dataset]] if several else []))


def place(row: Any) -> str:
    """Where a curve is furthest from the paper's."""
    if math.isnan(row.largest_at):
        return MISSING
    axis = "p =" if row.figure in ("fig1b", "fig1c") else "epoch"
    return f"{axis} {round(row.largest_at, 1):g}"
