"""Times to overfit of constructed curves."""

import math

import numpy as np
import pytest

from rethinking.analysis.statistics import mean_interval
from rethinking.analysis.time_to_fit import epochs_to_fit, times_to_overfit

from .curves import make_run

MLP = "cifar10/{}/mlp_1x512/none".format
TRUE, HALF, RANDOM = MLP("true_labels"), MLP("labels_p0.5"), MLP("random_labels")
NOT_FITTED = (("accuracy", 98.0), ("loss", 0.5))
PAPER = {"mlp_1x512": np.array([[0.0, 1.0], [0.5, 1.786], [1.0, 1.964]])}


def fitted_after(epochs, name=TRUE, seed=0, length=40, lag=0, **options):
    """A run that is fitted by every threshold at an epoch and, where ``epochs`` is None, never.

    The means over a whole epoch get there ``lag`` epochs after the averages at its end.
    """
    columns = {}
    for ending, delay in (("_end", 0), ("", lag)):
        accuracy, loss = np.full(length, 98.0), np.full(length, 0.5)
        if epochs is not None:
            accuracy[epochs + delay :], loss[epochs + delay :] = 100.0, 0.0
        columns |= {f"train_accuracy{ending}": accuracy, f"train_loss{ending}": loss}
    return make_run(name, seed, **columns, **options)


def times(runs, threshold="99 %"):
    table = times_to_overfit(runs, PAPER)
    return table[table.threshold == threshold].set_index("p")


@pytest.mark.parametrize(("threshold", "epoch"), [("100 %", 5), ("99.9 %", 4), ("99 %", 3), ("loss 0.1", 2)])
@pytest.mark.parametrize(("kind", "column"), [("", "train_{}"), (" at end", "train_{}_end")])
def test_first_whole_epoch_at_each_threshold(kind, column, threshold, epoch):
    # The untrained network, epoch 0, is not an epoch of training.
    accuracy = [100.0, 98.9, 98.99, 99.0, 99.9, 100.0, 90.0]
    loss = [0.0, 0.11, 0.1, 0.2, 0.3, 0.4, 0.5]
    # By the other kind of average it is never fitted.
    columns = {f"train_{name}{end}": [value] * 7 for name, value in NOT_FITTED for end in ("", "_end")}
    columns |= {column.format("accuracy"): accuracy, column.format("loss"): loss}
    assert epochs_to_fit(make_run(TRUE, **columns), threshold + kind) == epoch


def test_never_reached_and_diverged():
    assert epochs_to_fit(fitted_after(None), "99 %") is None
    assert epochs_to_fit(fitted_after(3, diverged=True), "99 %") is None


def test_ratios_are_paired_by_seed():
    runs = {
        TRUE: [fitted_after(10, seed=0), fitted_after(5, seed=1)],
        HALF: [fitted_after(20, HALF, seed=0), fitted_after(20, HALF, seed=1)],
    }
    table = times(runs)
    # Unpaired it would be 20 / 7.5.
    assert (table.ratio[0.5], table.ratio_ci[0.5]) == pytest.approx(mean_interval([2.0, 4.0]))
    assert table.ratio[0.0] == 1  # by definition
    assert math.isnan(table.ratio_ci[0.0])
    assert list(table.epochs_to_fit) == [7.5, 20.0]
    assert list(table.paper_ratio) == [1.0, 1.786]


def test_seeds_that_agree_are_known_to_one_epoch():
    """10 and 15 whole epochs, in two seeds: their ratio has the variance (1 + 1.5^2) / 10^2 / 12."""
    runs = {name: [fitted_after(time, name, seed) for seed in (0, 1)] for name, time in ((TRUE, 10), (HALF, 15))}
    row = times(runs).loc[0.5]
    # t(0.975, 1) = 12.7062
    expected = 12.7062 * math.sqrt((1 + 1.5**2) / 12) / 10 / math.sqrt(2)
    assert (row.ratio, row.ratio_ci) == (1.5, pytest.approx(expected))


def test_no_mean_over_the_seeds_that_reached_it_alone():
    runs = {
        TRUE: [fitted_after(10, seed=seed) for seed in range(3)],
        RANDOM: [fitted_after(epochs, RANDOM, seed) for seed, epochs in enumerate([20, None, 30])],
    }
    row = times(runs).loc[1.0]
    assert (row.paired, row.reached) == (3, 2)
    assert math.isnan(row.ratio)
    assert math.isnan(row.epochs_to_fit)
    assert math.isnan(row.ratio_ci)


def test_no_ratio_where_the_start_is_not_reached():
    runs = {TRUE: [fitted_after(None)], HALF: [fitted_after(20, HALF)]}
    table = times(runs)
    assert table.ratio.isna().all()
    assert list(table.reached) == [0, 1]


def test_diverged_seed_has_not_reached_it():
    runs = {
        TRUE: [fitted_after(10, seed=0), fitted_after(10, seed=1)],
        HALF: [fitted_after(20, HALF, 0), fitted_after(20, HALF, 1, diverged=True)],
    }
    row = times(runs).loc[0.5]
    assert (row.paired, row.reached) == (2, 1)
    assert math.isnan(row.ratio)


def test_seed_without_its_start_is_left_out_and_counted():
    runs = {TRUE: [fitted_after(10, seed=0)], HALF: [fitted_after(15, HALF, 0), fitted_after(30, HALF, 1)]}
    row = times(runs).loc[0.5]
    assert (row.paired, row.unpaired, row.ratio) == (1, 1, 1.5)


def test_cells_that_are_not_there():
    table = times({TRUE: [], HALF: [fitted_after(10, HALF)], RANDOM: []})
    assert list(table.paired) == [0, 0, 0]
    assert list(table.unpaired) == [0, 1, 0]
    assert table.ratio.isna().all()
