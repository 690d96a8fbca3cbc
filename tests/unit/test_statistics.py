"""Intervals against scipy's, and rank correlations by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from rethinking.analysis.statistics import mean_interval, rank_correlation


def test_equals_scipy():
    values = [85.1, 86.3, 85.75, 84.9]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    mean, half_width = mean_interval(values)
    assert mean == pytest.approx(np.mean(values))
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high))


def test_equal_values_have_no_width():
    assert mean_interval([100.0, 100.0]) == (100.0, 0.0)
    assert mean_interval([99.1] * 3) == (99.1, 0.0)  # whose sum is rounded: it could miss a bound of 99.1


def test_rounded_values_vary_by_at_least_what_rounding_does():
    # t(0.975, 2) = 4.302653; rounding to whole numbers has the variance 1/12.
    assert mean_interval([7, 7, 7], step=1) == pytest.approx((7, 4.302653 / math.sqrt(12 * 3)))
    assert mean_interval([6, 7, 9], step=1) == mean_interval([6, 7, 9])
    assert math.isnan(mean_interval([7], step=1)[1])


def test_one_and_no_value():
    mean, half_width = mean_interval([42.0])
    assert mean == 42.0
    assert math.isnan(half_width)
    assert all(math.isnan(value) for value in mean_interval([]))


@pytest.mark.parametrize(
    ("values", "correlation"),
    [
        ([1, 2, 5], 1),
        ([5, 2, 1], -1),
        ([1, 3, 2], 0.5),  # 1 - 6 (0 + 1 + 1) / (3 (9 - 1))
        ([1, 1, 2], math.sqrt(3) / 2),  # ranks 1.5, 1.5, 3
        ([1, 1, 2, 3], math.sqrt(0.9)),  # ranks 1.5, 1.5, 3, 4
    ],
)
def test_rank_correlation_by_hand(values, correlation):
    assert rank_correlation(values) == pytest.approx(correlation)


@pytest.mark.parametrize("values", [[], [3.0], [2.0, 2.0]])
def test_rank_correlation_of_nothing_that_varies_is_missing(values):
    assert math.isnan(rank_correlation(values))
