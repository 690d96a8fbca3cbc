"""Tables of the paper's theory for readers: linear models, norms, and networks that fit any labels."""

import math

import numpy as np
import pandas as pd

from rethinking import registry
from rethinking.analysis.descriptions import describe_copies, span
from rethinking.analysis.statistics import LEVEL
from rethinking.analysis.theory_results import EXPRESSIVITY_COLUMNS, NORMS_COLUMNS, TABLE3_COLUMNS
from rethinking.paper.titles import DATASET_TITLES, FIT_TITLES
from rethinking.tables.presentation import Columns, View
from rethinking.tables.rendering import (
    MISSING,
    Shown,
    lowest_to_highest,
    texts,
    with_interval,
    with_intervals,
)
from rethinking.theory import NOT_CONVERGED

PREPROCESSING_TITLES = {
    "none": "pixels",
    "gabor": "Gabor filters",
    "random_convnet": "random conv-net",
}
# Columns with norms by other definitions.
OTHER_NORMS = {
    "signed_norm": "signed",
    "number_norm": "number",
    "mean_class_norm": "mean",
    "sum_of_class_norms": "sum",
}
INTERVALS = f"± half width of the {LEVEL} Student-t interval over seeds, where anything is random"
PAPER = "Paper: Zhang et al. (2017), on the exact images."


def present_table3(table: pd.DataFrame) -> list[Shown]:
    """Table 3, extended by kernel, settings, training error and how exact the fit is."""
    columns: Columns = model_columns(table)
    columns["", "kernel"] = table.kernel.map({"gaussian": "Gaussian", "linear": "linear"})
    columns["", "gamma"] = [starred(row.gamma, "gamma", row.chosen) for row in table.itertuples()]
    columns["", "penalty"] = [
        starred(row.penalty, "penalty", row.chosen) if row.penalty else "none" for row in table.itertuples()
    ]
    columns["training", "error (%)"] = texts(table.train_error, "{:.2f}")
    columns["test error (%)", "ours"] = with_intervals(table, "test_error", "{:.2f}")
    # As the paper prints it, with its number of filters if ours differs.
    others = table.paper_filters.notna() & (table.filters != table.paper_filters)
    columns["test error (%)", "paper"] = [
        error + (f" ({filters:,} filters)" if other else "")
        for error, filters, other in zip(
            texts(table.paper_test_error, "{:g}"), table.paper_filters, others, strict=True
        )
    ]
    columns["", "misfit"] = texts(table.misfit, "{:.1e}")
    columns["", "residual"] = texts(table.residual, "{:.1e}")
    return [Shown("", pd.DataFrame(columns))]


def note_table3(table: pd.DataFrame) -> str:
    """Data, scale, and the meaning of the columns."""
    text = (
        f"Ours: {sources(table)}; {INTERVALS}.\nTargets are 0 and 1 for each class; misfit: |Y − f(X)| / |Y| on "
        "the training images, 0 for an exact fit; residual: relative, in float64, of the linear system that "
        "was solved, which with a penalty or with fewer features than images is not that of an exact fit; both are "
        "the largest of the seeds. The penalty is in units of the mean of the kernel's diagonal."
    )
    if table.chosen.notna().any():
        text += " *: chosen on a validation part of the training set."
    # The rank of a linear kernel is computed where there are few features; it is never above their number.
    most = table["rank"].fillna(table.features.where((table.kernel == "linear") & (table.penalty == 0)))
    least_squares = [
        f"{DATASET_TITLES[row.dataset]}, {preprocessing_title(row)} (rank {row.most:,}"
        f"{'' if pd.notna(row.rank) else ' at most'})"
        for row in table.assign(most=most)[(most < table.images).fillna(False)].itertuples()
    ]
    if least_squares:
        text += (
            " Where the rank of a linear kernel is below the number of images, most labellings have no exact fit, and the "
            f"row shows the least-squares fit: {'; '.join(least_squares)}."
        )
    return f"{text}{not_converged(table)} {PAPER}"


def present_norms(table: pd.DataFrame) -> list[Shown]:
    """Norms of the exact fits of table 3, and those of other exact fits of fewer images."""
    full = table[table.fit == "table3"]
    shown = []
    if len(full):
        columns = model_columns(full)
        columns["", "gamma"] = texts(full.gamma, "{:g}")
        columns["norm", "ours"] = with_intervals(full, "norm", "{:,.1f}")
        columns["norm", "paper"] = texts(full.paper_norm, "{:g}")
        for column, heading in OTHER_NORMS.items():
            columns["norm", heading] = [with_interval(norm, math.nan, "{:,.1f}") for norm in full[column]]
        columns["test error (%)", "ours"] = with_intervals(full, "test_error", "{:.2f}")
        columns["test error (%)", "paper"] = texts(full.paper_test_error, "{:g}")
        shown.append(Shown("Exact fits of minimum norm", pd.DataFrame(columns)))
    for _, some in table[table.fit != "table3"].groupby("model", sort=False):
        columns = {("", "labels and solution"): some.fit.map(FIT_TITLES)}
        heading = "lowest to highest" if some.seeds.max() > 1 else "ours"
        columns["norm", heading] = list(map(lowest_to_highest, some.norm_lowest, some.norm_highest))
        columns["training", "error (%)"] = texts(some.train_error, "{:.2f}")
        columns["test error (%)", "ours"] = with_intervals(some, "test_error", "{:.2f}")
        columns["", "residual"] = texts(some.residual, "{:.1e}")
        first = some.iloc[0]
        title = (
            f"Exact fits of {first.images:,} images, tested on {first.test_images:,}: {DATASET_TITLES[first.dataset]}, "
            f"preprocessing: {preprocessing_title(first)}"
        )
        shown.append(Shown(title, pd.DataFrame(columns)))
    return shown


