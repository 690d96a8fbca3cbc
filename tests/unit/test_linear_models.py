"""Fits of linear models against scikit-learn and numpy, on digits."""

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from sklearn.kernel_ridge import KernelRidge

from rethinking.config.theory import LinearModelConfig
from rethinking.run.files import UserError
from rethinking.theory import linear_models
from rethinking.theory.conjugate_gradients import conjugate_gradients
from rethinking.theory.features import Features, make_features
from rethinking.theory.linear_models import fit, one_hot
from rethinking.theory.validation import validate

from .fits import linear_model, pixels, quiet, run, scaled, solver
from .tiny import CPU


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("gamma", "penalty"), [(0.2, 0.0), (0.2, 0.1), (None, 0.1)])
def test_outputs_are_those_of_kernel_ridge(digits, tmp_path, precision, gamma, penalty):
    facts, outputs = run(digits, gamma, penalty, tmp_path, precision=precision)
    train, labels, test, test_labels = digits
    flat, flat_test = (scaled(images) for images in (train, test))
    scale = 1 if gamma else (flat**2).sum(1).mean()
    ridge = KernelRidge(alpha=max(penalty * scale, 1e-14), kernel="rbf" if gamma else "linear", gamma=gamma)
    ridge.fit(flat, one_hot(labels, 10).numpy())
    expected = ridge.predict(flat_test)
    assert np.abs(outputs.numpy() - expected).max() < 1e-6
    assert facts["test_error"] == pytest.approx(100 * np.mean(expected.argmax(1) != test_labels))
    kernel = flat @ flat.T if gamma is None else ridge._get_kernel(flat)
    assert facts["norm"] == pytest.approx(np.sqrt(np.trace(ridge.dual_coef_.T @ kernel @ ridge.dual_coef_)), rel=1e-5)
    assert facts["residual"] < 1e-9


def test_norms_of_other_targets_are_those_of_their_own_solutions(digits, tmp_path):
    facts, _ = run(digits, 0.2, 0.0, tmp_path, precision="float64")
    flat = scaled(digits[0])
    kernel = np.exp(-0.2 * ((flat[:, None] - flat) ** 2).sum(2))
    signed = 2 * one_hot(digits[1], 10).numpy() - 1
    number = digits[1][:, None].astype(float)
    for name, targets in (("signed_norm", signed), ("number_norm", number)):
        expected = np.sqrt(np.trace(targets.T @ np.linalg.solve(kernel, targets)))
        assert facts[name] == pytest.approx(expected, rel=1e-6)
    targets = one_hot(digits[1], 10).numpy()
    classes = np.sqrt(np.diag(targets.T @ np.linalg.solve(kernel, targets)))
    assert facts["class_norms"] == pytest.approx(classes, rel=1e-6)
    assert facts["norm"] == pytest.approx(np.linalg.norm(classes), rel=1e-6)


def test_linear_kernel_on_pixels_is_least_squares_of_minimum_norm(digits, tmp_path):
    facts, outputs = run(digits, None, 0.0, tmp_path)
    train, labels, test, _ = digits
    flat = scaled(train)
    weights, _, rank, _ = np.linalg.lstsq(flat, one_hot(labels, 10).numpy(), rcond=None)
    assert facts["rank"] == rank < 64
    assert facts["norm"] == pytest.approx(np.linalg.norm(weights))
    assert np.allclose(outputs, scaled(test) @ weights)
    assert facts["misfit"] > 0.3
    assert facts["train_error"] > 0


def test_exact_fit_fits_exactly(digits, tmp_path):
    facts, _ = run(digits, 0.2, 0.0, tmp_path)
    assert facts["train_error"] == 0
    assert facts["misfit"] < 1e-9
    assert facts["rank"] == 300
    assert not list(tmp_path.rglob("factor*/tile*"))  # scratch is gone


def test_matrix_that_is_definite_in_float64_alone(digits, tmp_path):
    lines = []
    given = {"precision": "auto", "residual": 1e-8}  # as much as float64 has
    facts, _ = run(digits, 0.001, 0.0, tmp_path, lines.append, **given)
    assert (facts["precision"], facts["jitter"], facts["rank"]) == ("float64", 0.0, 300)
    assert [line for line in lines if line.startswith("not positive definite in float32 with 0 ")]
    # A killed run does not try float32 once more.
    lines.clear()
    run(digits, 0.001, 0.0, tmp_path, lines.append, **given)
    assert not [line for line in lines if "not positive definite" in line]


@pytest.mark.parametrize("count", [60, 200])
def test_features_that_are_independent_in_float64_alone(tmp_path, monkeypatch, count):
    """Fewer and more of them than the 100 images; stored tiles in float32 cannot serve in float64."""
    monkeypatch.setattr(linear_models, "DENSE", 0)
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((min(count, 100), count))
    values = rng.standard_normal((100, len(basis))) * np.geomspace(1, 1e-4, len(basis)) @ basis
    labels = rng.integers(10, size=100)
    features = Features([values])
    given = features, features, labels, labels, 10, None, 0.0
    facts, outputs = fit(*given, solver(precision="auto", tile=16), tmp_path, CPU, quiet)
    assert (facts["form"], facts["precision"]) == ("primal" if count < 100 else "dual", "float64")
    assert facts["jitter"] == 0
    expected = values @ np.linalg.lstsq(values, np.eye(10)[labels], rcond=None)[0]
    assert np.allclose(outputs, expected, atol=1e-5)


