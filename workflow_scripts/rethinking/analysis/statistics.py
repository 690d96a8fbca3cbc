"""Means over seeds and their confidence intervals."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import stdtrit  # not scipy.stats, whose import takes a second

CONFIDENCE = 0.95  # probability that an interval covers the true mean
LEVEL = f"{100 * CONFIDENCE:g} %"  # the same for readers


def mean_interval(values: Sequence[float], step: float = 0.0) -> tuple[float, float]:
    """Mean and half width of its Student-t interval at :data:`CONFIDENCE`, in the unit of the values.

    Args:
        values: one value per seed, taken as independent draws from a normal distribution.
        step: to which they are rounded. They vary by at least what rounding does, step^2 / 12: where all agree, the
            spread that is seen is 0, but not the one that is there.

    Returns:
        (mean, half width); the half width of one value is nan, both are nan for none.
    """
    n = len(values)
    if n == 0:
        return math.nan, math.nan
    if n == 1:
        return float(values[0]), math.nan
    agree = all(value == values[0] for value in values)
    # Exactly where they agree: a rounded mean can lie on the other side of a bound.
    mean = float(values[0] if agree else np.mean(values))
    deviation = 0.0 if agree else float(np.std(values, ddof=1))
    standard_error = np.maximum(deviation, step / math.sqrt(12)) / math.sqrt(n)  # keeps nan
    return mean, float(stdtrit(n - 1, (1 + CONFIDENCE) / 2) * standard_error)


def interval_ends(
    mean: ArrayLike, half_width: ArrayLike, lowest: float = -math.inf, highest: float = math.inf
) -> tuple[Any, Any]:
    """The ends of an interval, without what is below the lowest or above the highest value that can be; nan if it has none.

    Of arrays of means and half widths, arrays of ends.
    """
    low, high = np.clip([mean - half_width, mean + half_width], lowest, highest)
    return low, high


def rank_correlation(values: Sequence[float]) -> float:
    """Spearman's rank correlation of values with their order: 1 if they only rise, -1 if they only fall.

    Ties share their mean rank. nan if there are fewer than two different values.
    """
    if len(set(values)) < 2:
        return math.nan
    return float(np.corrcoef(pd.Series(values).rank(), np.arange(len(values)))[0, 1])
