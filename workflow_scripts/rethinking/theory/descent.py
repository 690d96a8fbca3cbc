"""SGD on a linear model converges to the exact fit of minimum norm if it starts at zero (section 5).

Its steps are multiples of training images, so w stays in their span, which contains only one exact fit:
w = X^T (X X^T)^-1 y.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rethinking.run.files import UserError
from rethinking.streams import stream
from rethinking.theory.linear_models import error, one_hot, relative_distance

RECORDED = 60  # number of epochs at which distances are measured, evenly spaced in the logarithm


def minimum_norm(x: Tensor, targets: Tensor) -> Tensor:
    """X^T (X X^T)^-1 Y, float64 (d, classes), of linearly independent images."""
    return x.T @ torch.cholesky_solve(targets, torch.linalg.cholesky(x @ x.T))


def descend(
    x: Tensor,
    test: Tensor,
    labels: np.ndarray,
    test_labels: np.ndarray,
    classes: int,
    epochs: int,
    batch_size: int,
    seed: int,
    key: str,
    log: Callable[[str], None] = print,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """SGD on the mean of |w^T x - y|^2 / 2, from zero and from a random start as long as the solution.

    The learning rate is 1 / max |x|^2, constant.

    Args:
        x: images (n, d), n < d, float64.
        test: test images (m, d), float64.
        labels: (n,) int64.
        test_labels: (m,) int64.
        classes: number of classes.
        epochs: passes.
        batch_size: images per step.
        seed: of order and start.
        key: names the random streams.
        log: called at the end of each descent.

    Raises:
        UserError: the images are linearly dependent, so not every labelling has an exact fit.

    Returns:
        A row per start and recorded step: ``start``, ``step``, ``distance`` |w - w*| / |w*| from the minimum norm
        solution w*, ``outside`` |component orthogonal to all images| / |w*| and ``residual`` |X w - Y| / |Y|; and
        facts: test errors (percent) and norms of the ends and of w*; :func:`hessian_difference`; ``hessian_rank``, the
        rank of X^T X, and ``dimension``: as the rank is smaller, the Hessian is degenerate everywhere.
    """
    rank = int(torch.linalg.matrix_rank(x))
    if rank < len(x):
        raise UserError(
            f"linear_models.descent needs linearly independent images; these {len(x)} have rank {rank}: take fewer"
        )
    targets = one_hot(labels, classes)
    best = minimum_norm(x, targets)
    basis = torch.linalg.qr(x.T).Q  # of the span of the images
    length = torch.linalg.vector_norm(best)
    rate = 1 / float(x.square().sum(1).max())
    recorded = set(np.unique(np.geomspace(1, epochs, RECORDED).round().astype(int)).tolist())
    draw = torch.from_numpy(stream(seed, "start of descent", key).standard_normal(tuple(best.shape)))
    iterates = {"zero": torch.zeros_like(best), "random": draw * length / torch.linalg.vector_norm(draw)}

    def measures(w: Tensor) -> dict[str, float]:
        outside = w - basis @ (basis.T @ w)
        return {
            "distance": relative_distance(w, best),
            "outside": float(torch.linalg.vector_norm(outside) / length),
            "residual": relative_distance(x @ w, targets),
        }

    rows = []
    facts = {
        "learning_rate": rate,
        "minimum_norm": float(length),
        "minimum_norm_test_error": error(test @ best, test_labels),
    }
    for name, w in iterates.items():
        rng = stream(seed, "order of descent", key)
        step, found = 0, measures(w)
        rows.append({"start": name, "step": step, **found})
        for epoch in range(1, epochs + 1):
            order = torch.from_numpy(rng.permutation(len(x)))
            for chosen in order.split(batch_size):
                some = x[chosen]
                w.addmm_(some.T, some @ w - targets[chosen], alpha=-rate / len(chosen))
                step += 1
            if epoch in recorded:  # as the last one is
                found = measures(w)
                rows.append({"start": name, "step": step, **found})
        log(f"from {name}: after {step:,} steps the relative distance is {rows[-1]['distance']:.2e}")
        end = found | {
            "norm": float(torch.linalg.vector_norm(w)),
            "test_error": error(test @ w, test_labels),
        }
        facts |= {f"{name}_{measure}": value for measure, value in end.items()}
    # Each descent has changed its start in place.
    places = [torch.zeros_like(best), *iterates.values()]
    return pd.DataFrame(rows), facts | {
        "hessian_difference": hessian_difference(x, targets, places, seed, key),
        "hessian_rank": rank,
        "dimension": x.shape[1],
    }


def hessian_difference(x: Tensor, targets: Tensor, places: list[Tensor], seed: int, key: str) -> float:
    """Largest relative difference between the loss's Hessian at several w and X^T X / n, both times one direction.

    The Hessian is found by automatic differentiation.
    """
    direction = torch.from_numpy(stream(seed, "direction of curvature", key).standard_normal(tuple(places[0].shape)))

    def loss(w: Tensor) -> Tensor:
        return (x @ w - targets).square().sum() / (2 * len(x))

    expected = x.T @ (x @ direction) / len(x)
    products = (torch.autograd.functional.hvp(loss, w, direction)[1] for w in places)
    return max(relative_distance(each, expected) for each in products)