def test_duplicates_are_fitted_with_jitter(digits, tmp_path):
    """A repeated image makes the matrix singular, but if both copies have one label there is still an exact fit."""
    train, labels, test, test_labels = digits
    twice = np.concatenate([train, train[:5]]), np.concatenate([labels, labels[:5]])
    facts, outputs = run((*twice, test, test_labels), 0.2, 0.0, tmp_path, precision="auto")
    assert facts["jitter"] > 0
    assert facts["rank"] is None
    assert facts["misfit"] < 1e-8
    _, once = run(digits, 0.2, 0.0, tmp_path / "once")
    assert np.allclose(outputs, once, atol=1e-6)


def test_rank_is_not_claimed_of_a_factor_with_jitter(tmp_path):
    """Images that differ, but whose kernel does not up to rounding; they have one label."""
    rng = np.random.default_rng(0)
    values, labels = rng.random((40, 20)), rng.integers(0, 3, 40)
    values[5], labels[5] = values[9] + 1e-11, labels[9]
    features = Features([values])
    facts, _ = fit(features, features, labels, labels, 3, 0.2, 0.0, solver(precision="float64"), tmp_path, CPU, quiet)
    assert facts["jitter"] > 0
    assert facts["misfit"] < 1e-8
    assert facts["rank"] is None


def test_rank_is_not_claimed_for_equal_images_whose_matrix_rounding_makes_definite(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 20)).astype(np.uint8), rng.integers(0, 3, 40)
    images[5], labels[5] = images[9], labels[9]
    assert run((images, labels, images, labels), 0.2, 0.0, tmp_path, precision="float32")[0]["rank"] is None


def test_equal_images_of_two_classes_are_named(digits, tmp_path):
    """No function fits them, so the factor is not even begun; with a penalty, or fewer features than images, it can be."""
    train, labels, test, test_labels = digits
    other = (labels[7] + 1) % 10
    twice = np.concatenate([train, train[5:6], train[7:8]]), np.concatenate([labels, labels[5:6], [other]])
    for gamma in (0.2, 5.0):
        message = rf"1 training images.*: 7 \(label {labels[7]}\) = 301 \(label {other}\) "
        with pytest.raises(UserError, match=message):
            run((*twice, test, test_labels), gamma, 0.0, tmp_path)
    assert not list(tmp_path.rglob("*.npy"))
    facts, _ = run((*twice, test, test_labels), 0.2, 0.1, tmp_path)
    assert facts["residual"] < 1e-8
    facts, _ = run((*twice, test, test_labels), None, 0.0, tmp_path / "primal")
    assert facts["form"] == "primal"


@pytest.mark.gpu
def test_a_gpu_gives_the_exact_fit_and_the_validation_of_a_cpu(digits, tmp_path):
    train, labels, test, test_labels = digits
    images, found = (pixels(train), pixels(test), labels, test_labels, 10), []
    for device in (CPU, torch.device("cuda")):
        given = 0.2, 0.0, solver(precision="auto"), tmp_path / device.type, device, quiet
        facts, outputs = fit(*images, *given)
        tables = [validate(*images, [gamma], [0, 0.1], device, quiet) for gamma in (0.2, None)]
        found.append((facts, outputs, pd.concat(tables)))
    (expected, expected_outputs, expected_table), (facts, outputs, table) = found
    assert (facts["precision"], facts["jitter"], facts["train_error"]) == ("float64", 0.0, 0.0)
    assert facts["norm"] == pytest.approx(expected["norm"], rel=1e-8)
    assert np.allclose(outputs, expected_outputs, atol=1e-8)
    pd.testing.assert_frame_equal(table, expected_table, rtol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("free", [1e12, 0])
@pytest.mark.parametrize("filters", [20, 60])  # fewer and more features than images
def test_a_gpu_gives_the_fit_of_a_cpu_from_its_memory_and_from_files(digits, tmp_path, monkeypatch, free, filters):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 1e12))
    train, labels, test, test_labels = digits
    found = []
    for device in (CPU, torch.device("cuda")):
        folder = tmp_path / device.type
        ours = make_features(linear_model("random_convnet", filters), train, test, folder, 0, device, quiet)
        assert (ours[0].on(device) is ours[0]) == (device == CPU or not free)
        assert ours[0].on(device) is ours[0].on(device)
        given = labels, test_labels, 10, None, 0.1, solver(precision="float64"), folder, device
        found.append(fit(*ours, *given, quiet))
    (expected, expected_outputs), (facts, outputs) = found
    # Features are stored with 16 bits, in which some differ by rounding.
    assert facts["norm"] == pytest.approx(expected["norm"], rel=1e-2)
    assert np.allclose(outputs, expected_outputs, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gamma": None}, "the kernel 'gaussian' needs a gamma"),
        ({"kernel": "linear"}, "the kernel 'linear' has none"),
        ({"gamma": "validated"}, "gammas must list those to try"),
        ({"preprocessing": "random_convnet"}, "needs filters, for example 32000"),
        ({"filters": 10}, "filters are of the preprocessing 'random_convnet'"),
    ],
)
def test_wrong_models_say_what_would_be_right(change, message):
    model = {"name": "a", "dataset": "digits", "preprocessing": "none", "kernel": "gaussian", "gamma": 0.1}
    with pytest.raises(ValidationError, match=message):
        LinearModelConfig.model_validate(model | {"penalties": [0]} | change)


