"""Rank correlations against scipy's, and over which pairs they are taken."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rethinking import registry
from rethinking.analysis import rank_correlations
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


@pytest.mark.parametrize("scale", [1, 1e-9, 1e9])
def test_values_that_floating_point_tells_apart_are_tied(scale):
    gaps = np.array([99.9 - 45.5, 100 - 45.6, 60.0, 70.0])
    assert gaps[0] != gaps[1]
    order, groups = np.arange(4.0), np.zeros(4)
    expected = stats.kendalltau(order, [54.4, 54.4, 60, 70]).statistic
    for x, y in ((order, scale * gaps), (scale * gaps, order)):
        assert kendall(x, y, groups) == pytest.approx(expected)
    networks = np.arange(4)
    exact = kendall_intervals(order, np.array([54.4, 54.4, 60, 70]), {"all": groups}, networks, "path_norm")
    assert kendall_intervals(order, gaps, {"all": groups}, networks, "path_norm") == exact


def test_of_equal_values_there_is_none():
    assert math.isnan(kendall(np.zeros(5), np.arange(5), np.zeros(5)))


def test_pairs_are_those_that_differ_in_data_or_network_alone():
    kinds = comparable(networks([0] * 5))
    found = {
        kind: {(a, b) for a in range(5) for b in range(a) if groups[a] == groups[b]} for kind, groups in kinds.items()
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
    assert table.filter(like="_low").isna().all(axis=None)  # five cells, but three networks
    assert set(table.data) == {"scale"}


def test_seeds_are_averaged_and_undefined_measures_left_out():
    first = networks([20.0, 90.0, 40.0, 85.0, 30.0], path_norm=[1, 2, 3, 4, math.nan])
    second = first.assign(seed=1, gap=first.gap + 2, path_norm=[100, 2, 3, 4, math.nan])
    second.loc[0, "gap"] = math.nan  # it diverged
    table = correlate(pd.concat([first, second]), "").set_index("measure")
    assert (table.cells["path_norm"], table.cells["sharpness"]) == (4, 5)
    expected = stats.kendalltau([1, 2, 3, 4], [20, 90, 40, 85]).statistic
    assert table.tau_all["path_norm"] == pytest.approx(expected)


def test_pairs_of_fewer_than_four_cells_have_no_tau():
    """Two cells are always in some order, and three in one of six."""
    gaps = [20.0, 90.0, 40.0, 85.0, 30.0]
    some = networks(gaps, path_norm=gaps)
    for number in (2, 3, 4):
        found = correlate(some.iloc[:number], "").set_index("measure").loc["path_norm"]
        assert found.tau_all_pairs == number * (number - 1) / 2
        assert math.isnan(found.tau_all) == (number < 4)
    found = correlate(some.drop(index=3), "").set_index("measure").loc["path_norm"]
    assert (found.tau_all, found.tau_all_pairs, found.tau_data_pairs) == (1, 6, 1)
    assert found[["tau_data", "tau_network"]].isna().all()


def test_no_network_leaves_a_table_without_numbers():
    table = correlate(networks([0] * 5).iloc[:0], "none of these networks is trained yet")
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


def test_interval_is_that_of_resampled_networks():
    """Networks of one cell, against a loop with scipy on pairs without those of a cell with itself, which are ties."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=15)
    y = x + rng.normal(size=15)
    networks = np.arange(15)
    found = kendall_intervals(x, y, {"all": np.zeros(15)}, networks, "path_norm")
    resampled = []
    for _ in range(2000):
        some = rng.integers(15, size=15)
        resampled.append(stats.kendalltau(x[some], y[some]).statistic)
    assert found["all"] == pytest.approx(tuple(np.percentile(resampled, [2.5, 97.5])), abs=0.035)
    two = np.array([0, 0, 2, 2])  # these two pairs agree, and samples without either say nothing
    x, y = np.arange(4), np.array([1, 0, 3, 2])
    few = kendall_intervals(x, y, {"all": np.zeros(4), "pairs": two}, networks[:4], "path_norm")
    assert few["all"] == (-1, 1)  # many samples have two of the cells alone
    assert all(map(math.isnan, few["pairs"]))


def test_a_network_that_is_drawn_twice_has_its_pairs_twice():
    """Against a loop in which each copy of a network is one of its own."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 48))
    networks = np.repeat(range(12), 4)
    low, high = kendall_intervals(x, y, {"data": networks}, networks, "path_norm")["data"]
    cells, resampled = np.arange(48).reshape(12, 4), []
    for _ in range(2000):
        some = cells[rng.integers(12, size=12)]
        resampled.append(kendall(x[some].ravel(), y[some].ravel(), networks))
    assert (low, high) == pytest.approx(tuple(np.percentile(resampled, [2.5, 97.5])), abs=0.05)


def test_pairs_of_three_networks_have_no_interval_however_many_cells():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 20))
    for number, none in ((4, False), (3, True)):
        networks = np.arange(20) % number
        found = kendall_intervals(x, y, {"all": np.zeros(20), "data": networks}, networks, "path_norm")
        assert [math.isnan(low) for low, _ in found.values()] == [none, none]
    networks[-1] = 3  # a fourth network with one cell, which no other has on other data
    found = kendall_intervals(x, y, {"all": np.zeros(20), "data": networks}, networks, "path_norm")
    assert [math.isnan(low) for low, _ in found.values()] == [False, True]


@pytest.mark.parametrize("kind", ["all", "data", "network"])
def test_interval_covers_the_truth_where_a_measure_hardly_differs_within_a_network(monkeypatch, kind):
    """Eight networks on five corruptions; measure and gap are independent, nine tenths of their variance of the network.

    Of intervals over cells, 64 % (all pairs) and 73 % (those of networks) hold 0.
    """
    monkeypatch.setattr(rank_correlations, "RESAMPLES", rank_correlations.BATCH)
    rng = np.random.default_rng(3)
    network, corruption = np.divmod(np.arange(40), 5)
    groups = {"all": np.zeros(40), "data": network, "network": corruption}[kind]
    covered = []
    for _ in range(100):
        x, y = (0.9**0.5 * rng.normal(size=8)[network] + 0.1**0.5 * rng.normal(size=40) for _ in "xy")
        low, high = kendall_intervals(x, y, {kind: groups}, network, "path_norm")[kind]
        covered.append(low <= 0 <= high)
    assert np.mean(covered) >= 0.88


def test_interval_covers_the_truth_of_groups_that_mostly_agree(monkeypatch):
    """Four networks on five corruptions each, drawn from a known tau; pairs that all agree do not show that it is 1."""
    monkeypatch.setattr(rank_correlations, "RESAMPLES", rank_correlations.BATCH)
    rng, truth = np.random.default_rng(3), 0.9
    slope = math.sin(math.pi * truth / 2)
    networks = np.repeat(range(4), 5)
    intervals = []
    for _ in range(100):
        x, noise = rng.normal(size=(2, 20))
        y = slope * x + math.sqrt(1 - slope**2) * noise
        intervals.append(kendall_intervals(x, y, {"data": networks}, networks, "path_norm")["data"])
    found = [interval for interval in intervals if not math.isnan(interval[0])]
    assert 10 < len(found) < 100
    assert sum(low <= truth <= high for low, high in found) >= 0.9 * len(found)
