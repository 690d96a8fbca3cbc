"""Conjugate gradients for several right-hand sides at once, with a preconditioner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """Approximate solution x of A x = b, with A x and its residual."""

    x: Tensor
    product: Tensor
    residual: float  # |b - A x| / |b|, computed from this product
    iterations: int


def conjugate_gradients(
    multiply: Callable[[Tensor], Tensor],
    right_side: Tensor,
    precondition: Callable[[Tensor], Tensor],
    tolerance: float,
    iterations: int,
    log: Callable[[str], None] = print,
) -> Solution:
    """Solve A x = b for a symmetric positive definite A, in float64.

    With a factor of A in a lower precision as preconditioner this is iterative refinement. It converges even with a
    poor factor, where plain refinement would not.

    Args:
        multiply: A times (n, k).
        right_side: b, float64 (n, k).
        precondition: approximate inverse of A times (n, k); symmetric positive definite.
        tolerance: stop at |b - A x| <= tolerance |b|.
        iterations: or after so many steps.
        log: called with a line per step.

    Returns:
        The solution with its true residual, which takes one more product with A.
    """
    size = torch.linalg.vector_norm(right_side)
    x = torch.zeros_like(right_side)
    residual = right_side.clone()
    direction = previous = None
    step = 0
    for step in range(1, iterations + 1):
        corrected = precondition(residual)
        weight = (residual * corrected).sum(0)
        direction = corrected if direction is None else corrected + direction * safe_ratio(weight, previous)
        image = multiply(direction)
        length = safe_ratio(weight, (direction * image).sum(0))
        x += direction * length
        residual -= image * length
        previous = weight
        relative = float(torch.linalg.vector_norm(residual) / size)
        log(f"refinement step {step}: residual {relative:.1e}")
        if relative <= tolerance:
            break
    product = multiply(x)
    return Solution(x, product, float(torch.linalg.vector_norm(right_side - product) / size), step)


def safe_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Column by column; 0 for a column that is solved exactly."""
    return torch.where(denominator == 0, 0.0, numerator / torch.where(denominator == 0, 1.0, denominator))