def test_linearly_dependent_images_have_the_solution_of_minimum_norm(digits, tmp_path):
    """Some pixels are black in all digits, so fewer images than pixels can be dependent; they have an exact fit here."""
    train, labels, test, test_labels = digits
    facts, outputs = run((train[:60], labels[:60], test, test_labels), None, 0.0, tmp_path)
    x, others = (scaled(images) for images in (train[:60], test))
    assert np.linalg.matrix_rank(x) == facts["rank"] < 60
    expected = others @ np.linalg.pinv(x, rcond=1e-12) @ one_hot(labels[:60], 10).numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-6)
    assert facts["train_error"] == 0


@pytest.mark.parametrize("values", [None, 0])
def test_dependent_images_of_many_columns_have_the_solution_of_minimum_norm(digits, tmp_path, monkeypatch, values):
    """As grey images stored in colour are. Where there are too many values, no larger gamma is advised: there is none."""
    if values is not None:
        monkeypatch.setattr(linear_models, "DENSE_VALUES", values)
    train, labels, test, test_labels = digits
    train, test = (np.repeat(images.reshape(len(images), -1), 40, axis=1) for images in (train, test))
    given = (train, labels, test, test_labels), None, 0.0, tmp_path
    if values == 0:
        with pytest.raises(UserError, match=r"does not converge .* give a penalty above 0$"):
            run(*given, precision="auto")
        return
    facts, outputs = run(*given)
    assert 300 < linear_models.DENSE < train.shape[1]
    assert facts["rank"] == np.linalg.matrix_rank(train) < 64
    expected = scaled(test) @ np.linalg.pinv(scaled(train), rcond=1e-12) @ one_hot(labels, 10).numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-6)


def test_what_does_not_converge_is_no_fit(digits, tmp_path):
    """All distances are rounded away, so that the kernel of different images is 1."""
    message = "the solver does not converge .* give a penalty above 0, or a larger gamma"
    with pytest.raises(UserError, match=message):
        run(digits, 1e-8, 0.0, tmp_path, precision="auto", residual=1e-6, iterations=50)


@pytest.mark.parametrize("gamma", [1e-6, 1e-7])  # the recursion's residual meets the tolerance, or no step does
def test_a_fit_that_misses_its_tolerance_is_not_called_exact(digits, tmp_path, gamma):
    """Rounding of K alpha leaves a residual that no step of refinement lowers."""
    lines = []
    given = {"precision": "auto", "residual": 1e-6, "iterations": 100}
    facts, _ = run(digits, gamma, 0.0, tmp_path, lines.append, **given)
    assert 1e-6 < facts["residual"] < 1
    assert (facts["rank"], facts["solver"]) == (None, "cholesky, not converged")
    assert "above linear_models.solver.residual (1e-06)" in lines[-1]
    if gamma == 1e-6:
        assert facts["iterations"] < 10


def test_conjugate_gradients_start_again_from_the_true_residual():
    """Here the first products are rounded more than the tolerance."""
    basis = torch.linalg.qr(torch.randn(40, 40, generator=torch.manual_seed(0), dtype=torch.float64)).Q
    matrix = basis * torch.linspace(1, 2, 40, dtype=torch.float64) @ basis.T
    right_side, lines = torch.ones(40, 2, dtype=torch.float64), []

    def multiply(vectors):
        found = matrix @ vectors
        return found.float().double() if len(lines) < 5 else found

    found = conjugate_gradients(multiply, right_side, torch.clone, 1e-12, 200, lines.append)
    assert float(torch.linalg.vector_norm(matrix @ found.x - right_side)) < 1e-11
    assert found.residual <= 1e-12
    assert any("true residual" in line for line in lines)


def test_conjugate_gradients_end_where_a_new_start_does_not_halve_the_residual():
    """Each product of the solution is rounded; that of a direction is exact, so that one step solves the rest."""
    rounding, lines = iter([1e-3, 3e-4, 0.0]), []

    def multiply(vectors):
        is_solution = len(lines) > multiply.products
        multiply.products += is_solution
        return vectors * (1 + next(rounding)) if is_solution else vectors.clone()

    multiply.products = 0
    right_side = torch.ones(5, 1, dtype=torch.float64)
    # b - A x is 1e-3 b after the first step and (1e-3 - 3e-4) b after the second.
    found = conjugate_gradients(
        multiply, right_side, torch.clone, 1e-9, 20, lambda line: lines.append(line) if "step" in line else None
    )
    assert found.iterations == 2
    assert found.residual == pytest.approx(7e-4, rel=1e-2)
