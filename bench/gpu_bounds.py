"""How far training on a GPU may be from training on a CPU.

Both draw the same weights, order and augmentation, so that rounding is all that differs: how many bits the factors of
a product have, and in which order sums are taken. Rounding of the forward pass shows in the untrained network;
training magnifies it, in later epochs without bound, which is why a few early ones are compared. The bounds
are at least ten times what CPUs show: float32 against another order of sums and against float64, TF32 with factors
rounded to its 10 bits, and bfloat16 (8 bits) itself. They are far below the effect of an error
in the training: tests/unit/test_gpu_check.py makes some.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """The largest differences that pass."""

    start: float  # of the untrained network's losses, relative
    loss: float  # of the losses of later epochs, relative
    accuracy: float  # of all accuracies, percentage points


BOUNDS = {
    "float32": Bound(start=1e-5, loss=0.02, accuracy=4),
    "tf32": Bound(start=2e-3, loss=0.04, accuracy=6),
    "bfloat16": Bound(start=1e-2, loss=0.06, accuracy=8),
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
