"""The form of a claim, and the checks that many claims are made of."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from rethinking.analysis.finding import FITTED
from rethinking.claims import measures
from rethinking.claims.verdicts import Check
from rethinking.paper.titles import MODEL_TITLES


class Claim(NamedTuple):
    """A statement, its place in the paper, and the conditions under which it holds."""

    name: str
    statement: str
    source: str
    predicate: str  # the checks with their bounds, in words
    checks: tuple[Check, ...]


NETWORKS = ("inception", "inception_no_bn", "alexnet", "mlp_3x512", "mlp_1x512")  # table 1
FIGURE_1 = ("inception", "alexnet", "mlp_1x512")  # figures 1b and 1c
INCEPTION = ("inception",)
CROPPED = ("inception", "alexnet")  # table 1 has no cropping for the others

# ---- cells of a network, {} being its name
TRUE = "true_labels/{}/none"
RANDOM = "random_labels/{}/none"
OVER_P = (TRUE, *(f"labels_p{tenth / 10}/{{}}/none" for tenth in range(1, 10)), RANDOM)


def each(
    names: Iterable[str] | Mapping[str, str],
    measure: Callable[..., float],
    *cells: str,
    label: str = "{}",
    **bounds: float,
) -> tuple[Check, ...]:
    """The same check with each name in the cells, with the bounds (and the flags) of :class:`Check`.

    ``names`` are networks, or a mapping of labels to what else cells differ in.
    """
    labels = names if isinstance(names, Mapping) else {MODEL_TITLES[name]: name for name in names}
    return tuple(
        Check(label.format(title), measure, tuple(cell.format(name) for cell in cells), **bounds)
        for title, name in labels.items()
    )


def fit(networks: Iterable[str], cell: str = RANDOM, label: str = "{}") -> tuple[Check, ...]:
    """Each network fits the labels that it was given."""
    return each(networks, measures.train_accuracy, cell, label=label, at_least=FITTED)
