"""Kernel matrices in tiles, so that none has to fit into memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rethinking.run.files import load_array, save_array
from rethinking.theory.features import Features

CHUNK = 16_384  # features read at a time


def slices(size: int, step: int) -> list[slice]:
    """0 to ``size`` in pieces of ``step``."""
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def apply_kernel(products: Tensor, left: Tensor, right: Tensor, gamma: float | None) -> Tensor:
    """A kernel from inner products (m, n), which are overwritten, and squared lengths (m,) and (n,)."""
    if gamma is None:
        return products
    distances = products.mul_(-2).add_(left[:, None]).add_(right).clamp_(min=0)
    return distances.mul_(-gamma).exp_()


def kernel_between(left: Tensor, right: Tensor, gamma: float) -> Tensor:
    """The Gaussian kernel between features (m, d) and (n, d)."""
    return apply_kernel(left @ right.T, left.square().sum(1), right.square().sum(1), gamma)


def inner_products(
    left: Features, rows: slice, right: Features, columns: slice, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Inner products between rows of two sets of features, (m, n), and squared lengths, (m,) and (n,).

    Features are read ``CHUNK`` columns at a time.
    """
    products, squares = None, [0.0, 0.0]
    for chunk in slices(left.width, CHUNK):
        a = left.read(rows, device, dtype, chunk)
        b = a if (left, rows) == (right, columns) else right.read(columns, device, dtype, chunk)
        products = a @ b.T if products is None else products.addmm_(a, b.T)
        squares = [total + some.square().sum(1) for total, some in zip(squares, (a, b), strict=True)]
    return products, *squares


class System:
    """A symmetric matrix in tiles: the sum of one that is computed and ``penalty`` I.

    Args:
        features: of the training images.
        gamma: of the Gaussian kernel; None is the linear kernel.
        penalty: added to the diagonal, absolute.
        device: where tiles are computed.
        step: rows and columns of a tile.
        store: folder for tiles of a linear kernel, which take longer to compute than to read.
    """

    size: int
    _summed: int  # products in each element

    def __init__(
        self,
        features: Features,
        gamma: float | None,
        penalty: float,
        device: torch.device,
        step: int,
        store: Path | None = None,
    ) -> None:
        self.features, self.gamma, self.penalty, self.device = features, gamma, penalty, device
        self.store = store if gamma is None else None
        self.slices = slices(self.size, step)

    def tile(self, row: int, column: int, dtype: torch.dtype) -> Tensor:
        """A tile of the lower triangle; where there is a folder, without the penalty from its file or into it."""
        path = self._path(row, column, dtype)
        if path and path.exists():
            tile = torch.from_numpy(np.array(load_array(path))).to(self.device)
        else:
            tile = self._compute(row, column, dtype)
            if path:
                save_array(path, tile.cpu().numpy())
        if row == column:
            tile.diagonal().add_(self.penalty)
        return tile

    def cost(self, row: int, column: int, dtype: torch.dtype) -> float:
        """Computing a tile, in products of two tiles; reading one counts as one."""
        path = self._path(row, column, dtype)
        if path and path.exists():
            return 1.0
        return max(1.0, self._summed / self.slices[0].stop)

    def _path(self, row: int, column: int, dtype: torch.dtype) -> Path | None:
        """The file of a tile, by its precision: tiles rounded to float32 cannot serve in float64."""
        folder = str(dtype).removeprefix("torch.")
        return self.store and self.store / folder / f"tile_{row:03d}_{column:03d}.npy"


