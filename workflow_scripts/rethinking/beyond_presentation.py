"""What readers see of capacity and complexity: tables of finished text and the notes below them."""

from __future__ import annotations

import pandas as pd

from rethinking.complexity_measures import MEASURES
from rethinking.rendering import MISSING, Shown
from rethinking.statistics import CONFIDENCE

TAU_TITLES = {
    "all": "any difference",
    "data": "only the data differ",
    "network": "only the network differs",
}


def present_complexity(table: pd.DataFrame) -> list[Shown]:
    """Rank correlations of each measure with the gap."""
    columns: dict[tuple[str, str], list[str]] = {
        ("", "measure"): [MEASURES[name].title for name in table.measure],
        ("", "source"): list(table.source),
        ("", "cells"): [str(count) for count in table.cells],
    }
    for kind, title in TAU_TITLES.items():
        rows = [row for _, row in table.iterrows()]
        columns[title, "τ"] = [number(row[f"tau_{kind}"]) for row in rows]
        columns[title, "interval"] = [
            between(row[f"tau_{kind}_low"], row[f"tau_{kind}_high"]) for row in rows
        ]
    return [Shown("", pd.DataFrame(columns))]


def note_complexity(table: pd.DataFrame) -> str:
    """Data and scale, and what the numbers mean."""
    counts = {kind: int(table[f"tau_{kind}_pairs"].max()) for kind in TAU_TITLES}
    return (
        f"Ours: {table.data.iloc[0]}. τ: Kendall's rank correlation (tau-b) of a measure with the generalisation gap, the accuracy "
        "on the training set minus that on test labels corrupted like the training labels, over pairs of cells of one data set, both averaged over seeds; "
        f"interval: {CONFIDENCE:.0%} bootstrap interval over cells. Pairs: {counts['all']} in all, {counts['data']} of one network on "
        f"differently corrupted data, {counts['network']} of different networks or regularisers on the same data. Measures are defined so that a larger value is "
        "more complex; products, norms and bounds are decimal logarithms in the CSV, and all but the first two measures are of the network with its batch normalisation folded into its convolutions. "
        f"Those with a margin are undefined where less than nine tenths of the training images are fitted. {MISSING}: not available, or the same in all pairs."
    )


def number(value: float, form: str = "{:.2f}") -> str:
    """A number, or that there is none."""
    return MISSING if pd.isna(value) else form.format(value).replace("-", "−")


def between(low: float, high: float, form: str = "{:.2f}") -> str:
    """The ends of an interval."""
    return MISSING if pd.isna(low) else f"{number(low, form)} to {number(high, form)}"
