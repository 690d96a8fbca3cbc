"""Kendall's rank correlation of measures of complexity with the generalisation gap, over pairs of networks."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rethinking import registry
from rethinking.analysis.aggregation import columns, frame
from rethinking.analysis.runs import CELL_PARTS, NETWORK
from rethinking.analysis.statistics import CONFIDENCE
from rethinking.streams import stream

RESAMPLES = 50_000  # with 2,000 the ends of an interval vary by 0.03 from draw to draw
BATCH = 1000  # of these at a time: all draws of a thousand cells would take a gigabyte of memory
DIGITS = 12  # of the largest value that tell values apart: in floating point 99.9 - 45.5 is more than 100 - 45.6
FEWEST = 4  # cells in pairs from which an order says anything, and networks from which an interval does
# Pairs of cells -> what both have in common: all, those that differ only in labels or pixels, those that agree in both.
PAIRS = {"all": ["dataset"], "data": NETWORK, "network": ["dataset", "corruption"]}
TAUS = [
    group
    for name in (f"tau_{pairs}" for pairs in PAIRS)
    for group in (("float64", f"{name} {name}_low {name}_high"), ("Int64", f"{name}_pairs"))
]
COLUMNS = columns(("str", "measure source"), ("Int64", "cells"), *TAUS, ("str", "data"))


def kendall(x: np.ndarray, y: np.ndarray, groups: np.ndarray) -> float:
    """Kendall's tau-b over pairs within groups: (concordant - discordant) / root of (not tied in x) x (not tied in y).

    Args:
        x: (n,).
        y: (n,).
        groups: (n,), a number for each group; a single group gives scipy.stats.kendalltau.

    Returns:
        nan if there is no pair, or all are tied in x or in y.
    """
    return float(taus(x, y, groups, np.ones((len(x), 1)))[0])


def kendall_intervals(
    x: np.ndarray, y: np.ndarray, kinds: Mapping[str, np.ndarray], networks: np.ndarray, measure: str
) -> dict[str, tuple[float, float]]:
    """Bootstrap percentile interval of :func:`kendall` with each kind of groups, drawn over networks with replacement.

    A measure hardly differs between the cells of one network, so cells are no independent draws: intervals over these
    are too narrow. A network is drawn with all its cells.

    Args:
        x: (n,).
        y: (n,).
        kinds: name -> (n,), as the groups of :func:`kendall`.
        networks: (n,), a number for each network.
        measure: names the stream of the draws.

    Returns:
        (low, high) of each kind. nan where fewer than :data:`FEWEST` networks have a cell in a pair, and where the
        interval has no width: if all pairs agree, they do so in every sample too, which does not make the correlation
        certain.
    """
    names, network_of_cell = np.unique(networks, return_inverse=True)
    n = len(names)
    found: dict[str, list[np.ndarray]] = {
        kind: [] for kind, groups in kinds.items() if len(np.unique(networks[paired(groups)])) >= FEWEST
    }
    intervals = dict.fromkeys(kinds, (math.nan, math.nan))
    if not found:
        return intervals
    draws = stream(0, "bootstrap", measure)
    # A pair counts as often as both of its cells are drawn; within a network these are the same draws, counted once.
    power = {kind: 1 / (1 + within(kinds[kind], network_of_cell)) for kind in found}
    for _ in range(RESAMPLES // BATCH):
        # In float32 the sums below are exact for samples of up to 4,096 cells.
        counts = draws.multinomial(n, np.full(n, 1 / n), size=BATCH).T.astype(np.float32, order="C")
        for kind, parts in found.items():
            parts.append(taus(x, y, kinds[kind], counts[network_of_cell] ** power[kind]))
    tails = [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)]
    for kind, parts in found.items():
        values = np.concatenate(parts).round(6)  # roots are not exact
        values = values[~np.isnan(values)]
        low, high = np.percentile(values, tails) if len(values) else (math.nan, math.nan)
        if low < high:
            intervals[kind] = (float(low), float(high))
    return intervals


def taus(x: np.ndarray, y: np.ndarray, groups: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """:func:`kendall` of samples, (r,), in which each cell occurs as often as (n, r) ``counts`` say.

    A cell drawn twice is paired with the others twice and tied with itself. Values are compared to :data:`DIGITS`.
    """
    x, y = rounded(x), rounded(y)
    # Concordant minus discordant pairs; here and below each counts in both orders.
    balance = np.zeros(counts.shape[1])
    for group in np.unique(groups):
        some = groups == group
        drawn = counts[some]
        over_x, over_y = (np.sign(values[some][:, None] - values[some]) for values in (x, y))
        balance += np.einsum("ir,ir->r", (over_x * over_y).astype(drawn.dtype) @ drawn, drawn)
    pairs = tied(counts, groups)
    possible = np.sqrt((pairs - tied(counts, groups, x)) * (pairs - tied(counts, groups, y)))
    return np.divide(balance, possible, out=np.full(len(balance), np.nan), where=possible > 0)


def rounded(values: np.ndarray) -> np.ndarray:
    """Values, (n,), to :data:`DIGITS` digits of the largest."""
    largest = np.abs(values).max(initial=0)
    return values.round(DIGITS - math.ceil(math.log10(largest))) if largest > 0 else values


def tied(counts: np.ndarray, *keys: np.ndarray) -> np.ndarray:
    """Number of pairs, (r,), that agree in all keys, (n,) each; those of a cell with itself are among them."""
    order = np.lexsort(keys)
    starts = np.any([np.diff(key[order], prepend=np.nan) != 0 for key in keys], axis=0)
    return np.square(np.add.reduceat(counts[order], np.flatnonzero(starts))).sum(axis=0, dtype=float)


def comparable(cells: pd.DataFrame) -> dict[str, np.ndarray]:
    """Cells (rows with the columns of CELL_PARTS) in numbered groups, (n,): each kind compares those of one group."""
    return {kind: cells.groupby(parts, sort=False).ngroup().to_numpy() for kind, parts in PAIRS.items()}


def paired(groups: np.ndarray) -> np.ndarray:
    """Which cells are in a pair, (n,): their group has others."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return sizes[group] > 1


