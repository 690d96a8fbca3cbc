"""Rank correlations against scipy's, and over which pairs they are taken."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rethinking import registry
from rethinking.analysis.rank_correlations import comparable, correlate, kendall, kendall_interval

NAMES = [
    "cifar10/true_labels/alexnet/none",
    "cifar10/random_labels/alexnet/none",
    "cifar10/true_labels/mlp_1x512/none",
    "cifar10/random_labels/mlp_1x512/none",
    "cifar10/true_labels/mlp_1x512/wd",
]


def networks(gaps, **measures):
    """One seed of each cell of NAMES; measures that are not given are 0."""
    table = pd.DataFrame(
        [name.split("/") for name in NAMES], columns=["dataset", "corruption", "model", "regularisers"]
    )
    return table.assign(seed=0, gap=gaps, **dict.fromkeys(registry.names("measure"), 0.0) | measures)


@pytest.mark.parametrize("levels", [1000, 4])
def test_over_all_pairs_it_is_scipys(levels):
    rng = np.random.default_rng(0)
    x, y = rng.integers(levels, size=20), rng.integers(levels, size=20)
    expected = stats.kendalltau(x, y).statistic
    assert kendall(x, y, np.ones((20, 20))) == pytest.approx(expected)


def test_of_equal_values_there_is_none():
    assert math.isnan(kendall(np.zeros(5), np.arange(5), np.ones((5, 5))))


def test_pairs_are_those_that_differ_in_data_or_network_alone():
    pairs = comparable(networks([0] * 5))
    found = {
        kind: {(a, b) for a in range(5) for b in range(a) if matrix[a, b]} for kind, matrix in pairs.items()
    }
    assert len(found["all"]) == 10
    assert found["data"] == {(1, 0), (3, 2)}
    assert found["network"] == {(2, 0), (4, 0), (4, 2), (3, 1)}
    two = pd.concat([networks([0] * 5), networks([0] * 5).assign(dataset="mnist")], ignore_index=True)
    assert not any(matrix[:5, 5:].any() for matrix in comparable(two).values())


def test_a_measure_that_sees_the_data_alone_is_told_from_one_that_sees_the_gap():
    gaps = [20.0, 90.0, 40.0, 85.0, 30.0]
    table = correlate(networks(gaps, path_norm=gaps, sharpness=[9.0, 90.0, 1.0, 91.0, 2.0]), "scale")
    table = table.set_index("measure")
    assert table.loc["path_norm", ["tau_all", "tau_data", "tau_network"]].tolist() == [1, 1, 1]
    assert table.loc["sharpness", ["tau_data", "tau_network"]].tolist() == [1, -1]
    assert table.loc["parameters", ["tau_all", "tau_data"]].isna().all()
    assert table.loc["path_norm", ["tau_all_pairs", "tau_network_pairs"]].tolist() == [10, 4]
    assert set(table.data) == {"scale"}


def test_seeds_are_averaged_and_undefined_measures_left_out():
    first = networks([20.0, 90.0, 40.0, 85.0, 30.0], path_norm=[1, 2, 3, 4, math.nan])
    second = first.assign(seed=1, gap=first.gap + 2, path_norm=[100, 2, 3, 4, math.nan])
    second.loc[0, "gap"] = math.nan  # it diverged
    table = correlate(pd.concat([first, second]), "").set_index("measure")
    assert (table.cells["path_norm"], table.cells["sharpness"]) == (4, 5)
    expected = stats.kendalltau([1, 2, 3, 4], [20, 90, 40, 85]).statistic
    assert table.tau_all["path_norm"] == pytest.approx(expected)


def test_no_network_leaves_a_table_without_numbers():
    table = correlate(networks([0] * 5).iloc[:0], "no network is trained yet")
    assert len(table) == len(registry.names("measure"))
    assert table.tau_all.isna().all()


def test_interval_is_that_of_resampled_cells():
    """Against a loop with scipy on pairs without those of a cell with itself, which tau-b takes as ties."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=15)
    y = x + rng.normal(size=15)
    low, high = kendall_interval(x, y, np.ones((15, 15)), "path_norm")
    taus = []
    for _ in range(2000):
        some = rng.integers(15, size=15)
        taus.append(stats.kendalltau(x[some], y[some]).statistic)
    assert (low, high) == pytest.approx(tuple(np.percentile(taus, [2.5, 97.5])), abs=0.035)
    pair = np.zeros((15, 15))
    pair[0, 1] = pair[1, 0] = 1  # samples without these two say nothing
    assert kendall_interval(np.arange(15), np.arange(15), pair, "path_norm") == (1, 1)
    assert all(math.isnan(end) for end in kendall_interval(x[:9], y[:9], np.ones((9, 9)), "path_norm"))
