"""Kernel matrices in tiles: none is ever held as a whole."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rethinking.features import Features


def slices(size: int, step: int) -> list[slice]:
    """0 to ``size`` in pieces of ``step``."""
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def kernel_tile(left: list[Tensor], right: list[Tensor], gamma: float | None) -> Tensor:
    """The kernel between rows of features, both given in blocks of columns.

    Args:
        left: blocks (m, d_b).
        right: blocks (n, d_b).
        gamma: exp(-gamma |x - x'|^2); None is <x, x'>.

    Returns:
        (m, n).
    """
    products = left[0] @ right[0].T
    for a, b in zip(left[1:], right[1:], strict=True):
        products.addmm_(a, b.T)
    if gamma is None:
        return products
    squares = [sum(part.square().sum(1) for part in parts) for parts in (left, right)]
    distances = products.mul_(-2).add_(squares[0][:, None]).add_(squares[1]).clamp_(min=0)
    return distances.mul_(-gamma).exp_()


def dense_products(left: Features, right: Features, columns: int = 4096) -> tuple[Tensor, Tensor]:
    """Inner products and squared distances between all rows, float64 (m, n) each, some columns of the features at a time."""
    products = torch.zeros(len(left), len(right), dtype=torch.float64)
    squares = [torch.zeros(len(some), dtype=torch.float64) for some in (left, right)]
    everything, cpu = slice(None), torch.device("cpu")
    for part in slices(left.width, columns):
        a, b = (some.read(everything, cpu, torch.float64, part) for some in (left, right))
        products.addmm_(a, b.T)
        for total, values in zip(squares, (a, b), strict=True):
            total += values.square().sum(1)
    return products, (squares[0][:, None] + squares[1] - 2 * products).clamp_(min=0)


class KernelSystem:
    """The dual system (K + penalty I) alpha = Y over n training images.

    Args:
        features: of the training images.
        gamma: of the Gaussian kernel; None is the linear kernel.
        penalty: added to the diagonal, absolute.
        device: where tiles are computed.
        step: rows and columns of a tile.
    """

    def __init__(
        self, features: Features, gamma: float | None, penalty: float, device: torch.device, step: int
    ) -> None:
        self.features, self.gamma, self.penalty, self.device = features, gamma, penalty, device
        self.size = len(features)
        self.slices = slices(self.size, step)

    def tile(self, row: int, column: int, dtype: torch.dtype) -> Tensor:
        """A tile of K + penalty I."""
        left = self.features.parts(self.slices[row], self.device, dtype)
        if row == column:
            tile = kernel_tile(left, left, self.gamma)
            if self.gamma is not None:
                tile.fill_diagonal_(1)
            tile.diagonal().add_(self.penalty)
            return tile
        return kernel_tile(left, self.features.parts(self.slices[column], self.device, dtype), self.gamma)

    def right_side(self, targets: Tensor) -> Tensor:
        """Y, float64 (n, classes)."""
        return targets

    def multiply(self, vectors: Tensor) -> Tensor:
        """(K + penalty I) times float64 (n, k), in float64; of a symmetric K each tile is computed once."""
        if self.gamma is None:
            return (
                linear_outputs(self.features, transposed_product(self.features, vectors))
                + self.penalty * vectors
            )
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
            return linear_outputs(others, transposed_product(self.features, solution))
        return kernel_outputs(others, self.features, self.gamma, solution, self.device, self.slices)

    def squared_norms(self, solution: Tensor, fitted: Tensor) -> Tensor:
        """alpha_c^T K alpha_c of each class, (k,)."""
        return (solution * fitted).sum(0)


class CovarianceSystem:
    """The primal system (X^T X + penalty I) w = X^T Y of the linear kernel, where features are fewer than images.

    It has the same solution function as :class:`KernelSystem`, whose matrix has not full rank then.
    """

    gamma = None

    def __init__(self, features: Features, penalty: float, device: torch.device, step: int) -> None:
        self.features, self.penalty, self.device = features, penalty, device
        self.size = features.width
        self.slices = slices(self.size, step)

    def tile(self, row: int, column: int, dtype: torch.dtype) -> Tensor:
        """A tile of X^T X + penalty I."""
        tile = None
        for rows in slices(len(self.features), 4096):
            left = self.features.read(rows, self.device, dtype, self.slices[row])
            right = (
                left if row == column else self.features.read(rows, self.device, dtype, self.slices[column])
            )
            tile = left.T @ right if tile is None else tile.addmm_(left.T, right)
        if row == column:
            tile.diagonal().add_(self.penalty)
        return tile

    def right_side(self, targets: Tensor) -> Tensor:
        """X^T Y."""
        return transposed_product(self.features, targets)

    def multiply(self, vectors: Tensor) -> Tensor:
        """(X^T X + penalty I) times (d, k), in float64."""
        return (
            transposed_product(self.features, linear_outputs(self.features, vectors)) + self.penalty * vectors
        )

    def fitted(self, solution: Tensor, product: Tensor) -> Tensor:
        """Outputs X w on the training images."""
        return linear_outputs(self.features, solution)

    def outputs(self, solution: Tensor, others: Features) -> Tensor:
        """Outputs (m, k) on other images."""
        return linear_outputs(others, solution)

    def squared_norms(self, solution: Tensor, fitted: Tensor) -> Tensor:
        """|w_c|^2 of each class, (k,)."""
        return solution.square().sum(0)


def kernel_outputs(
    rows: Features, columns: Features, gamma: float, alpha: Tensor, device: torch.device, parts: list[slice]
) -> Tensor:
    """K alpha between two sets of images in float64, tile by tile."""
    result = torch.zeros(len(rows), alpha.shape[1], dtype=torch.float64)
    for some in slices(len(rows), parts[0].stop - parts[0].start):
        left = rows.parts(some, device, torch.float64)
        for part in parts:
            right = columns.parts(part, device, torch.float64)
            result[some] += (kernel_tile(left, right, gamma) @ alpha[part].to(device)).cpu()
    return result


def linear_outputs(features: Features, weights: Tensor) -> Tensor:
    """X w in float64, some rows at a time."""
    return torch.cat([block @ weights for _, block in row_blocks(features)])


def transposed_product(features: Features, vectors: Tensor) -> Tensor:
    """X^T v in float64, some rows at a time."""
    result = torch.zeros(features.width, vectors.shape[1], dtype=torch.float64)
    for rows, block in row_blocks(features):
        result.addmm_(block.T, vectors[rows])
    return result


def row_blocks(features: Features) -> Iterator[tuple[slice, Tensor]]:
    """Rows of features in float64, so many that a block takes about 256 MB."""
    cpu = torch.device("cpu")
    for rows in slices(len(features), max(1, 2**25 // features.width)):
        yield rows, features.read(rows, cpu, torch.float64)


def mean_diagonal(features: Features, gamma: float | None) -> float:
    """Mean of K's diagonal, the unit of penalties."""
    if gamma is not None:
        return 1.0
    return sum(float(block.square().sum()) for _, block in row_blocks(features)) / len(features)