def within(groups: np.ndarray, networks: np.ndarray) -> bool:
    """Whether no group has cells of two networks; both are (n,), a number for each."""
    return len(np.unique(np.stack([groups, networks]), axis=1).T) == len(np.unique(groups))


def count_pairs(groups: np.ndarray) -> int:
    """Number of pairs within groups."""
    return sum(size * (size - 1) // 2 for size in np.unique(groups, return_counts=True)[1])


def correlate(networks: pd.DataFrame, scale: str) -> pd.DataFrame:
    """Rank correlations of all measures with the generalisation gap.

    Args:
        networks: one row per network with ``CELL_PARTS``, ``seed``, ``gap`` and all measures; undefined measures are
            missing values.
        scale: data, epochs and seeds, as :func:`rethinking.analysis.descriptions.describe_scale` has them.

    Returns:
        :data:`COLUMNS`, one row per measure. Measures and gaps are averaged over the seeds of a cell; cells whose
        measure is undefined are left out. ``tau_*`` are over the pairs of :data:`PAIRS`, and missing where fewer than
        :data:`FEWEST` cells are in a pair.
    """
    rows = []
    for measure in registry.entries("measure"):
        name = measure.name
        cells = networks.dropna(subset=["gap", name]).groupby(CELL_PARTS, sort=False)[["gap", name]].mean()
        cells = cells.reset_index()
        row = {
            "measure": name,
            "source": measure.options.get("source", "own"),
            "cells": len(cells),
            "data": scale,
        }
        x, y = cells[name].to_numpy(), cells.gap.to_numpy()
        kinds = comparable(cells)
        # The cells of one network are those that differ in their data alone.
        intervals = kendall_intervals(x, y, kinds, kinds["data"], name)
        for kind, groups in kinds.items():
            low, high = intervals[kind]
            row |= {
                f"tau_{kind}": kendall(x, y, groups) if paired(groups).sum() >= FEWEST else math.nan,
                f"tau_{kind}_low": low,
                f"tau_{kind}_high": high,
                f"tau_{kind}_pairs": count_pairs(groups),
            }
        rows.append(row)
    return frame(rows, COLUMNS)


def weakest_correlation(cells: Sequence[str], gaps: Sequence[float], values: Sequence[float | None]) -> float:
    """The smallest rank correlation over the three kinds of pairs; 0 for a kind in which the measure never differs.

    Args:
        cells: data set/corruption/model/regularisers/seed of each network.
        gaps: generalisation gaps.
        values: of one measure; networks with None are left out.

    Returns:
        nan where fewer than :data:`FEWEST` values are in pairs of one kind: its correlation could be any.
    """
    names = pd.DataFrame([name.split("/")[:4] for name in cells], columns=CELL_PARTS)
    table = names.assign(gap=gaps, value=pd.Series(values, dtype=float)).dropna()
    kinds = comparable(table).values()
    if any(paired(groups).sum() < FEWEST for groups in kinds):
        return math.nan
    found = [kendall(table.value.to_numpy(), table.gap.to_numpy(), groups) for groups in kinds]
    return min(0.0 if math.isnan(tau) else tau for tau in found)