def note_norms(table: pd.DataFrame) -> str:
    """Data, scale, and what a norm is."""
    return (
        f"Ours: {sources(table)}; {INTERVALS}.\nNorm: the root of the sum over classes of α'Kα, which is the "
        "length of the weights in the kernel's feature space, all classes in one vector, for targets of 0 and "
        "1; the paper does not define its norm. Signed: the same for targets of −1 and 1; number: for the "
        "number of the class as the only target; mean and sum: of the classes' norms. Random points: each "
        "value is that of some training image at its place. Errors are percentages, of training on the labels "
        "to be fitted, of testing on the true labels. Training errors and residuals are the largest of the seeds; norms "
        "of the fits of fewer images go from the lowest seed to the highest."
        f"{not_converged(table)} {PAPER}"
    )


def present_expressivity(table: pd.DataFrame) -> list[Shown]:
    """Theorem 1 (depth 2) and corollary 1 (other depths)."""
    columns: Columns = {("", "labels"): table.labels, ("", "depth"): table.depth.map(str)}
    for column, heading in (("width", "width"), ("parameters", "weights"), ("connections", "connections")):
        columns["", heading] = texts(table[column], "{:,}")
    columns["largest", "error"] = scientific(table.largest_error, 1)
    columns["labels", "fitted (%)"] = texts(table.fitted, "{:g}")
    columns["smallest", "eigenvalue"] = scientific(table.smallest_eigenvalue, 4)
    columns["smallest", "min(x − b)"] = scientific(table.smallest_diagonal, 4)
    columns["condition", "number"] = scientific(table.condition, 1)
    return [Shown("", pd.DataFrame(columns))]


def note_expressivity(table: pd.DataFrame) -> str:
    """Data, scale, and the meaning of the columns."""
    first = table.iloc[0]
    return (
        f"Ours: {sources(table)}; the worst of the seeds; float64.\nn = {first.n:,} images of d = {first.d:,} "
        f"bytes; theorem 1: 2n + d = {2 * first.n + first.d:,} weights. A label is the number of its class; it "
        "is fitted if the output is within 1/2 of it. Connections: nonzero weights and thresholds, including "
        "those fixed to one. Condition number: of the triangular matrix of lemma 1 in the maximum norm; its "
        f"thresholds lie at {first.offset:g} of the way between neighbouring projections. Its eigenvalue is "
        "computed by Arnoldi iteration on the inverse, which is applied by forward substitution."
    )


@registry.table("table3", title="Table 3: linear models that fit the training labels exactly", script="tabulate_theory")
def table3() -> View:
    """The paper's table 3: linear models."""
    return View(TABLE3_COLUMNS, present_table3, note_table3, "does not apply, or not in the paper")


@registry.table("norms", title="Norms: the minimum norm does not predict the test error", script="tabulate_theory")
def norms() -> View:
    """Norms of exact fits."""
    return View(NORMS_COLUMNS, present_norms, note_norms, "not in the paper")


@registry.table("expressivity", title="Theorem 1: 2n + d weights fit any labels", script="tabulate_theory")
def expressivity() -> View:
    """Networks that fit any labels."""
    return View(EXPRESSIVITY_COLUMNS, present_expressivity, note_expressivity)


# ---- parts


def model_columns(table: pd.DataFrame) -> Columns:
    """Data set and preprocessing."""
    return {
        ("", "data set"): table.dataset.map(DATASET_TITLES),
        ("", "preprocessing"): [preprocessing_title(row) for row in table.itertuples()],
    }


def preprocessing_title(row: object) -> str:
    """For example ``random conv-net, 4,000 filters``."""
    filters = getattr(row, "filters", None)
    title = PREPROCESSING_TITLES[row.preprocessing]
    return title if filters is None or pd.isna(filters) else f"{title}, {filters:,} filters"


def scientific(values: pd.Series, digits: int) -> list[str]:
    """Numbers with this many digits after the point; those beyond float64 as a bound."""
    return [MISSING if pd.isna(value) else "> 1e308" if np.isinf(value) else f"{value:.{digits}e}" for value in values]


def not_converged(table: pd.DataFrame) -> str:
    """A sentence on the fits whose solver missed its tolerance; empty if all met it."""
    missed = [
        f"{DATASET_TITLES[row.dataset]}, {preprocessing_title(row)} (residual {row.residual:.1e})"
        for row in table[table.solver.str.contains(NOT_CONVERGED, na=False)].itertuples()
    ]
    return f" Not exact, because the solver did not reach its tolerance: {'; '.join(missed)}." if missed else ""


def starred(value: float, name: str, chosen: str | float) -> str:
    """A setting, with a star if it was chosen on the validation part."""
    if pd.isna(value):
        return MISSING
    return f"{value:g}" + ("*" if isinstance(chosen, str) and name in chosen else "")


def sources(table: pd.DataFrame) -> str:
    """Data and seeds behind a table."""
    return f"{describe_copies(table.data)}; {span(table.seeds, 'seed')}"
