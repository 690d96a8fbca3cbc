"""Exact fits of linear models (section 5, table 3): K alpha = y, its norm and its errors."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rethinking.config.theory import SolverConfig
from rethinking.data.prepared import SHOWN, contradictions
from rethinking.run.files import UserError
from rethinking.theory import NOT_CONVERGED
from rethinking.theory.cholesky import NotPositiveDefinite, TiledCholesky
from rethinking.theory.conjugate_gradients import Solution, conjugate_gradients
from rethinking.theory.features import Features, Log, opened
from rethinking.theory.gram import CovarianceSystem, KernelSystem, System, mean_diagonal

# Least squares is solved by a singular value decomposition up to so many features or images, whichever are fewer, and,
# where features are more, up to so many of their values, in all 1 GiB.
DENSE, DENSE_VALUES = 2500, 2**27
# Added to the diagonal, in units of its mean, and tried in this order if the matrix has no factor without it.
JITTERS = (1e-6, 1e-5, 1e-4, 1e-3)
CPU = torch.device("cpu")


def one_hot(labels: np.ndarray, classes: int) -> Tensor:
    """0 and 1, float64 (n, classes)."""
    return torch.nn.functional.one_hot(torch.from_numpy(np.array(labels)), classes).double()


def error(outputs: Tensor, labels: np.ndarray) -> float:
    """Percentage of images whose largest output does not belong to their label."""
    return 100 * float(np.mean(outputs.argmax(1).numpy() != labels))


def norm(squares: Tensor) -> float:
    """Root of the sum of squares, which rounding can make negative."""
    return math.sqrt(max(float(squares.sum()), 0.0))


def relative_distance(found: Tensor, wanted: Tensor) -> float:
    """|found - wanted| / |wanted|."""
    return float(torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted))


def fit(
    train: Features,
    test: Features,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    classes: int,
    gamma: float | None,
    penalty: float,
    solver: SolverConfig,
    scratch: Path,
    device: torch.device,
    log: Log = print,
    images: np.ndarray | None = None,
) -> tuple[dict[str, Any], Tensor]:
    """Solve (K + penalty * mean(diagonal of K) I) alpha = Y with Y of 0 and 1, and measure the solution.

    A linear kernel with fewer features than images is solved in its primal form, which has the same solution
    function. Without a penalty no exact solution exists, so it is the least-squares solution of minimum norm; so it is
    for a linear kernel of linearly dependent images, if these are few enough (:data:`DENSE`, :data:`DENSE_VALUES`).

    Args:
        train: features of the training images.
        test: those of the test images.
        train_labels: (n,) int64.
        test_labels: (m,) int64.
        classes: number of classes.
        gamma: of the Gaussian kernel; None is the linear kernel.
        penalty: in units of the mean of K's diagonal.
        solver: precision, tiles, accuracy.
        scratch: folder for tiles of the matrix (of a linear kernel) and of the factor; a later call with the same
            features continues from those that are there.
        device: where tiles are computed.
        log: called with lines of progress.
        images: (n, ...) the training images, whose features can differ by rounding where they are equal.

    Raises:
        UserError: no function fits the labels exactly, though the features are enough and there is no penalty: the
            message names equal images with different labels. Or the solver does not converge: the residual is 1 or more.

    Returns:
        The numbers of a summary, and the outputs on the test images, float64 (m, classes). Errors are percentages.
        ``norm`` is the root of the sum over classes of alpha_c^T K alpha_c, ``class_norms`` its parts; ``misfit``
        |Y - f(X)| / |Y| on the training images; ``residual`` that of the system that was solved, in float64;
        ``solver`` how, and whether it missed its tolerance: then the residual is above it, and the fit is not exact;
        ``rank`` the rank of K, if it is known.
    """
    targets = one_hot(train_labels, classes)
    primal = gamma is None and train.width < len(train)
    dense = gamma is None and penalty == 0 and min(train.width, len(train)) <= DENSE
    dense = dense and (primal or train.width * len(train) <= DENSE_VALUES)
    if penalty == 0 and not primal:
        for some in (train, *([] if images is None else [Features([images])])):
            refuse_contradictions(some, train_labels)
        # Linearly dependent images have an exact fit to some labels only, and conjugate gradients diverge on others.
        if dense:
            x = train.read(slice(None), CPU, torch.float64)
            primal = int(torch.linalg.matrix_rank(x)) < len(train)
    held = train.on(device)
    absolute = penalty * mean_diagonal(held, gamma, device)
    facts: dict[str, Any] = {
        "form": "primal" if primal else "dual",
        "features": train.width,
        "penalty": penalty,
    }
    where = device, solver.tile, scratch / "matrix"
    system = CovarianceSystem(held, absolute, *where) if primal else KernelSystem(held, gamma, absolute, *where)
    if primal and dense:
        solution, more = least_squares(train, targets, system)
    else:
        solution, more = solve_by_factor(train, system, targets, solver, scratch, device, log)
    fitted = system.fitted(solution.x, solution.product)
    outputs = system.outputs(solution.x, test)
    squares = system.squared_norms(solution.x, fitted)
    facts |= {
        **more,
        "residual": solution.residual,
        "iterations": solution.iterations,
        "misfit": relative_distance(fitted, targets),
        "train_error": error(fitted, train_labels),
        "test_error": error(outputs, test_labels),
        "norm": norm(squares),
        "class_norms": squares.clamp(min=0).sqrt().tolist(),
        **norms_of_other_targets(system, solution.x, fitted),
    }
    return facts, outputs


def equal_features(train: Features, labels: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of equal features with different labels."""
    blocks = [opened(block) for block in train.blocks]
    return [
        pair
        for pair in contradictions(blocks[0], labels)
        if all(np.array_equal(*block[list(pair)]) for block in blocks)
    ]


