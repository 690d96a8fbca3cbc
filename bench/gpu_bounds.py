"""How far training on a GPU may be from training on a CPU.

Both draw the same weights, order and augmentation, so that rounding is all that differs: how many bits the factors of
a product have, and in which order sums are taken. Rounding of the forward pass shows in the untrained network;
training magnifies it, in later epochs without bound, which is why the first two are compared.

The bounds lie between two things that were measured on a CPU. Rounding (one unit in the last place of each weight for
float32, factors rounded to 10 bits for TF32, and bfloat16 itself) changed losses in training by at most 0.0003, 0.005
and 0.002, of their size. An error, keeping the learning rate of the first epoch, changed them by 0.12 in both MLPs, 0.03
in AlexNet and 0.012 in the Inception; tests/unit/test_gpu_check.py makes others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bound:
    """The largest differences that pass."""

    start: float  # of the untrained network's losses, relative
    loss: float  # of the losses of later epochs, relative
    accuracy: float  # of all accuracies, percentage points


BOUNDS = {
    "float32": Bound(start=1e-5, loss=0.01, accuracy=4),
    "tf32": Bound(start=2e-3, loss=0.02, accuracy=10),
    "bfloat16": Bound(start=1e-2, loss=0.02, accuracy=10),
}


@dataclass(frozen=True)
class Comparison:
    """One difference and the largest that passes."""

    name: str  # of what is compared
    difference: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within its bound; one that is not a number is not."""
        return self.difference <= self.bound

    def as_json(self) -> dict[str, Any]:
        """Name, difference (None where it is no finite number), bound and whether it passed."""
        difference = self.difference if math.isfinite(self.difference) else None
        return {"name": self.name, "difference": difference, "bound": self.bound, "passed": self.passed}


def compare_curves(
    name: str,
    found: Sequence[Mapping[str, float]],
    expected: Sequence[Mapping[str, float]],
    bound: Bound,
) -> Iterator[Comparison]:
    """Compare two learning curves, rows as in curve.csv; each comparison has the largest difference of its kind."""
    if len(found) != len(expected):
        yield Comparison(f"{name}: epochs that it trained without diverging", math.inf, 0)
        return

    def worst(rows: slice, *columns: str, relative: bool) -> float:
        differences = [
            abs(ours[column] - theirs[column]) / (abs(theirs[column]) if relative else 1)
            for ours, theirs in zip(found[rows], expected[rows], strict=True)
            for column in columns
        ]
        return math.nan if any(map(math.isnan, differences)) else max(differences)

    losses, accuracies = ("train_loss", "test_loss"), ("train_accuracy", "test_accuracy")
    untrained, trained = slice(0, 1), slice(1, None)
    yield Comparison(f"{name}: losses before training", worst(untrained, *losses, relative=True), bound.start)
    yield Comparison(f"{name}: losses in training", worst(trained, *losses, relative=True), bound.loss)
    yield Comparison(f"{name}: accuracies", worst(slice(None), *accuracies, relative=False), bound.accuracy)
