"""Tables on capacity and complexity for readers, with the notes below them."""

import pandas as pd

from rethinking import registry
from rethinking.analysis.descriptions import describe_scale, with_gaps
from rethinking.analysis.rank_correlations import COLUMNS as COMPLEXITY_COLUMNS
from rethinking.analysis.rank_correlations import FEWEST
from rethinking.analysis.statistics import LEVEL
from rethinking.measures.rademacher import COLUMNS as RADEMACHER_COLUMNS
from rethinking.measures.stability import COLUMNS as STABILITY_COLUMNS
from rethinking.paper.titles import MODEL_TITLES
from rethinking.tables.presentation import Columns, View, data_sets, starts_block
from rethinking.tables.rendering import MISSING, Shown, texts, with_intervals

TAU_TITLES = {
    "all": "any difference",
    "data": "only the data differ",
    "network": "only the network differs",
}


def present_complexity(table: pd.DataFrame) -> list[Shown]:
    """Rank correlations of each measure with the gap."""
    columns: Columns = {
        ("", "measure"): [registry.entry("measure", name).title for name in table.measure],
        ("", "source"): list(table.source),
        ("", "cells"): texts(table.cells, "{}"),
    }
    for kind, title in TAU_TITLES.items():
        tau, low, high = (
            [text.replace("-", "−") for text in texts(table[f"tau_{kind}{end}"], "{:.2f}")]
            for end in ("", "_low", "_high")
        )
        columns[title, "τ"] = tau
        columns[title, "interval"] = [
            MISSING if ends[0] == MISSING else " to ".join(ends) for ends in zip(low, high, strict=True)
        ]
    return [Shown("", pd.DataFrame(columns))]


def note_complexity(table: pd.DataFrame) -> str:
    """Data and scale, and what the numbers mean."""
    counts = {kind: int(table[f"tau_{kind}_pairs"].max()) for kind in TAU_TITLES}
    # What network a plug-in's measure is of, its function decides.
    own = " and own ones" if any(registry.entry("measure", name).own for name in table.measure) else ""
    return (
        f"Ours: {table.data.iloc[0]}.\nτ: Kendall's rank correlation (tau-b) of a measure with the "
        "generalisation gap, the accuracy on the training set minus that on test labels corrupted like the "
        "training labels, over pairs of cells of one data set, both averaged over seeds; interval: "
        f"{LEVEL} bootstrap interval over networks, each drawn with all its cells, none where all pairs agree or "
        f"are of fewer than {FEWEST} networks. Pairs: "
        f"{counts['all']} in all, {counts['data']} of one network on differently corrupted data, "
        f"{counts['network']} of different networks or regularisers on the same data. Measures are defined so "
        "that a larger value is more complex; products, norms and bounds are decimal logarithms in the CSV, "
        f"and all but the first two measures{own} are of the network with its batch normalisation folded into its "
        "convolutions. Those with a margin are undefined where less than nine tenths of the training images "
        "are fitted, sharpness where no noise raises the training error by 10 points."
    )


def present_rademacher(table: pd.DataFrame) -> list[Shown]:
    """Rademacher complexity of each network over n, its bound by the number of weights, and the gap."""
    columns = {
        **model_columns(table),
        ("", "images n"): texts(table.n, "{:,}"),
        ("Rademacher complexity", "measured"): with_intervals(table, "rademacher", "{:.2f}"),
        ("Rademacher complexity", "draws"): with_diverged(table.seeds, table.diverged),
        ("Rademacher complexity", "bound"): texts(table.vc_bound, "{:.2f}"),
        ("gap", "on true signs"): with_intervals(table, "gap", "{:.2f}"),
        ("gap", "seeds"): with_diverged(table.gap_seeds, table.gap_diverged),
    }
    return [Shown("", pd.DataFrame(columns))]


