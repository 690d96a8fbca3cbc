"""Rank correlations against scipy's, and over which pairs they are taken."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rethinking import registry
from rethinking.analysis.rank_correlations import (
    comparable,
    correlate,
    count_pairs,
    kendall,
    kendall_intervals,
    taus,
)

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
    assert kendall(x, y, np.zeros(20)) == pytest.approx(expected)


def test_of_equal_values_there_is_none():
    assert math.isnan(kendall(np.zeros(5), np.arange(5), np.zeros(5)))


def test_pairs_are_those_that_differ_in_data_or_network_alone():
    kinds = comparable(networks([0] * 5))
    found = {
        kind: {(a, b) for a in range(5) for b in range(a) if groups[a] == groups[b]}
        for kind, groups in kinds.items()
    }
    assert len(found["all"]) == 10
    assert found["data"] == {(1, 0), (3, 2)}
    assert found["network"] == {(2, 0), (4, 0), (4, 2), (3, 1)}
    assert {kind: count_pairs(groups) for kind, groups in kinds.items()} == {
        kind: len(pairs) for kind, pairs in found.items()
    }
    two = pd.concat([networks([0] * 5), networks([0] * 5).assign(dataset="mnist")], ignore_index=True)
    assert not any(set(groups[:5]) & set(groups[5:]) for groups in comparable(two).values())


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


@pytest.mark.parametrize("levels", [1000, 3])
def test_of_samples_it_is_that_of_their_pairs(levels):
    """Against a loop over the pairs within groups, with ties in few levels."""
    rng = np.random.default_rng(2)
    x, y = rng.integers(levels, size=12), rng.integers(levels, size=12)
    groups, counts = rng.integers(3, size=12), rng.multinomial(12, np.full(12, 1 / 12), size=5).T
    for sample, found in zip(counts.T, taus(x, y, groups, counts), strict=True):
        cells = np.repeat(np.arange(12), sample)
        pairs = [(a, b) for a, b in itertools.combinations(cells, 2) if groups[a] == groups[b]]
        over_x, over_y = (np.sign([values[a] - values[b] for a, b in pairs]) for values in (x, y))
        assert found == pytest.approx(over_x @ over_y / math.sqrt(over_x @ over_x * (over_y @ over_y)))


def test_interval_is_that_of_resampled_cells():
    """Against a loop with scipy on pairs without those of a cell with itself, which tau-b takes as ties."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=15)
    y = x + rng.normal(size=15)
    two = np.arange(15)
    two[1] = 0  # samples without these two say nothing
    found = kendall_intervals(x, y, {"all": np.zeros(15)}, "path_norm")
    resampled = []
    for _ in range(2000):
        some = rng.integers(15, size=15)
        resampled.append(stats.kendalltau(x[some], y[some]).statistic)
    assert found["all"] == pytest.approx(tuple(np.percentile(resampled, [2.5, 97.5])), abs=0.035)
    few = kendall_intervals(
        np.arange(4), np.array([1, 0, 3, 2]), {"all": np.zeros(4), "pair": two[:4]}, "path_norm"
    )
    assert few["all"] == (-1, 1)  # many samples have two of the cells alone
    assert all(map(math.isnan, few["pair"]))


def test_interval_covers_the_truth_of_groups_that_mostly_agree():
    """Three networks on five corruptions each, drawn from a known tau; pairs that all agree do not show that it is 1."""
    rng, truth = np.random.default_rng(3), 0.9
    slope = math.sin(math.pi * truth / 2)
    groups = np.repeat(range(3), 5)
    intervals = []
    for _ in range(40):
        x, noise = rng.normal(size=(2, 15))
        y = slope * x + math.sqrt(1 - slope**2) * noise
        intervals.append(kendall_intervals(x, y, {"data": groups}, "path_norm")["data"])
    found = [interval for interval in intervals if not math.isnan(interval[0])]
    assert 10 < len(found) < 40
    assert sum(low <= truth <= high for low, high in found) >= 0.9 * len(found)
