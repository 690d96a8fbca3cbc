"""How far our curves lie from the paper's, point by point.

Curves over epochs are compared at the paper's points, ours interpolated linearly between epochs,
over their common range; before our first whole epoch there is nothing to compare. Curves over the label
corruption p are compared at the p that both have. Relative times are 1 at p = 0 by definition, so p = 0
is left out.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rethinking import registry
from rethinking.analysis.aggregation import columns, paper_has, read_columns
from rethinking.analysis.descriptions import describe_scale
from rethinking.analysis.runs import CELL_PARTS, NETWORK, published_name

# Columns of curve_differences.csv -> dtype.
COLUMNS = columns(
    ("str", "figure dataset curve variant unit"),
    ("int64", "points paper_points"),
    ("float64", "mean_difference largest_difference largest_at"),
    ("str", "scale"),
)
# Figures of which the paper has curves.
UNITS = {each.name: each.options["unit"] for each in registry.entries("figure") if "unit" in each.options}
COMPARED = tuple(UNITS)
# Quantities of figures 1a and 2b that the paper shows -> split; in training, moving averages at the end of an epoch.
SPLITS = {"train_loss_end": "", "train_accuracy_end": "train", "test_accuracy": "test"}
# Columns of a figure's CSV.
CURVE = columns(("str", "quantity"), ("Int64", "epoch"), ("float64", "mean"))
RATIOS = columns(("float64", "p"), ("str", "threshold"), ("float64", "ratio paper_ratio"))
ERRORS = columns(("float64", "p"), ("str", "test_labels"), ("float64", "test_error paper_test_error"))
NUMBERS = {"fig1a": CURVE, "fig1b": RATIOS, "fig1c": ERRORS, "fig2b": CURVE}
SCALE = columns(("Int64", "seeds diverged epochs"), ("str", "data"))
EPOCH_TOLERANCE = 0.01  # the paper's whole epochs, as read off its figures


def read_numbers(figure: str, path: Path) -> pd.DataFrame:
    """Read the CSV of one of :data:`COMPARED`, as plot_figure.py writes it.

    Raises:
        UserError: it is missing or not such a file; the message names it.
    """
    return read_columns(path, dict.fromkeys(CELL_PARTS, "str") | NUMBERS[figure] | SCALE)


def mean_and_largest(gaps: pd.Series) -> dict[str, Any]:
    """Mean and largest absolute value of the differences of two curves, indexed by their points on the axis.

    Returns:
        ``points`` (their number), ``mean_difference``, ``largest_difference`` and its position ``largest_at``; nan if
        there are none.
    """
    gaps = gaps.abs()
    return {
        "points": len(gaps),
        "mean_difference": gaps.mean(),
        "largest_difference": gaps.max(),
        "largest_at": gaps.idxmax() if len(gaps) else math.nan,
    }


def over_epochs(ours: pd.DataFrame, paper: np.ndarray) -> dict[str, Any]:
    """:func:`mean_and_largest` at the paper's epochs, from our first whole epoch to our last.

    Args:
        ours: ``epoch`` in order and ``mean``.
        paper: (n, 2) epoch and value.
    """
    trained = ours[ours["mean"].notna() & (ours.epoch > 0)].astype({"epoch": "float64"})
    if trained.empty:
        return mean_and_largest(pd.Series(dtype=float))
    first, last = trained.epoch.min() - EPOCH_TOLERANCE, trained.epoch.max() + EPOCH_TOLERANCE
    x, published = paper[(paper[:, 0] >= first) & (paper[:, 0] <= last)].T
    return mean_and_largest(pd.Series(np.interp(x, trained.epoch, trained["mean"]) - published, x))


def over_p(points: pd.DataFrame, column: str) -> dict[str, Any]:
    """:func:`mean_and_largest` of ``column`` and ``paper_{column}`` over ``p``, where both have values."""
    return mean_and_largest((points[column] - points[f"paper_{column}"]).set_axis(points.p).dropna())


def compare(tables: Mapping[str, pd.DataFrame], published: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """Compare each curve of our figures with the paper's of the same network.

    Args:
        tables: figure -> its CSV, as plot_figure.py writes it; any of fig1a, fig1b, fig1c and fig2b.
        published: figure -> the paper's curves, as :func:`rethinking.paper.curves` has them.

    Returns:
        One row with :data:`COLUMNS` per curve of the paper whose cells our figure shows;
        ``points`` is 0 if nothing could be compared. ``scale`` is that of our curve.
    """
    rows = []
    for figure, table in tables.items():
        if figure in ("fig1b", "fig1c"):
            compared = compare_over_p(figure, table, published[figure])
        else:
            compared = compare_over_epochs(table, published[figure])
        for curve, variant, measured, ours in compared:
            rows.append(
                {
                    "figure": figure,
                    "dataset": ours.dataset.iloc[0],
                    "curve": curve,
                    "variant": variant,
                    "unit": UNITS[figure],
                    # Without p = 0 of figure 1b.
                    "paper_points": len(published[figure][curve]) - (figure == "fig1b"),
                    "scale": describe_scale(ours),
                    **measured,
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def compare_over_epochs(
    table: pd.DataFrame, published: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, str, dict[str, Any], pd.DataFrame]]:
    """Figures 1a (training loss of the Inception by corruption) and 2b (accuracies by network)."""
    shown = table[table.quantity.isin(SPLITS)]
    for (*parts, quantity), ours in shown.groupby([*CELL_PARTS, "quantity"], sort=False):
        if (curve := published_name("/".join(parts), SPLITS[quantity])) in published:
            yield curve, "", over_epochs(ours, published[curve]), ours


def compare_over_p(
    figure: str, table: pd.DataFrame, published: Mapping[str, np.ndarray]
) -> Iterator[tuple[str, str, dict[str, Any], pd.DataFrame]]:
    """Figures 1b (relative time to overfit by threshold) and 1c (test error by test labels)."""
    kind, column = ("threshold", "ratio") if figure == "fig1b" else ("test_labels", "test_error")
    for (dataset, model, regularisers, variant), ours in table.groupby([*NETWORK, kind], sort=False):
        # We infer that the paper's test labels are corrupted.
        if model in published and regularisers == "none" and variant != "true" and paper_has(dataset):
            points = ours[ours.p > 0] if figure == "fig1b" else ours
            yield model, variant, over_p(points, column), ours


def nearest_threshold(table: pd.DataFrame) -> tuple[str | None, dict[str, dict[str, Any]]]:
    """The threshold of figure 1b whose ratios are nearest to the paper's, over all networks and p above 0.

    The paper has a ratio at every p, so only the thresholds with the most ratios are considered: one that is reached
    at small p alone, where all ratios are near 1, would look near for that reason.

    Args:
        table: as :func:`rethinking.analysis.time_to_fit.times_to_overfit` has it.

    Returns:
        Of these, the threshold with the smallest mean absolute difference, None if no point can be compared,
        and :func:`mean_and_largest` of each threshold.
    """
    measured = {
        threshold: over_p(points[points.p > 0], "ratio") for threshold, points in table.groupby("threshold", sort=False)
    }
    most = max((each["points"] for each in measured.values()), default=0)
    comparable = {
        threshold: each["mean_difference"] for threshold, each in measured.items() if most and each["points"] == most
    }
    return min(comparable, key=comparable.get, default=None), measured