class KernelSystem(System):
    """The dual system (K + penalty I) alpha = Y over n training images."""

    def __init__(self, features: Features, *options: Any) -> None:
        self.size, self._summed = len(features), features.width
        super().__init__(features, *options)

    def _compute(self, row: int, column: int, dtype: torch.dtype) -> Tensor:
        tile = self._kernel(self.features, self.slices[row], self.slices[column], dtype)
        return tile.fill_diagonal_(1) if row == column and self.gamma is not None else tile

    def _kernel(self, others: Features, rows: slice, columns: slice, dtype: torch.dtype) -> Tensor:
        """The kernel between some rows of ``others`` and some training images, (rows, columns)."""
        products = inner_products(others, rows, self.features, columns, self.device, dtype)
        return apply_kernel(*products, self.gamma)

    def right_side(self, targets: Tensor) -> Tensor:
        """Y, float64 (n, classes)."""
        return targets

    def multiply(self, vectors: Tensor) -> Tensor:
        """(K + penalty I) times float64 (n, k), in float64; K is symmetric, so only half of its tiles are computed."""
        if self.gamma is None:
            return self.outputs(vectors, self.features) + self.penalty * vectors
        result = torch.zeros_like(vectors)
        for row, rows in enumerate(self.slices):
            for column, columns in enumerate(self.slices[: row + 1]):
                tile = self.tile(row, column, torch.float64)
                result[rows] += (tile @ vectors[columns].to(self.device)).cpu()
                if row != column:
                    result[columns] += (tile.T @ vectors[rows].to(self.device)).cpu()
        return result

    def fitted(self, solution: Tensor, product: Tensor) -> Tensor:
        """Outputs K alpha on the training images, given the product with the whole matrix."""
        return product - self.penalty * solution

    def outputs(self, solution: Tensor, others: Features) -> Tensor:
        """Outputs (m, k) on other images."""
        if self.gamma is None:
            weights = transposed_product(self.features, solution, self.device)
            return linear_outputs(others, weights, self.device)
        result = torch.zeros(len(others), solution.shape[1], dtype=torch.float64)
        for rows in slices(len(others), self.slices[0].stop):
            for columns in self.slices:
                tile = self._kernel(others, rows, columns, torch.float64)
                result[rows] += (tile @ solution[columns].to(self.device)).cpu()
        return result

    def squared_norms(self, solution: Tensor, fitted: Tensor) -> Tensor:
        """alpha_c^T K alpha_c of each class, (k,)."""
        return (solution * fitted).sum(0)


class CovarianceSystem(System):
    """The primal system (X^T X + penalty I) w = X^T Y of the linear kernel, for fewer features than images.

    It has the same solution function as :class:`KernelSystem`, whose matrix is then singular.
    """

    def __init__(self, features: Features, *options: Any) -> None:
        self.size, self._summed = features.width, len(features)
        super().__init__(features, None, *options)

    def _compute(self, row: int, column: int, dtype: torch.dtype) -> Tensor:
        tile = None
        for rows in slices(len(self.features), 4096):
            left = self.features.read(rows, self.device, dtype, self.slices[row])
            right = left if row == column else self.features.read(rows, self.device, dtype, self.slices[column])
            tile = left.T @ right if tile is None else tile.addmm_(left.T, right)
        return tile

    def right_side(self, targets: Tensor) -> Tensor:
        """X^T Y."""
        return transposed_product(self.features, targets, self.device)

    def multiply(self, vectors: Tensor) -> Tensor:
        """(X^T X + penalty I) times (d, k), in float64."""
        return self.right_side(self.outputs(vectors, self.features)) + self.penalty * vectors

    def fitted(self, solution: Tensor, product: Tensor) -> Tensor:
        """Outputs X w on the training images."""
        return self.outputs(solution, self.features)

    def outputs(self, solution: Tensor, others: Features) -> Tensor:
        """Outputs (m, k) on other images."""
        return linear_outputs(others, solution, self.device)

    def squared_norms(self, solution: Tensor, fitted: Tensor) -> Tensor:
        """|w_c|^2 of each class, (k,)."""
        return solution.square().sum(0)


def linear_outputs(features: Features, weights: Tensor, device: torch.device) -> Tensor:
    """X w in float64, some rows at a time; weights (d, k) and outputs (n, k) are in main memory."""
    weights = weights.to(device)
    return torch.cat([(block @ weights).cpu() for _, block in row_blocks(features, device)])


def transposed_product(features: Features, vectors: Tensor, device: torch.device) -> Tensor:
    """X^T v in float64, some rows at a time; vectors (n, k) and result (d, k) are in main memory."""
    result = torch.zeros(features.width, vectors.shape[1], dtype=torch.float64, device=device)
    for rows, block in row_blocks(features, device):
        result.addmm_(block.T, vectors[rows].to(device))
    return result.cpu()


def row_blocks(features: Features, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """Rows of features in float64, in blocks of about 256 MB."""
    for rows in slices(len(features), max(1, 2**25 // features.width)):
        yield rows, features.read(rows, device, torch.float64)


def mean_diagonal(features: Features, gamma: float | None, device: torch.device) -> float:
    """Mean of K's diagonal, the unit of penalties."""
    if gamma is not None:
        return 1.0
    return sum(float(block.square().sum()) for _, block in row_blocks(features, device)) / len(features)
