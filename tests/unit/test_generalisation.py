"""Test errors of constructed curves."""

import math

import numpy as np
import pytest

from rethinking.analysis.generalisation import measure_errors
from rethinking.analysis.statistics import mean_interval

from .curves import make_run

HALF = "cifar10/labels_p0.5/alexnet/none"
PAPER = {"alexnet": np.array([[0.5, 0.7634]])}


def accuracies(corrupted, true, seed=0, **options):
    """A run that ends at these test accuracies and was better before."""
    return make_run(HALF, seed, test_accuracy_corrupted=[80, corrupted], test_accuracy=[90, true], **options)


def errors(*runs, name=HALF):
    return measure_errors({name: list(runs)}, PAPER).set_index("test_labels")


def test_errors_are_fractions_after_the_last_epoch():
    table = errors(accuracies(40, 60, seed=0), accuracies(30, 50, seed=1))
    row = table.loc["corrupted"]
    assert row.p == 0.5
    assert (row.test_error, row.test_error_ci) == pytest.approx(mean_interval([0.6, 0.7]))
    row = table.loc["true"]
    assert (row.test_error, row.test_error_ci) == pytest.approx(mean_interval([0.4, 0.5]))


def test_paper_stands_beside_corrupted_test_labels_alone():
    table = errors(accuracies(40, 60))
    assert table.paper_test_error["corrupted"] == 0.7634
    assert math.isnan(table.paper_test_error["true"])


def test_diverged_seed_is_not_in_the_mean():
    table = errors(accuracies(40, 60), accuracies(10, 10, seed=1, diverged=True))
    assert table.test_error["true"] == pytest.approx(0.4)


def test_cell_that_is_not_there_has_a_row():
    assert errors().test_error.isna().all()


def test_paper_has_networks_without_regularisers():
    assert errors(name=HALF.replace("none", "wd")).paper_test_error.isna().all()
