"""The matrices of linear models in tiles, and their Cholesky factors, against numpy."""

import numpy as np
import pytest
import torch

from rethinking.theory import cholesky, gram
from rethinking.theory.cholesky import NotPositiveDefinite, TiledCholesky
from rethinking.theory.features import Features
from rethinking.theory.gram import CovarianceSystem, KernelSystem, mean_diagonal

from .fits import pixels, quiet, scaled
from .tiny import CPU


@pytest.mark.parametrize("tile", [16, 100, 300, 512])
def test_factor_is_numpys_whatever_the_tiles(digits, tmp_path, tile):
    system = KernelSystem(pixels(digits[0]), 0.2, 0.0, CPU, tile)
    factor = TiledCholesky(system, tmp_path, torch.float64, CPU, log=quiet)
    flat = torch.from_numpy(scaled(digits[0]))
    kernel = torch.exp(-0.2 * torch.cdist(flat, flat).square())
    vectors = torch.from_numpy(np.random.default_rng(0).standard_normal((300, 3)))
    assert torch.allclose(factor.solve(vectors), torch.linalg.solve(kernel, vectors), rtol=1e-6, atol=1e-8)


def test_a_factor_says_at_the_start_how_much_disk_and_memory_it_takes(digits, tmp_path):
    lines = []
    TiledCholesky(
        KernelSystem(pixels(digits[0]), 0.2, 0.1, CPU, 100), tmp_path / "new", torch.float64, CPU, log=lines.append
    )
    assert lines[0].startswith("the factor of 300 rows takes 0.00036 GB of disk, of ")
    assert lines[0].endswith(" GB free, and up to 0.00024 GB of memory")


def test_small_residuals_do_not_underflow(digits, tmp_path):
    system = KernelSystem(pixels(digits[0]), 0.2, 0.1, CPU, 300)
    factor = TiledCholesky(system, tmp_path, torch.float32, CPU, log=quiet)
    vectors = torch.from_numpy(np.random.default_rng(0).standard_normal((300, 3)))
    assert torch.allclose(factor.solve(1e-60 * vectors), 1e-60 * factor.solve(vectors), rtol=1e-6, atol=0)


def test_covariance_tiles(digits, tmp_path):
    features = Features(np.split(digits[0].reshape(300, -1), [40], axis=1), constant=True)
    system = CovarianceSystem(features, 0.5, CPU, 30, tmp_path)
    x = np.concatenate([scaled(digits[0]), np.ones((300, 1))], 1)
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
    x, others = (scaled(images) for images in (digits[0], digits[2]))
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


def test_killed_factorisation_goes_on_with_the_first_missing_tile(digits, tmp_path, monkeypatch):
    system = KernelSystem(pixels(digits[0]), 0.2, 0.0, CPU, 64)
    whole = TiledCholesky(system, tmp_path / "whole", torch.float32, CPU, log=quiet)
    written = []

    def save(path, array):
        if len(written) == 7:
            raise KeyboardInterrupt
        written.append(path.name)
        original(path, array)

    original = cholesky.save_array
    monkeypatch.setattr(cholesky, "save_array", save)
    with pytest.raises(KeyboardInterrupt):
        TiledCholesky(system, tmp_path / "killed", torch.float32, CPU, log=quiet)
    monkeypatch.undo()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "killed").iterdir()}
    assert len(before) == 7
    lines = []
    TiledCholesky(system, tmp_path / "killed", torch.float32, CPU, log=lines.append)
    assert "resuming" in lines[1]
    for path in (tmp_path / "whole").iterdir():
        other = tmp_path / "killed" / path.name
        assert other.read_bytes() == path.read_bytes()
        assert other.stat().st_mtime_ns == before.get(path.name, other.stat().st_mtime_ns)
    assert len(list((tmp_path / "killed").iterdir())) == len(list(whole.folder.iterdir())) == 15


def test_matrix_that_is_not_positive_definite(digits, tmp_path):
    system = KernelSystem(pixels(digits[0]), None, 0.0, CPU, 64)  # rank below 64
    with pytest.raises(NotPositiveDefinite):
        TiledCholesky(system, tmp_path, torch.float64, CPU, jitter=-1e-6, log=quiet)


def test_no_kernel_is_above_1():
    """Distances of equal features can be rounded below 0."""
    x = torch.from_numpy(np.random.default_rng(0).random((50, 64)))
    assert (x @ x.T).diagonal().ne(x.square().sum(1)).any()
    assert gram.kernel_between(x, x, 1e14).max() == 1


def test_a_factor_beyond_the_range_of_its_precision_is_none(tmp_path):
    """The last pivot of float32 is infinite, which is positive; the next precision has it."""
    system = KernelSystem(Features([np.diag([1.0, 1.0, 1e20])]), None, 0.0, CPU, 16)
    with pytest.raises(NotPositiveDefinite):
        TiledCholesky(system, tmp_path / "float32", torch.float32, CPU, log=quiet)
    TiledCholesky(system, tmp_path / "float64", torch.float64, CPU, log=quiet)
