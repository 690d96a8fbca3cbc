"""Gamma and penalty of linear models, chosen on a part of the training set; test images play no part."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rethinking.analysis.aggregation import read_columns
from rethinking.config.theory import ValidationConfig
from rethinking.data.prepared import stratified_sample
from rethinking.run.files import UserError
from rethinking.streams import stream
from rethinking.theory import EXACT
from rethinking.theory.features import Features, Log
from rethinking.theory.gram import apply_kernel, inner_products
from rethinking.theory.linear_models import error, norm, one_hot, relative_distance

COLUMNS = ["gamma", "penalty", "train_error", "validation_error", "norm"]


def validation_split(labels: np.ndarray, settings: ValidationConfig, dataset: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices of training images to fit and of others on which to measure the error, with classes in proportion.

    Raises:
        UserError: there are not enough training images.
    """
    count = settings.train + settings.test
    if count > len(labels):
        raise UserError(
            f"linear_models.validation takes {settings.train:,} + {settings.test:,} training images, but {dataset} has "
            f"{len(labels):,}; take fewer"
        )
    rng = stream(0, "validation part", dataset)
    both = stratified_sample(labels, count, rng)
    inside = stratified_sample(labels[both], settings.test, rng)
    return np.delete(both, inside), both[inside]


def validate(
    train: Features,
    test: Features,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    classes: int,
    gammas: list[float | None],
    penalties: list[float],
    device: torch.device,
    log: Log = print,
) -> pd.DataFrame:
    """Errors and norms over gamma and penalty, each solved densely in float64 on the device.

    Returns:
        ``gamma``, ``penalty``, ``train_error``, ``validation_error`` (percent) and ``norm``; nan where the matrix is singular,
        exactly or up to rounding: it has no factor, or |(K + penalty I) alpha - Y| / |Y| is above
        :data:`rethinking.theory.EXACT`.
    """
    everything = slice(None)
    within, across = (
        inner_products(some, everything, train, everything, device, torch.float64) for some in (train, test)
    )
    targets = one_hot(train_labels, classes).to(device)
    rows = []
    for gamma in gammas:
        kernel, between = (
            apply_kernel(products.clone(), left, right, gamma) for products, left, right in (within, across)
        )
        diagonal = float(kernel.diagonal().mean())
        for penalty in penalties:
            row = {"gamma": gamma, "penalty": penalty}
            matrix = kernel.clone()
            matrix.diagonal().add_(penalty * diagonal)
            factor, failed = torch.linalg.cholesky_ex(matrix)
            alpha = torch.cholesky_solve(targets, factor)
            # Rounding gives many a singular matrix a factor, which solves nothing.
            if not failed and relative_distance(matrix @ alpha, targets) <= EXACT:
                outputs = kernel @ alpha
                row["train_error"] = error(outputs.cpu(), train_labels)
                row["validation_error"] = error((between @ alpha).cpu(), test_labels)
                row["norm"] = norm(alpha * outputs)
            rows.append(row)
            log("  ".join(f"{key} {value:g}" for key, value in row.items() if value is not None))
    return pd.DataFrame(rows, columns=COLUMNS).astype("float64")


def read_validation(path: Path | None) -> pd.DataFrame:
    """The table of :func:`validate` from its CSV; empty where there is nothing to choose.

    Raises:
        UserError: it cannot be read or is not such a table; the message names it.
    """
    if path is None:
        return pd.DataFrame(columns=COLUMNS)
    return read_columns(path, dict.fromkeys(COLUMNS, "float64"))


def best_setting(scanned: pd.DataFrame, gamma: float | str | None, penalty: float | str) -> tuple[float | None, float]:
    """Gamma and penalty, with ``validated`` replaced by the value of lowest error on the validation part.

    Gamma is chosen without penalty, and the penalty with that gamma. Where no gamma has an exact fit, as with equal images
    of different labels, gamma is chosen with the smallest penalty that has errors.

    Raises:
        UserError: the validation part has no errors to choose by.
    """
    scanned = scanned.dropna(subset="validation_error")

    def best(table: pd.DataFrame, column: str) -> float:
        if table.empty:
            raise UserError(
                f"no {column} can be chosen: the kernel matrix was singular at each of them, so none has an error; try "
                "others in linear_models"
            )
        return float(table.loc[table.validation_error.idxmin(), column])

    if gamma == "validated":
        gamma = best(scanned[scanned.penalty == scanned.penalty.min()], "gamma")
    if penalty == "validated":
        same = scanned if gamma is None else scanned[np.isclose(scanned.gamma, gamma, atol=0)]
        penalty = best(same[same.penalty > 0], "penalty")
    return gamma, penalty
