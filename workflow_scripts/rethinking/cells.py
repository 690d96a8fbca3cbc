"""The cell grammar: which names stand for a trained network, and where it lies.

A cell is data set x corruption x model x regularisers x seed, written as
``cifar10/random_labels/mlp_1x512/none/seed3``. Without the seed it is a cell's name,
which all its seeds share.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rethinking.models import MODELS
from rethinking.run.files import UserError

DATASETS = ("digits", "mnist", "cifar10", "cifar100")
PIXEL_CORRUPTIONS = ("shuffled_pixels", "random_pixels", "gaussian")
CORRUPTIONS = ("true_labels", "random_labels", *PIXEL_CORRUPTIONS)
REGULARISERS = ("crop", "augment", "wd")  # in the order in which names list them
# The files of a trained network, the summary last.
CELL_FILES = ("curve.csv", "memorisation.csv", "weights.safetensors", "predictions.npz", "summary.json")
NAME_FORM = "data set/corruption/model/regularisers"
_SIGNS = re.compile(r"(true|random)_signs_n([1-9]\d*)")
_REPLACED = re.compile(r"(true_labels|random_labels)_replaced(0|[1-9]\d*)")
_PARTIAL = re.compile(r"labels_p(0\.0|0\.\d*[1-9]|1\.0)")
_SYNONYMS = {"labels_p0.0": "true_labels", "labels_p1.0": "random_labels"}


class UnknownName(UserError):
    """A cell names something that does not exist; ``advice`` says what would be right."""

    def __init__(self, cell: str, part: str, name: str, advice: str) -> None:
        super().__init__(f"cell '{cell}': unknown {part} '{name}'; {advice}")
        self.name = name
        self.advice = advice


@dataclass(frozen=True, order=True)
class Cell:
    """One network to train."""

    dataset: str
    corruption: str
    model: str
    regularisers: tuple[str, ...]
    seed: int

    @property
    def name(self) -> str:
        """The cell without its seed."""
        return f"{self.dataset}/{self.corruption}/{self.model}/{'+'.join(self.regularisers) or 'none'}"

    @property
    def stream_key(self) -> str:
        """What the cell's random draws are keyed by: its name, the same for two names of one corruption.

        Where an example is replaced it is that of the cell without.
        """
        return canonical_name(self.base.name)

    @property
    def base(self) -> Cell:
        """The cell without the replacement of an example; the cell itself if none is replaced."""
        replaced = _REPLACED.fullmatch(self.corruption)
        return replace(self, corruption=replaced[1]) if replaced else self

    def __str__(self) -> str:
        return f"{self.name}/seed{self.seed}"

    @classmethod
    def parse(cls, text: str) -> Cell:
        """Read ``data set/corruption/model/regularisers/seedN``.

        Raises:
            UserError: a part is unknown; the message names the cell, the part and what would be right.
        """
        name, _, seed = text.rpartition("/")
        if not re.fullmatch(r"seed(0|[1-9]\d*)", seed):
            raise UserError(f"cell '{text}': the last part must be seed0, seed1, ..., not '{seed}'")
        return cls.from_name(name, int(seed.removeprefix("seed")))

    @classmethod
    def from_name(cls, name: str, seed: int) -> Cell:
        """Read ``data set/corruption/model/regularisers``; errors as in :meth:`parse`."""
        parts = name.split("/")
        if len(parts) != 4:
            raise UserError(f"cell '{name}' has {len(parts)} parts; the form is {NAME_FORM}")
        dataset, corruption, model, regularisers = parts
        known(name, "data set", dataset, DATASETS)
        if not any(form.fullmatch(corruption) for form in (_PARTIAL, _SIGNS, _REPLACED)):
            more = (
                "; or labels_p0.0 to labels_p1.0 (0.5, not 0.50), true_signs_n500 or random_signs_n500 (or another "
                "number of images), true_labels_replaced0 or random_labels_replaced0 (or 1, 2, ...)"
            )
            known(name, "corruption", corruption, CORRUPTIONS, more)
        known(name, "model", model, MODELS)
        return cls(dataset, corruption, model, parse_regularisers(name, regularisers), seed)


def canonical_name(name: str) -> str:
    """Write ``labels_p0.0`` as ``true_labels`` and ``labels_p1.0`` as ``random_labels``, so that cells are shared."""
    return "/".join(_SYNONYMS.get(part, part) for part in name.split("/"))


def corruption_names(corruption: str) -> list[str]:
    """All names of a corruption: ``true_labels`` is ``labels_p0.0`` too, ``random_labels`` is ``labels_p1.0``."""
    canonical = _SYNONYMS.get(corruption, corruption)
    return [canonical, *(name for name, same in _SYNONYMS.items() if same == canonical)]


def known(cell: str, part: str, value: str, choices: Iterable[str], more: str = "") -> None:
    """Raise an UnknownName with the nearest right value if ``value`` is not among ``choices``."""
    if value not in choices:
        near = difflib.get_close_matches(value, choices, 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UnknownName(cell, part, value, f"{hint}known: {', '.join(choices)}{more}")


def parse_regularisers(cell: str, text: str) -> tuple[str, ...]:
    """Read ``none`` or regularisers joined with ``+`` in their fixed order."""
    if text == "none":
        return ()
    given = text.split("+")
    for value in given:
        known(cell, "regulariser", value, REGULARISERS, "; or none")
    ordered = tuple(value for value in REGULARISERS if value in given)
    if list(ordered) != given:
        raise UserError(f"cell '{cell}': write its regularisers as '{'+'.join(ordered)}', not '{text}'")
    return ordered


def corruption_kind(corruption: str) -> str:
    """Which module of :mod:`rethinking.corruption` draws a corruption."""
    if corruption in PIXEL_CORRUPTIONS:
        return "pixels"
    if sample_size(corruption) is not None:
        return "signs"
    if replaced_example(corruption) is not None:
        return "replacements"
    return "labels"


def label_corruption(corruption: str) -> float:
    """The probability p at which a corruption replaces labels; 0 where it leaves them alone."""
    if corruption == "random_labels":
        return 1.0
    partial = _PARTIAL.fullmatch(corruption)
    return float(partial[1]) if partial else 0.0


def sample_size(corruption: str) -> int | None:
    """Training images of a problem of two classes, such as ``random_signs_n500``; None for other corruptions."""
    signs = _SIGNS.fullmatch(corruption)
    return int(signs[2]) if signs else None


def replaced_example(corruption: str) -> int | None:
    """Which example is replaced, by its place in a random order, such as 0; None if none is."""
    replaced = _REPLACED.fullmatch(corruption)
    return int(replaced[2]) if replaced else None
