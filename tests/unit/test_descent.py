"""Where SGD on a linear model converges."""

import numpy as np
import pytest
import torch

from rethinking.run.files import UserError
from rethinking.theory.descent import descend


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    x, test = (torch.from_numpy(rng.standard_normal((n, 30))) for n in (8, 20))
    return x, test, rng.integers(3, size=8), rng.integers(3, size=20)


def test_sgd_from_zero_ends_at_the_pseudoinverse(problem):
    x, test, labels, test_labels = problem
    curve, facts = descend(x, test, labels, test_labels, 3, 300, 2, 0, "made up", lambda _: None)
    expected = np.linalg.pinv(x.numpy()) @ np.eye(3)[labels]
    assert facts["minimum_norm"] == pytest.approx(np.linalg.norm(expected))
    assert facts["learning_rate"] == pytest.approx(1 / (x.numpy() ** 2).sum(1).max())
    assert facts["zero_distance"] < 1e-6
    assert facts["zero_outside"] < 1e-12
    error = 100 * np.mean((test.numpy() @ expected).argmax(1) != test_labels)
    assert facts["zero_test_error"] == facts["minimum_norm_test_error"] == pytest.approx(error)
    assert facts["random_test_error"] != facts["zero_test_error"]
    # From a random start it stays as far away as the part of the start that no step changes.
    assert facts["random_residual"] < 1e-5
    assert facts["random_distance"] == pytest.approx(facts["random_outside"], rel=1e-6)
    assert 0.5 < facts["random_outside"] < 1  # the start is as long as the solution
    assert facts["random_norm"] > facts["minimum_norm"]
    assert set(curve.start) == {"zero", "random"}
    assert curve.distance[curve.step == 0].tolist()[0] == 1


def test_a_step_is_that_of_the_mean_over_its_batch(problem):
    """From zero, over all images at once: w = rate X^T Y / n."""
    x, test, labels, test_labels = problem
    curve, facts = descend(x, test, labels, test_labels, 3, 1, 8, 0, "made up", lambda _: None)
    targets = np.eye(3)[labels]
    weights = facts["learning_rate"] * x.numpy().T @ targets / 8
    expected = np.linalg.norm(x.numpy() @ weights - targets) / np.linalg.norm(targets)
    after = curve[(curve.start == "zero") & (curve.step == 1)]
    assert after.residual.tolist() == [pytest.approx(expected)]


def test_hessian_is_the_same_everywhere_and_degenerate(problem):
    _, facts = descend(*problem, 3, 1, 2, 0, "made up", lambda _: None)
    assert facts["hessian_difference"] < 1e-12
    assert (facts["hessian_rank"], facts["dimension"]) == (8, 30)


def test_dependent_images_are_refused(problem):
    x, *others = problem
    x = torch.cat([x[:1], 2 * x[:1], x[2:]])
    with pytest.raises(UserError, match="these 8 have rank 7"):
        descend(x, *others, 3, 1, 2, 0, "made up", lambda _: None)
