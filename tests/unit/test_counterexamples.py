"""Exact fits other than the one of minimum norm: their norms and errors."""

import numpy as np
import pytest
import torch

from rethinking.run.files import UserError
from rethinking.theory import counterexamples
from rethinking.theory.counterexamples import compare_fits
from rethinking.theory.gram import kernel_between

from .fits import quiet, scaled


def test_counterexamples_fit_exactly_with_larger_norms(digits):
    train, labels, test, test_labels = digits
    flat, flat_test = (torch.from_numpy(scaled(images)) for images in (train, test))
    table = compare_fits(flat, flat_test, labels, test_labels, 10, 0.2, 0, "digits", quiet).set_index("fit")
    assert (table.train_error == 0).all()
    assert (table.residual < 1e-8).all()
    assert (table.norm.drop("minimum_norm") > 1.5 * table.norm["minimum_norm"]).all()
    assert (table.test_error.drop("minimum_norm") > 50).all()
    assert table.test_error["minimum_norm"] < 15


def test_norm_of_the_fit_with_random_centres_is_that_of_its_function(digits, monkeypatch):
    """With the kernel at the centres. Each of their coordinates is one of a training image."""
    pairs = []

    def record(left, right, gamma):
        pairs.append((left.numpy(), right.numpy()))
        return kernel_between(left, right, gamma)

    monkeypatch.setattr(counterexamples, "kernel_between", record)
    train, labels, test, test_labels = digits
    x, others = (scaled(images) for images in (train, test))
    tensors = torch.from_numpy(x), torch.from_numpy(others)
    table = compare_fits(*tensors, labels, test_labels, 10, 0.2, 0, "digits", quiet)
    _, centres, *_ = (right for left, right in pairs if len(left) == len(others))  # of each fit, on test images
    np.testing.assert_array_equal(np.sort(centres, 0), np.sort(x, 0))
    assert not any((x == centre).all(1).any() for centre in centres)
    across, within = (np.exp(-0.2 * ((a[:, None] - centres) ** 2).sum(2)) for a in (x, centres))
    alpha = np.linalg.solve(across, np.eye(10)[labels])
    expected = np.sqrt(np.trace(alpha.T @ within @ alpha))
    assert table.set_index("fit").norm["random_centres"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("gamma", "fit", "change"),
    [
        (20, "random_centres", "large .* a smaller gamma"),
        (500, "random_centres", "large .* a smaller gamma"),  # the kernel between images and centres is 0
        (1e-6, "random_centres", "small .* a larger gamma"),
        (1e-9, "minimum_norm", "small .* a larger gamma"),  # that of all points is 1
    ],
)
def test_what_rounding_keeps_from_fitting_is_refused(digits, gamma, fit, change):
    train, labels, test, test_labels = digits
    flat, flat_test = (torch.from_numpy(scaled(images)) for images in (train, test))
    message = f"{fit} is no exact fit with gamma {gamma:g} .*: so {change}"
    with pytest.raises(UserError, match=message):
        compare_fits(flat, flat_test, labels, test_labels, 10, gamma, 0, "digits", quiet)
