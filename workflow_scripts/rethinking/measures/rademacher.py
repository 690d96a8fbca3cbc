"""Empirical Rademacher complexity (section 2.2) by training on random signs, and its bound by the number of weights.

The complexity of a class of functions with values -1 and +1 on n points is the mean over random signs s of the largest
mean of s_i h(x_i). Training finds one h, so the measured value is a lower bound; the largest possible value is 1. The
complexity bounds the generalisation gap in the fraction of errors, up to a term in 1 / root n; at 1 it bounds nothing.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rethinking.analysis.aggregation import aggregate_cell, by_name, columns, frame
from rethinking.analysis.runs import cell_parts
from rethinking.analysis.statistics import mean_interval
from rethinking.cells import Cell, sample_size

COLUMNS = columns(
    ("str", "dataset model regularisers"),
    ("Int64", "n"),
    ("float64", "rademacher rademacher_ci"),
    ("Int64", "seeds diverged"),
    ("float64", "gap gap_ci"),
    ("Int64", "gap_seeds gap_diverged"),
    ("Int64", "parameters depth"),
    ("float64", "vc_order vc_bound"),
    ("Int64", "epochs gap_epochs"),
    ("str", "data"),
)


def rademacher_table(
    cells: Sequence[str], summaries: Sequence[Mapping[str, Any]], depths: Mapping[str, int]
) -> pd.DataFrame:
    """Rademacher complexity and generalisation gap of each network and number n of images.

    Args:
        cells: names without seeds; those with signs as labels are taken.
        summaries: contents of ``summary.json`` of any of their seeds.
        depths: layers with weights on the longest path through each network, by model.

    Returns:
        :data:`COLUMNS`. ``rademacher``: mean over the draws of the signs, one per seed, and half width of its interval;
        ``gap``: test minus training error, as a fraction, on the true signs of the same images; ``seeds``, ``diverged``
        and ``epochs`` are of the networks on random signs, with ``gap_`` of those on true ones; ``vc_order``: W L log2 W;
        ``vc_bound``: the bound on the complexity that follows from it (:func:`massart_bound`).
    """
    found = defaultdict(list, by_name(summaries))
    rows = {}
    for name in cells:
        cell = Cell.from_name(name, seed=0)
        n = sample_size(cell.corruption)
        if n is None:
            continue
        signs = {kind: name.replace(cell.corruption, f"{kind}_signs_n{n}") for kind in ("random", "true")}
        random, true = (aggregate_cell(signs[kind], found[signs[kind]], {}) for kind in ("random", "true"))
        parameters, depth = random["parameters"] or true["parameters"], depths.get(cell.model)
        order = vc_order(parameters, depth) if parameters and depth else None
        finished = [each for each in found[signs["true"]] if each["status"] == "finished"]
        gap, gap_ci = mean_interval([(each["train_accuracy"] - each["test_accuracy"]) / 100 for each in finished])
        rows[signs["random"]] = {
            **cell_parts(cell.name),
            "n": n,
            "rademacher": 2 * random["train_accuracy"] / 100 - 1,
            "rademacher_ci": 2 * random["train_accuracy_ci"] / 100,
            "gap": gap,
            "gap_ci": gap_ci,
            **{key: random[key] for key in ("seeds", "diverged", "epochs")},
            **{f"gap_{key}": true[key] for key in ("seeds", "diverged", "epochs")},
            "parameters": parameters,
            "depth": depth,
            "vc_order": order,
            "vc_bound": massart_bound(order, n) if order else None,
            "data": random["data"] or true["data"],
        }
    return frame(list(rows.values()), COLUMNS)


def vc_order(parameters: int, depth: int) -> float:
    """W L log2 W, the order of the VC dimension of a network of rectified linear units.

    Bartlett, Harvey, Liaw and Mehrabian (2019): with W weights in L layers the VC dimension is at most a constant times
    W L log W, and there are networks for which it is a constant times W L log(W / L).
    """
    return parameters * depth * math.log2(parameters)


def massart_bound(dimension: float, n: int) -> float:
    """Bound on the Rademacher complexity on n points by the VC dimension d: root of 2 d log(e n / d) / n, at most 1.

    From Massart's finite class lemma and Sauer's lemma. For n <= d the points may be shattered, and the bound is 1.
    """
    if n <= dimension:
        return 1.0
    return min(1.0, math.sqrt(2 * dimension * math.log(math.e * n / dimension) / n))