def refuse_contradictions(train: Features, labels: np.ndarray) -> None:
    """Refuse equal features with different labels, to which no exact fit exists.

    Raises:
        UserError: the message names the images.
    """
    if pairs := equal_features(train, labels):
        shown = "; ".join(f"{i} (label {labels[i]}) = {j} (label {labels[j]})" for i, j in pairs[:SHOWN])
        raise UserError(
            f"no function fits these labels exactly: {len(pairs):,} training images look to the model like one of another "
            f"class: {shown}{'; ...' if len(pairs) > SHOWN else ''} (numbered from 0 in train_images.npy; where the pixels "
            "are equal, manifest.json beside it names the files). Remove one of each pair from the data set, or give "
            "a penalty above 0"
        )


def norms_of_other_targets(system: System, solution: Tensor, fitted: Tensor) -> dict[str, float]:
    """Norms for other ways to write labels as numbers; they follow from this solution, which is linear in the targets.

    Returns:
        ``signed_norm``, for targets 1 and -1 in place of 1 and 0 for each class (exact if the labels are fitted exactly);
        ``number_norm``, for the number of the class as the only target.
    """
    classes = solution.shape[1]
    signed = 2 * torch.eye(classes, dtype=torch.float64) - 1
    numbers = torch.arange(classes, dtype=torch.float64)[:, None]
    return {
        f"{name}_norm": norm(system.squared_norms(solution @ mix, fitted @ mix))
        for name, mix in (("signed", signed), ("number", numbers))
    }


# ---- solvers


def solve_by_factor(
    train: Features,
    system: System,
    targets: Tensor,
    solver: SolverConfig,
    scratch: Path,
    device: torch.device,
    log: Log,
) -> tuple[Solution, dict[str, Any]]:
    """Cholesky factor in tiles, then refinement by conjugate gradients with residuals in float64.

    A matrix that is not positive definite in float32 is factored in float64 (``auto``). If it is not positive definite
    in the last allowed precision either, a jitter is added to the diagonal of the factor. This costs more steps of
    refinement, but does not change the system that is solved.
    """
    names = [solver.precision]
    if solver.precision == "auto":
        names = ["float64"] if device.type == "cuda" else ["float32", "float64"]
    attempts = [(name, 0.0) for name in names] + [(names[-1], jitter) for jitter in JITTERS]
    for name, jitter in attempts:
        folder = scratch / f"factor_{name}_{system.penalty:g}_{jitter:g}"
        failed = folder / "not_definite"  # so that a killed run does not try it again
        if failed.exists():
            continue
        try:
            dtype = getattr(torch, name)
            added = jitter * float(system.tile(0, 0, dtype).diagonal().mean()) if jitter else 0.0
            factor = TiledCholesky(system, folder, dtype, device, added, log)
            break
        except NotPositiveDefinite as fault:
            log(f"not positive definite in {name} with {jitter:g} of the diagonal added to it: {fault}")
            for path in folder.glob("*.npy"):
                path.unlink()
            folder.mkdir(parents=True, exist_ok=True)
            failed.touch()
    else:
        finer = "" if name == "float64" else "set linear_models.solver.precision: float64, or "
        raise UserError(f"the matrix is not positive definite in {name}; {finer}give a penalty")
    solution = conjugate_gradients(
        system.multiply, system.right_side(targets), factor.solve, solver.residual, solver.iterations, log
    )
    factor.delete()
    if not solution.residual < 1:  # worse than no fit at all
        raise UserError(
            f"the solver does not converge (residual {solution.residual:.1e}): the features of the training images are "
            "linearly dependent, exactly or up to rounding, so these labels have no exact fit; give a penalty above 0"
            f"{'' if system.gamma is None else ', or a larger gamma'}"
        )
    converged = solution.residual <= solver.residual
    if not converged:
        log(
            f"after {solution.iterations} steps the residual is {solution.residual:.1e}, above "
            f"linear_models.solver.residual ({solver.residual:g}): the solution is not exact"
        )
    definite = converged and jitter == 0 and isinstance(system, KernelSystem) and system.penalty == 0
    # Rounding can give equal images of one class a factor; any numbers that differ serve as labels here.
    definite = definite and not equal_features(train, np.arange(system.size))
    return solution, {
        "solver": "cholesky" if converged else f"cholesky, {NOT_CONVERGED}",
        "precision": name,
        "jitter": jitter,
        "rank": system.size if definite else None,
    }


def least_squares(train: Features, targets: Tensor, system: System) -> tuple[Solution, dict[str, Any]]:
    """The least-squares solution of minimum norm, by a singular value decomposition of the features."""
    x = train.read(slice(0, len(train)), CPU, torch.float64)
    weights, _, rank, _ = torch.linalg.lstsq(x, targets, driver="gelsd", rcond=max(x.shape) * torch.finfo(x.dtype).eps)
    product = system.multiply(weights)
    residual = relative_distance(product, system.right_side(targets))
    return Solution(weights, product, residual, 0), {
        "solver": "least squares",
        "precision": "float64",
        "jitter": 0.0,
        "rank": int(rank),
    }
