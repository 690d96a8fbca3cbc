"""Exact fits other than the one of minimum norm, and the minimum-norm fit of other labels (section 5)."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rethinking.run.files import UserError
from rethinking.streams import stream
from rethinking.theory import EXACT
from rethinking.theory.gram import kernel_between
from rethinking.theory.linear_models import error, norm, one_hot, relative_distance


def compare_fits(
    train: Tensor,
    test: Tensor,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    classes: int,
    gamma: float,
    seed: int,
    key: str,
    log: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Four functions in the space of the Gaussian kernel that fit their training labels exactly.

    ``minimum_norm`` has its centres at the training images, ``random_centres`` at random points: each coordinate of a
    point is taken from a random training image. ``poisoned`` also fits a random label for each test image, and
    ``random_labels`` fits random training labels.

    Args:
        train: features (n, d), float64, of images that all differ, also from those of ``test``.
        test: features (m, d), float64.
        train_labels: (n,) int64.
        test_labels: (m,) int64.
        classes: number of classes.
        gamma: of the kernel.
        seed: of the draws.
        key: names the random streams.
        log: called with a line per function.

    Raises:
        UserError: rounding leaves no exact fit: its residual is above :data:`rethinking.theory.EXACT`, because the kernel
            of all points is nearly 1 or that of different ones nearly 0.

    Returns:
        ``fit``, ``train_error``, ``test_error`` (percent, on the labels to be fitted and on the true test labels),
        ``norm`` (root of the sum over classes of alpha_c^T K alpha_c) and ``residual`` (|K alpha - Y| / |Y|).
    """
    rng = stream(seed, "random labels of counterexamples", key)
    random_train = rng.integers(classes, size=len(train_labels))
    random_test = rng.integers(classes, size=len(test_labels))
    centres = torch.from_numpy(stream(seed, "random centres", key).permuted(train.numpy(), axis=0))
    both = torch.cat([train, test])
    rows = []
    for name, points, labels, middle in (
        ("minimum_norm", train, train_labels, train),
        ("random_centres", train, train_labels, centres),
        ("poisoned", both, np.concatenate([train_labels, random_test]), both),
        ("random_labels", train, random_train, train),
    ):
        targets = one_hot(labels, classes)
        matrix = kernel_between(points, middle, gamma)
        # Of a singular matrix the residual is huge or nan.
        alpha = torch.linalg.solve_ex(matrix, targets).result
        alpha += torch.linalg.solve_ex(matrix, targets - matrix @ alpha).result  # one step of refinement
        outputs = matrix @ alpha
        residual = relative_distance(outputs, targets)
        if not residual <= EXACT:
            wrong = "small" if float(matrix.mean()) > 0.5 else "large"
            raise UserError(
                f"the counterexample {name} is no exact fit with gamma {gamma:g} (residual {residual:.1e}, more than "
                f"{EXACT:g}): so {wrong} a gamma makes its kernel matrix singular up to rounding; give the model a "
                f"{'larger' if wrong == 'small' else 'smaller'} gamma, or take it out of "
                "linear_models.counterexamples.models"
            )
        inner = outputs if middle is points else kernel_between(middle, middle, gamma) @ alpha
        rows.append(
            {
                "fit": name,
                "train_error": error(outputs, labels),
                "test_error": error(kernel_between(test, middle, gamma) @ alpha, test_labels),
                "norm": norm(alpha * inner),
                "residual": residual,
            }
        )
        numbers = (f"{column} {value:.4g}" for column, value in rows[-1].items() if column != "fit")
        log("  ".join([name, *numbers]))
    return pd.DataFrame(rows)
