"""Which numbers a measure can give: to which step they are rounded, as accuracies are to one image, and their ends.

Seeds that agree have varied by less than the step, and an interval ends where the numbers do.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from rethinking.analysis.rank_correlations import comparable, count_pairs
from rethinking.analysis.runs import CELL_PARTS, Run

FLOAT32 = 2.0**-23  # the step of float32 near 1, in which losses and probabilities are computed
# What numbers a measure can give: rounded to a step, 0 if it is not known, and from a lowest to a highest.
PossibleValues = tuple[float, float, float]
UNKNOWN: PossibleValues = (0.0, -math.inf, math.inf)
Part = float | Callable[..., float]  # of these; a function takes what the measure takes


def measured(step: Part = 0.0, lowest: Part = -math.inf, highest: Part = math.inf) -> Callable[[Callable], Callable]:
    """Declare the :data:`PossibleValues` of a measure."""

    def declare(measure: Callable[..., float]) -> Callable[..., float]:
        measure.possible_values = step, lowest, highest
        return measure

    return declare


def possible_values(measure: Callable[..., float], taken_of: Sequence[Any]) -> PossibleValues:
    """Those of a measure, of what it is taken of; of one that declares none they are not known."""
    parts = getattr(measure, "possible_values", UNKNOWN)
    return tuple(part(*taken_of) if callable(part) else part for part in parts)


# ---- steps; that of a sum or difference has the variance of all its parts


def train_step(run: Run, *_: Run) -> float:
    """One training image, percent."""
    return 100 / run.summary["data"]["train"]["count"]


def test_step(*runs: Run) -> float:
    """One test image in each of several accuracies, percent."""
    return math.hypot(*(100 / run.summary["data"]["test"]["count"] for run in runs))


def gap_step(*runs: Run) -> float:
    """One training and one test image of each network, percent."""
    return math.hypot(test_step(*runs), *map(train_step, runs))


def order_step(*runs: Run) -> float:
    """By how much a rank correlation changes where two neighbours change places."""
    n = len(runs)
    return 12 / (n * (n * n - 1))


def tau_step(*runs: Run) -> float:
    """By how much Kendall's changes with the order of one pair, of the kind of which there are fewest."""
    cells = pd.DataFrame([run.summary["cell"].split("/")[:4] for run in runs], columns=CELL_PARTS)
    return 2 / min(map(count_pairs, comparable(cells).values()))