def note_rademacher(table: pd.DataFrame) -> str:
    """Data, scale and what is compared."""
    smallest = "" if table.vc_order.isna().all() else f", here at least {table.vc_order.min():,.0f}"
    return (
        f"Ours: {describe_scale(with_gaps(table))}.\nMeasured: twice the training accuracy on random signs, as a fraction, "
        "minus 1. This is the correlation with the signs that training finds, a lower bound on the "
        "complexity; 1 is the largest possible. Mean over the draws of the signs (one per seed) ± half width "
        f"of the {LEVEL} Student-t interval. Bound: root of (2 d ln(e n / d) / n), and 1 for n below "
        "d, with d = W L log2 W, the order of the VC dimension of a network of rectified linear units with W "
        f"weights in L layers (Bartlett et al. 2019){smallest}. Gap: test minus training error, as a fraction, "
        "on the same images with true signs (first half of the classes against the others). The theory bounds "
        f"the gap by the Rademacher complexity, up to a term in 1 / √n."
    )


def present_stability(table: pd.DataFrame) -> list[Shown]:
    """How far the losses of each network move, on true and on random labels, and the gap."""
    columns = {
        **model_columns(table),
        ("", "labels"): table.corruption.str.removesuffix("_labels"),
        ("largest change of the loss", "on test points"): with_intervals(table, "test_change", "{:.2f}"),
        ("largest change of the loss", "on all points"): with_intervals(table, "all_change", "{:.2f}"),
        ("on test points:", "mean change"): with_intervals(table, "mean_change", "{:.3f}"),
        ("on test points:", "other class (%)"): with_intervals(table, "changed_predictions", "{:.2f}"),
        ("", "1 / √n"): texts(table.needed, "{:.3f}"),
        ("gap", "mean"): with_intervals(table, "gap", "{:.2f}"),
        ("gap", "seeds"): with_diverged(table.gap_seeds, table.gap_diverged),
        ("", "replaced"): with_diverged(table.pairs, table.pairs_diverged),
    }
    return [Shown("", pd.DataFrame(columns))]


def note_stability(table: pd.DataFrame) -> str:
    """Data, scale and what is compared."""
    return (
        f"Ours: {describe_scale(with_gaps(table))}.\nOne training example is replaced by one of the test set, and the "
        "network trained again with the same initial weights and order of images. Loss: one minus the "
        "probability that the network assigns to the label, between 0 and 1. Largest over the test points "
        "other than the new example, or over all test and training points; the largest over few replacements "
        "is a lower bound on the uniform stability. Of several replacements of a seed each column has the largest "
        f"number. Means over seeds ± half width of the {LEVEL} Student-t interval. Uniform stability is the largest change on any data, so a large change on random "
        "labels counts for true labels as well; bounds by it (Bousquet and Elisseeff 2002) are informative "
        "where it is ≪ 1 / √n. Gap: test minus training error, as a fraction, on test labels corrupted like "
        "the training labels, over all seeds, also those without a replacement. On a GPU the arithmetic itself "
        "may differ between two trainings."
    )


@registry.table("rademacher", title="Section 2.2: Rademacher complexity", script="measure_capacity")
def rademacher() -> View:
    """What networks fit of random signs."""
    return View(RADEMACHER_COLUMNS, present_rademacher, note_rademacher)


@registry.table("stability", title="Section 2.2: uniform stability", script="measure_capacity")
def stability() -> View:
    """How far one example moves the losses."""
    return View(STABILITY_COLUMNS, present_stability, note_stability)


@registry.table(
    "complexity",
    title="Complexity: does any measure explain the generalisation gap?",
    script="compare_complexity",
)
def complexity() -> View:
    """Rank correlations of measures with the gap."""
    missing = f"not available, the same in all pairs, or of fewer than {FEWEST} cells"
    return View(COMPLEXITY_COLUMNS, present_complexity, note_complexity, missing)


def with_diverged(finished: pd.Series, diverged: pd.Series) -> list[str]:
    """How many finished and how many diverged, for example ``2 (1 diverged)``."""
    return [
        f"{some} ({others} diverged)" if others else str(some) for some, others in zip(finished, diverged, strict=True)
    ]


def model_columns(table: pd.DataFrame) -> Columns:
    """Data set and regularisers (where there are several) and network, the network at the first row of each block."""
    columns = data_sets(table)
    columns["", "model"] = table.model.map(MODEL_TITLES).where(starts_block(table, "model"), "")
    if set(table.regularisers) != {"none"}:
        columns["", "regularisers"] = table.regularisers
    return columns
