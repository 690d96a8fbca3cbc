"""Claims of section 4 and appendix C: a network with 2n + d weights fits any labels of n images."""

import math
from collections.abc import Callable

import numpy as np

from rethinking.claims.forms import Claim
from rethinking.claims.measures import NotMeasured
from rethinking.claims.records import Record, exact, value
from rethinking.claims.verdicts import Check


def eigenvalue_error(network: Record) -> float:
    """How far the smallest eigenvalue divided by the smallest x - b is from 1."""
    if math.isnan(network["smallest_eigenvalue"]):
        raise NotMeasured(
            "the smallest eigenvalue could not be computed, because rounding hides it: the x − b differ too little, or the "
            "matrix is badly conditioned, as with expressivity.offset from 0.5 on"
        )
    return abs(network["smallest_eigenvalue"] / network["smallest_diagonal"] - 1)


def of_networks(
    label: str,
    measure: Callable[[Record], float],
    deep: bool = False,
    worst: Callable = np.max,
    **bounds: float,
) -> Check:
    """A check of the worst of the networks of theorem 1, which have depth 2, or of the deep ones of corollary 1."""

    def worst_of_them(record: Record) -> float:
        measured = [measure(each) for each in record["networks"] if (each["depth"] > 2) == deep]
        return float(worst(measured)) if measured else math.nan  # NumPy's extremes keep nan

    return exact(label, worst_of_them, "expressivity", **bounds)


EXPRESSIVITY = (
    Claim(
        "finite_sample_expressivity",
        "A two-layer ReLU network with 2n + d weights fits any labels of n images in d dimensions.",
        "section 4, theorem 1",
        "true and random labels: 0 weights more than 2n + d, largest error ≤ 0.01 (labels are whole numbers)",
        (
            of_networks(
                "weights beyond 2n + d", lambda each: each["parameters"] - 2 * each["n"] - each["d"], at_most=0
            ),
            of_networks("largest error", value("largest_error"), at_most=0.01),
        ),
    ),
    Claim(
        "smallest_eigenvalue",
        "The triangular matrix has full rank; its smallest eigenvalue is the least distance of a projection "
        "from its threshold.",
        "appendix C, lemma 1",
        "computed smallest eigenvalue divided by min(x − b) differs from 1 by ≤ 1e-6; min(x − b) > 0",
        (
            of_networks("ratio − 1", eigenvalue_error, at_most=1e-6),
            of_networks("min(x − b)", value("smallest_diagonal"), worst=np.min, above=0),
        ),
    ),
    Claim(
        "depth_for_width",
        "A ReLU network of depth k with width O(n / k) and O(n + d) weights fits any labels as well.",
        "section 4, appendix C, corollary 1",
        "all depths: width ≤ 6 n / k, weights ≤ 9 (n + d), largest error ≤ 0.01",
        (
            # The constants of the construction: see its width and connections.
            of_networks("width k / n", lambda each: each["width"] * each["depth"] / each["n"], deep=True, at_most=6),
            of_networks(
                "weights / (n + d)", lambda each: each["connections"] / (each["n"] + each["d"]), True, at_most=9
            ),
            of_networks("largest error", value("largest_error"), deep=True, at_most=0.01),
        ),
    ),
)
