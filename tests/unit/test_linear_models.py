"""Linear models against scikit-learn and numpy, on digits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from sklearn.datasets import load_digits
from sklearn.kernel_ridge import KernelRidge
from torch._subclasses.fake_tensor import FakeTensorMode

from rethinking.config.theory import LinearModelConfig, SolverConfig, ValidationConfig
from rethinking.run.files import UserError
from rethinking.theory import cholesky, counterexamples, gram, linear_models
from rethinking.theory.cholesky import NotPositiveDefinite, TiledCholesky
from rethinking.theory.counterexamples import compare_fits
from rethinking.theory.features import Features, make_block, make_features
from rethinking.theory.gram import CovarianceSystem, KernelSystem, kernel_between, mean_diagonal
from rethinking.theory.linear_models import fit, one_hot
from rethinking.theory.validation import best_setting, validate, validation_split

CPU = torch.device("cpu")


def solver(**changes):
    values = {"precision": "float32", "tile": 64, "residual": 1e-10, "iterations": 200}
    return SolverConfig(**values | changes)


@pytest.fixture(scope="module")
def digits():
    """300 training and 100 test images of 8x8 bytes with their labels."""
    images, labels = load_digits(return_X_y=True)
    images = (images * 15).astype(np.uint8).reshape(-1, 1, 8, 8)
    return images[:300], labels[:300], images[300:400], labels[300:400]


def pixels(images):
    return Features([images.reshape(len(images), -1)])


def run(digits, gamma, penalty, folder, **changes):
    train, labels, test, test_labels = digits
    return fit(
        pixels(train),
        pixels(test),
        labels,
        test_labels,
        10,
        gamma,
        penalty,
        solver(**changes),
        folder,
        CPU,
        lambda _: None,
    )


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("gamma", "penalty"), [(0.2, 0.0), (0.2, 0.1), (None, 0.1)])
def test_outputs_are_those_of_kernel_ridge(digits, tmp_path, precision, gamma, penalty):
    facts, outputs = run(digits, gamma, penalty, tmp_path, precision=precision)
    train, labels, test, test_labels = digits
    flat, flat_test = (images.reshape(len(images), -1) / 255 for images in (train, test))
    scale = 1 if gamma else (flat**2).sum(1).mean()
    ridge = KernelRidge(alpha=max(penalty * scale, 1e-14), kernel="rbf" if gamma else "linear", gamma=gamma)
    ridge.fit(flat, one_hot(labels, 10).numpy())
    expected = ridge.predict(flat_test)
    assert np.abs(outputs.numpy() - expected).max() < 1e-6
    assert facts["test_error"] == pytest.approx(100 * np.mean(expected.argmax(1) != test_labels))
    kernel = flat @ flat.T if gamma is None else ridge._get_kernel(flat)
    assert facts["norm"] == pytest.approx(
        np.sqrt(np.trace(ridge.dual_coef_.T @ kernel @ ridge.dual_coef_)), rel=1e-5
    )
    assert facts["residual"] < 1e-9


def test_norms_of_other_targets_are_those_of_their_own_solutions(digits, tmp_path):
    facts, _ = run(digits, 0.2, 0.0, tmp_path, precision="float64")
    flat = digits[0].reshape(300, -1) / 255
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
    flat = train.reshape(300, -1) / 255
    weights, _, rank, _ = np.linalg.lstsq(flat, one_hot(labels, 10).numpy(), rcond=None)
    assert facts["rank"] == rank < 64
    assert facts["norm"] == pytest.approx(np.linalg.norm(weights))
    assert np.allclose(outputs, test.reshape(100, -1) / 255 @ weights)
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
    train, labels, test, test_labels = digits
    arguments = (pixels(train), pixels(test), labels, test_labels, 10, 0.001, 0.0)
    facts, _ = fit(*arguments, solver(precision="auto"), tmp_path, CPU, lines.append)
    assert (facts["precision"], facts["jitter"], facts["rank"]) == ("float64", 0.0, 300)
    assert facts["residual"] < 1e-8  # as much as float64 has
    assert [line for line in lines if line.startswith("not positive definite in float32 with 0 ")]
    # A killed run does not try float32 once more.
    lines.clear()
    fit(*arguments, solver(precision="auto"), tmp_path, CPU, lines.append)
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
    facts, outputs = fit(
        features,
        features,
        labels,
        labels,
        10,
        None,
        0.0,
        solver(precision="auto", tile=16),
        tmp_path,
        CPU,
        print,
    )
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
        with pytest.raises(
            UserError, match=rf"1 training images.*: 7 \(label {labels[7]}\) = 301 \(label {other}\) "
        ):
            run((*twice, test, test_labels), gamma, 0.0, tmp_path)
    assert not list(tmp_path.rglob("*.npy"))
    facts, _ = run((*twice, test, test_labels), 0.2, 0.1, tmp_path)
    assert facts["residual"] < 1e-8
    facts, _ = run((*twice, test, test_labels), None, 0.0, tmp_path / "primal")
    assert facts["form"] == "primal"


# ---- tiles


@pytest.mark.parametrize("tile", [16, 100, 300, 512])
def test_factor_is_numpys_whatever_the_tiles(digits, tmp_path, tile):
    system = KernelSystem(pixels(digits[0]), 0.2, 0.0, CPU, tile)
    factor = TiledCholesky(system, tmp_path, torch.float64, CPU, log=lambda _: None)
    flat = torch.from_numpy(digits[0].reshape(300, -1) / 255)
    kernel = torch.exp(-0.2 * torch.cdist(flat, flat).square())
    vectors = torch.from_numpy(np.random.default_rng(0).standard_normal((300, 3)))
    assert torch.allclose(factor.solve(vectors), torch.linalg.solve(kernel, vectors), rtol=1e-6, atol=1e-8)


def test_covariance_tiles(digits, tmp_path):
    features = Features(
        [digits[0].reshape(300, -1)[:, :40], digits[0].reshape(300, -1)[:, 40:]], constant=True
    )
    system = CovarianceSystem(features, 0.5, CPU, 30, tmp_path)
    x = np.concatenate([digits[0].reshape(300, -1) / 255, np.ones((300, 1))], 1)
    expected = x.T @ x + 0.5 * np.eye(65)
    assert system.cost(1, 0, torch.float64) == 300 / 30
    for _ in range(2):  # computed, then read
        assert np.allclose(system.tile(1, 0, torch.float64), expected[30:60, :30])
        assert np.allclose(system.tile(2, 2, torch.float64), expected[60:, 60:])
    assert system.cost(1, 0, torch.float64) == 1
    vectors = torch.from_numpy(np.random.default_rng(0).standard_normal((65, 2)))
    assert np.allclose(system.multiply(vectors), expected @ vectors.numpy())


@pytest.mark.parametrize("gamma", [None, 0.2])
def test_sums_over_many_blocks_are_those_of_the_whole(digits, monkeypatch, gamma):
    """As of more images and features than are read at a time."""
    original = gram.slices
    monkeypatch.setattr(gram, "slices", lambda size, step: original(size, min(step, 30)))
    x, others = (images.reshape(len(images), -1) / 255 for images in (digits[0], digits[2]))
    kernel, between = x @ x.T, others @ x.T
    if gamma:
        kernel, between = (np.exp(-gamma * ((a[:, None] - x) ** 2).sum(2)) for a in (x, others))
    vectors = np.random.default_rng(0).standard_normal((300, 2))
    system = KernelSystem(pixels(digits[0]), gamma, 0.5, CPU, 100)
    assert np.allclose(system.tile(2, 1, torch.float64), kernel[60:90, 30:60])
    product = system.multiply(torch.from_numpy(vectors))
    assert np.allclose(product, kernel @ vectors + 0.5 * vectors)
    assert np.allclose(system.fitted(torch.from_numpy(vectors), product), kernel @ vectors)
    assert np.allclose(system.outputs(torch.from_numpy(vectors), pixels(digits[2])), between @ vectors)
    assert mean_diagonal(pixels(digits[0]), gamma, CPU) == pytest.approx(np.diag(kernel).mean())
    if gamma is None:
        primal = CovarianceSystem(pixels(digits[0]), 0.0, CPU, 100)
        assert np.allclose(primal.tile(1, 0, torch.float64), (x.T @ x)[30:60, :30])
        assert np.allclose(primal.right_side(torch.from_numpy(vectors)), x.T @ vectors)


def test_features_are_the_same_from_arrays_tensors_and_files(digits, tmp_path):
    pixels = digits[0].reshape(300, -1)
    floats = np.random.default_rng(0).standard_normal((300, 7)).astype(np.float16)
    np.save(tmp_path / "pixels.npy", pixels)
    np.save(tmp_path / "floats.npy", floats)
    expected = np.concatenate([pixels / 255, floats, np.ones((300, 1))], 1)[3:9, 50:]
    for blocks in (
        [pixels, floats],
        [torch.from_numpy(pixels), torch.from_numpy(floats)],
        [tmp_path / "pixels.npy", tmp_path / "floats.npy"],
    ):
        features = Features(blocks, constant=True)
        assert (len(features), features.width) == (300, 64 + 7 + 1)
        assert np.allclose(
            features.read(slice(3, 9), CPU, torch.float64, slice(50, 72)), expected, atol=1e-12
        )


def test_features_are_uploaded_once(digits, monkeypatch):
    """To a GPU without numbers, which has no room for a second copy."""
    free = iter([1e12, 0])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (next(free), 1e12))
    features, device = pixels(digits[0]), torch.device("cuda")
    with FakeTensorMode(allow_non_fake_inputs=True):
        held = features.on(device)
        assert held.blocks[0].device.type == "cuda"
        assert features.on(device) is held
    assert features.on(CPU) is features


@pytest.mark.gpu
def test_a_gpu_gives_the_exact_fit_and_the_validation_of_a_cpu(digits, tmp_path):
    train, labels, test, test_labels = digits
    images, found = (pixels(train), pixels(test), labels, test_labels, 10), []
    for device in (CPU, torch.device("cuda")):
        given = 0.2, 0.0, solver(precision="auto"), tmp_path / device.type, device, lambda _: None
        facts, outputs = fit(*images, *given)
        tables = [validate(*images, [gamma], [0, 0.1], device, lambda _: None) for gamma in (0.2, None)]
        found.append((facts, outputs, pd.concat(tables)))
    (expected, expected_outputs, expected_table), (facts, outputs, table) = found
    assert (facts["precision"], facts["jitter"], facts["train_error"]) == ("float64", 0.0, 0.0)
    assert facts["norm"] == pytest.approx(expected["norm"], rel=1e-8)
    assert np.allclose(outputs, expected_outputs, atol=1e-8)
    # Without a penalty the matrix of the linear kernel is singular; whether it has a factor is a matter of rounding.
    rows = (table.gamma.notna() | (table.penalty > 0)).to_numpy()
    pd.testing.assert_frame_equal(table[rows], expected_table[rows], rtol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("free", [1e12, 0])
@pytest.mark.parametrize("filters", [20, 60])  # fewer and more features than images
def test_a_gpu_gives_the_fit_of_a_cpu_from_its_memory_and_from_files(
    digits, tmp_path, monkeypatch, free, filters
):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 1e12))
    train, labels, test, test_labels = digits
    found = []
    for device in (CPU, torch.device("cuda")):
        folder = tmp_path / device.type
        ours = make_features(
            "random_convnet", train, test, folder, device, filters=filters, log=lambda _: None
        )
        assert (ours[0].on(device) is ours[0]) == (device == CPU or not free)
        assert ours[0].on(device) is ours[0].on(device)
        given = labels, test_labels, 10, None, 0.1, solver(precision="float64"), folder, device
        found.append(fit(*ours, *given, lambda _: None))
    (expected, expected_outputs), (facts, outputs) = found
    # Features are stored with 16 bits, in which some differ by rounding.
    assert facts["norm"] == pytest.approx(expected["norm"], rel=1e-2)
    assert np.allclose(outputs, expected_outputs, atol=1e-2)


def test_killed_factorisation_goes_on_with_the_first_missing_tile(digits, tmp_path, monkeypatch):
    system = KernelSystem(pixels(digits[0]), 0.2, 0.0, CPU, 64)
    whole = TiledCholesky(system, tmp_path / "whole", torch.float32, CPU, log=lambda _: None)
    written = []

    def save(path, array):
        if len(written) == 7:
            raise KeyboardInterrupt
        written.append(path.name)
        original(path, array)

    original = cholesky.save_array
    monkeypatch.setattr(cholesky, "save_array", save)
    with pytest.raises(KeyboardInterrupt):
        TiledCholesky(system, tmp_path / "killed", torch.float32, CPU, log=lambda _: None)
    monkeypatch.undo()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "killed").iterdir()}
    assert len(before) == 7
    lines = []
    TiledCholesky(system, tmp_path / "killed", torch.float32, CPU, log=lines.append)
    assert "resuming" in lines[0]
    for path in (tmp_path / "whole").iterdir():
        other = tmp_path / "killed" / path.name
        assert other.read_bytes() == path.read_bytes()
        assert other.stat().st_mtime_ns == before.get(path.name, other.stat().st_mtime_ns)
    assert len(list((tmp_path / "killed").iterdir())) == len(list(whole.folder.iterdir())) == 15


def test_matrix_that_is_not_positive_definite(digits, tmp_path):
    system = KernelSystem(pixels(digits[0]), None, 0.0, CPU, 64)  # rank below 64
    with pytest.raises(NotPositiveDefinite):
        TiledCholesky(system, tmp_path, torch.float64, CPU, jitter=-1e-6, log=lambda _: None)


# ---- features


def test_features_are_kept_and_scaled(digits, tmp_path):
    train, _, test, _ = digits
    options = {"filters": 20, "dataset": "digits", "log": lambda _: None}
    for preprocessing, width in (("gabor", 2 * 8 * 4 * 4), ("random_convnet", 20 * 8 + 1)):
        first = make_features(preprocessing, train, test, tmp_path / preprocessing, CPU, **options)
        again = (
            make_features(preprocessing, train[:0], test[:0], tmp_path / preprocessing, CPU, **options)
            if (preprocessing == "gabor")
            else first
        )
        values = first[0].read(slice(None), CPU, torch.float64)
        assert values.shape == (300, width)
        # What stays mapped counts as memory of the process.
        assert str(tmp_path) not in Path("/proc/self/maps").read_text()
        assert torch.equal(values, again[0].read(slice(None), CPU, torch.float64))
        if preprocessing == "gabor":
            assert float(values.var(0).sum()) == pytest.approx(1, rel=1e-4)
        else:
            assert values[:, :-1].mean(0).abs().max() < 1e-2
            deviation = values[:, :-1].std(0)
            assert (deviation[deviation > 0] - 1).abs().max() < 1e-2
            assert (values[:, -1] == 1).all()


def test_feature_that_is_the_same_in_all_training_images_makes_no_test_image_nan(tmp_path):
    images = [np.full((3, 1, 2, 2), value, np.uint8) for value in (0, 200)]
    files = make_block(tmp_path, 0, *images, CPU, lambda some: some.flatten(1).float(), "each")
    assert all(np.isfinite(np.load(file)).all() for file in files)


def test_validation_part_is_none_of_the_fitted_images(digits):
    labels = digits[1]
    settings = ValidationConfig(train=150, test=50, penalties=[0])
    fitted, others = validation_split(labels, settings, "digits")
    assert (len(fitted), len(others)) == (150, 50)
    assert not set(fitted) & set(others)
    assert np.bincount(labels[others]).min() >= 4
    with pytest.raises(UserError, match="takes 200 \\+ 101 training images, but digits has 300"):
        validation_split(labels, settings.model_copy(update={"train": 200, "test": 101}), "digits")


def test_validation_agrees_with_the_solver(digits, tmp_path):
    train, labels, test, test_labels = digits
    some = pixels(train), pixels(test), labels, test_labels, 10
    table = validate(*some, [0.2], [0, 0.1], CPU, lambda _: None)
    # Of the linear kernel, the unit of penalties is not 1.
    table = pd.concat([table, validate(*some, [None], [0.1], CPU, lambda _: None)], ignore_index=True)
    for row in table.itertuples():
        gamma = None if np.isnan(row.gamma) else row.gamma
        facts, _ = run(digits, gamma, row.penalty, tmp_path / str(row.Index))
        assert (row.train_error, row.validation_error) == (facts["train_error"], facts["test_error"])
        assert row.norm == pytest.approx(facts["norm"], rel=1e-6)


def test_settings_are_chosen_by_validation_error():
    table = pd.DataFrame(
        {
            "gamma": [1.0, 1.0, 2.0, 2.0],
            "penalty": [0.0, 0.1, 0.0, 0.1],
            "validation_error": [5.0, 1.0, 4.0, 3.0],
        }
    )
    assert best_setting(table, "validated", 0) == (2.0, 0)
    assert best_setting(table, "validated", "validated") == (2.0, 0.1)
    assert best_setting(table, 1.0, "validated") == (1.0, 0.1)
    better = table.assign(validation_error=[0.5, 1.0, 4.0, 3.0])
    assert best_setting(better, "validated", "validated") == (1.0, 0.1)  # a penalty is above 0
    with pytest.raises(UserError, match="no gamma can be chosen"):
        best_setting(table.assign(validation_error=np.nan), "validated", 0)


def test_counterexamples_fit_exactly_with_larger_norms(digits):
    train, labels, test, test_labels = digits
    flat, flat_test = (torch.from_numpy(images.reshape(len(images), -1) / 255) for images in (train, test))
    table = compare_fits(
        flat, flat_test, labels, test_labels, 10, 0.2, 0, "digits", lambda _: None
    ).set_index("fit")
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
    x, others = (images.reshape(len(images), -1) / 255 for images in (train, test))
    tensors = torch.from_numpy(x), torch.from_numpy(others)
    table = compare_fits(*tensors, labels, test_labels, 10, 0.2, 0, "digits", lambda _: None)
    centres = [right for left, right in pairs if len(left) == len(others)][
        1
    ]  # of the second fit, on test images
    np.testing.assert_array_equal(np.sort(centres, 0), np.sort(x, 0))
    assert not any((x == centre).all(1).any() for centre in centres)
    across, within = (np.exp(-0.2 * ((a[:, None] - centres) ** 2).sum(2)) for a in (x, centres))
    alpha = np.linalg.solve(across, np.eye(10)[labels])
    expected = np.sqrt(np.trace(alpha.T @ within @ alpha))
    assert table.set_index("fit").norm["random_centres"] == pytest.approx(expected, rel=1e-4)


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
    x, others = (images.reshape(len(images), -1) / 255 for images in (train[:60], test))
    assert np.linalg.matrix_rank(x) == facts["rank"] < 60
    expected = others @ np.linalg.pinv(x, rcond=1e-12) @ one_hot(labels[:60], 10).numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-6)
    assert facts["train_error"] == 0


def test_what_does_not_converge_is_no_fit(digits, tmp_path):
    """All distances are rounded away, so that the kernel of different images is 1."""
    with pytest.raises(
        UserError, match=r"the solver does not converge .* give a penalty above 0, or a larger gamma"
    ):
        run(digits, 1e-8, 0.0, tmp_path, precision="auto", residual=1e-6, iterations=50)
