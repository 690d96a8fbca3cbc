"""Kendall's rank correlation of measures of complexity with the generalisation gap, over pairs of networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from rethinking import registry
from rethinking.analysis.aggregation import columns, frame
from rethinking.analysis.runs import CELL_PARTS
from rethinking.analysis.statistics import CONFIDENCE
from rethinking.streams import stream

RESAMPLES = 50_000  # with 2,000 the ends of an interval vary by 0.03 from draw to draw
FEWEST = 4  # cells with which an order says anything
FEWEST_RESAMPLED = 10  # cells: intervals of fewer collapse where all pairs agree
# Which pairs of cells are compared: all, those that differ only in labels or pixels, those that agree in both.
PAIRS = ("all", "data", "network")
TAUS = [
    group
    for name in (f"tau_{pairs}" for pairs in PAIRS)
    for group in (("float64", f"{name} {name}_low {name}_high"), ("Int64", f"{name}_pairs"))
]
COLUMNS = columns(("str", "measure source"), ("Int64", "cells"), *TAUS, ("str", "data"))


def kendall(x: np.ndarray, y: np.ndarray, pairs: np.ndarray) -> float:
    """Kendall's tau-b over some pairs: (concordant - discordant) / root of (not tied in x) x (not tied in y).

    Args:
        x: (n,).
        y: (n,).
        pairs: symmetric (n, n), the weight of each pair; ones give scipy.stats.kendalltau.

    Returns:
        nan if no pair counts, or all are tied in x or in y.
    """
    return float(taus(x, y, pairs, np.ones((1, len(x))))[0])


def kendall_interval(x: np.ndarray, y: np.ndarray, pairs: np.ndarray, measure: str) -> tuple[float, float]:
    """Bootstrap percentile interval of :func:`kendall`, the n cells drawn with replacement.

    ``measure`` names the stream of the draws. nan for fewer than :data:`FEWEST_RESAMPLED` cells.
    """
    n = len(x)
    if n < FEWEST_RESAMPLED:
        return math.nan, math.nan
    counts = stream(0, "bootstrap", measure).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)
    found = taus(x, y, pairs, counts)
    if np.isnan(found).all():
        return math.nan, math.nan
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(found[~np.isnan(found)], [tail, 100 - tail])
    return float(low), float(high)


def taus(x: np.ndarray, y: np.ndarray, pairs: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """:func:`kendall` of samples, (r,), in which each cell occurs as often as (r, n) ``counts`` say."""
    over_x, over_y = (np.sign(values[:, None] - values[None, :]) for values in (x, y))

    def weigh(matrix: np.ndarray) -> np.ndarray:
        # A cell drawn twice is paired with the others twice and tied with itself.
        return np.einsum("ri,ri->r", counts @ (pairs * matrix), counts)

    possible = np.sqrt(weigh(over_x**2) * weigh(over_y**2))
    return np.divide(weigh(over_x * over_y), possible, out=np.full(len(counts), np.nan), where=possible > 0)


def comparable(cells: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which cells (rows with the columns of CELL_PARTS) each kind of pairs compares: symmetric (n, n) of 0 and 1."""
    same = {part: cells[part].to_numpy()[:, None] == cells[part].to_numpy()[None, :] for part in CELL_PARTS}
    network = same["model"] & same["regularisers"]
    kinds = {
        "all": same["dataset"],
        "data": same["dataset"] & network & ~same["corruption"],
        "network": same["dataset"] & same["corruption"] & ~network,
    }
    return {name: (kind & ~np.eye(len(cells), dtype=bool)).astype(float) for name, kind in kinds.items()}


def correlate(networks: pd.DataFrame, scale: str) -> pd.DataFrame:
    """Rank correlations of all measures with the generalisation gap.

    Args:
        networks: one row per network with ``CELL_PARTS``, ``seed``, ``gap`` and all measures; undefined measures are
            missing values.
        scale: data, epochs and seeds, as :func:`rethinking.analysis.aggregation.describe_scale` has them.

    Returns:
        :data:`COLUMNS`, one row per measure. Measures and gaps are averaged over the seeds of a cell; cells whose
        measure is undefined are left out. ``tau_*`` are over the pairs of :data:`PAIRS`.
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
        for kind, pairs in comparable(cells).items():
            low, high = kendall_interval(x, y, pairs, name)
            row |= {
                f"tau_{kind}": kendall(x, y, pairs),
                f"tau_{kind}_low": low,
                f"tau_{kind}_high": high,
                f"tau_{kind}_pairs": int(pairs.sum()) // 2,
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
        nan where there are fewer than :data:`FEWEST` values, or no pair of one kind: its correlation could be any.
    """
    names = pd.DataFrame([name.split("/")[:4] for name in cells], columns=CELL_PARTS)
    table = names.assign(gap=gaps, value=pd.Series(values, dtype=float)).dropna()
    kinds = comparable(table).values()
    if len(table) < FEWEST or not all(pairs.any() for pairs in kinds):
        return math.nan
    taus = [kendall(table.value.to_numpy(), table.gap.to_numpy(), pairs) for pairs in kinds]
    return min(0.0 if math.isnan(tau) else tau for tau in taus)
