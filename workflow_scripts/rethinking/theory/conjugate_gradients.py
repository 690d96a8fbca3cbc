"""Conjugate gradients for several right-hand sides at once, with a preconditioner."""

import math
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
    poor factor, where plain refinement would not. Rounding lets the residual of the recursion fall below b - A x: once
    it is at the tolerance, b - A x is computed, and is where the iteration starts again if it is still above. Where that did
    not halve it, it is the rounding of A x, which no step can lower.

    Args:
        multiply: A times (n, k).
        right_side: b, float64 (n, k).
        precondition: approximate inverse of A times (n, k); symmetric positive definite.
        tolerance: stop at |b - A x| <= tolerance |b|.
        iterations: or after so many steps, at least 1.
        log: called with a line per step.

    Returns:
        The solution with its true residual, which can be above the tolerance.
    """
    size = torch.linalg.vector_norm(right_side)
    x = torch.zeros_like(right_side)
    residual = right_side.clone()
    direction = previous = None
    relative = math.inf
    for step in range(1, iterations + 1):
        corrected = precondition(residual)
        weight = (residual * corrected).sum(0)
        direction = corrected if direction is None else corrected + direction * safe_ratio(weight, previous)
        image = multiply(direction)
        length = safe_ratio(weight, (direction * image).sum(0))
        x += direction * length
        residual -= image * length
        previous = weight
        recursive = float(torch.linalg.vector_norm(residual) / size)
        log(f"refinement step {step}: residual {recursive:.1e}")
        if recursive <= tolerance or step == iterations:
            product = multiply(x)
            residual = right_side - product
            before, relative = relative, float(torch.linalg.vector_norm(residual) / size)
            if relative <= tolerance or not relative < before / 2:
                break
            log(f"its true residual: {relative:.1e}")
            direction = None
    return Solution(x, product, relative, step)


def safe_ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Column by column; 0 for a column that is solved exactly."""
    return torch.where(denominator == 0, 0.0, numerator / torch.where(denominator == 0, 1.0, denominator))
