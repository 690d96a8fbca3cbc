"""The cell grammar: which names stand for a trained network, and where it lies.

A cell is data set x corruption x model x regularisers x seed, written as
``cifar10/random_labels/mlp_1x512/none/seed3``. Without the seed it is a cell's name,
which all its seeds share.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from rethinking import registry
from rethinking.run.files import UserError

# The files of a trained network, the summary last.
CELL_FILES = ("curve.csv", "memorisation.csv", "weights.safetensors", "predictions.npz", "summary.json")
NAME_FORM = "data set/corruption/model/regularisers"


class UnknownName(UserError):
    """A cell names something that does not exist; the message says what would be right."""

    def __init__(self, cell: str, part: str, name: str, advice: str) -> None:
        super().__init__(f"cell '{cell}': unknown {part} '{name}'; {advice}")


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

        A cell with a replaced example has the key of the cell without the replacement.
        """
        return canonical_name(self.base.name)

    @property
    def base(self) -> Self:
        """The cell without the replacement of an example; the cell itself if none is replaced."""
        base = registry.entry("corruption", self.corruption).options.get("base")
        return replace(self, corruption=base) if base else self

    def __str__(self) -> str:
        return f"{self.name}/seed{self.seed}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``data set/corruption/model/regularisers/seedN``.

        Raises:
            UserError: a part is unknown; the message names the cell, the part and what would be right.
        """
        name, _, seed = text.rpartition("/")
        if not re.fullmatch(r"seed(0|[1-9]\d*)", seed):
            raise UserError(f"cell '{text}': the last part must be seed0, seed1, ..., not '{seed}'")
        return cls.from_name(name, int(seed.removeprefix("seed")))

    @classmethod
    def from_name(cls, name: str, seed: int) -> Self:
        """Read ``data set/corruption/model/regularisers``; errors as in :meth:`parse`."""
        parts = name.split("/")
        if len(parts) != 4:
            raise UserError(f"cell '{name}' has {len(parts)} parts; the form is {NAME_FORM}")
        dataset, corruption, model, regularisers = parts
        for kind, part in (("dataset", dataset), ("corruption", corruption), ("model", model)):
            if registry.find(kind, part) is None:
                raise UnknownName(name, registry.TITLES.get(kind, kind), part, registry.advice(kind, part))
        return cls(dataset, corruption, model, parse_regularisers(name, regularisers), seed)


def canonical_name(name: str) -> str:
    """Write ``labels_p0.0`` as ``true_labels`` and ``labels_p1.0`` as ``random_labels``, so that cells are shared."""
    same = synonyms()
    return "/".join(same.get(part, part) for part in name.split("/"))


def synonyms() -> dict[str, str]:
    """Other names of corruptions, and the ones that cells are shared under."""
    return {also: entry.name for entry in registry.entries("corruption") if (also := entry.options.get("also"))}


def corruption_names(corruption: str) -> list[str]:
    """All names of a corruption: ``true_labels`` is ``labels_p0.0`` too, ``random_labels`` is ``labels_p1.0``."""
    same = synonyms()
    canonical = same.get(corruption, corruption)
    return [canonical, *(name for name in same if same[name] == canonical)]


def parse_regularisers(cell: str, text: str) -> tuple[str, ...]:
    """Read ``none`` or regularisers joined with ``+`` in their fixed order."""
    if text == "none":
        return ()
    given = text.split("+")
    for value in given:
        if registry.find("regulariser", value) is None:
            raise UnknownName(cell, "regulariser", value, registry.advice("regulariser", value, "; or none"))
    ordered = tuple(value for value in registry.names("regulariser") if value in given)
    if list(ordered) != given:
        raise UserError(f"cell '{cell}': write its regularisers as '{'+'.join(ordered)}', not '{text}'")
    return ordered


def parameters(corruption: str) -> dict[str, float]:
    """The parameters of a corruption, from its name and its registration; none if there is no such corruption."""
    entry = registry.find("corruption", corruption)
    return entry.parameters(corruption) if entry else {}


def probability(corruption: str) -> float | None:
    """The probability p at which a corruption replaces labels; None for what is no such corruption."""
    entry = registry.find("corruption", corruption)
    return parameters(corruption).get("p") if entry and entry.changes == "labels" else None


def sample_size(corruption: str) -> int | None:
    """Training images of a problem of two classes, such as ``random_signs_n500``; None for other corruptions."""
    entry = registry.find("corruption", corruption)
    sample = entry.options.get("sample") if entry else None
    return int(parameters(corruption)[sample]) if sample else None


def replaced_example(corruption: str) -> int | None:
    """Which example is replaced, by its place in a random order, such as 0; None if none is."""
    entry = registry.find("corruption", corruption)
    return int(parameters(corruption)["number"]) if entry and "base" in entry.options else None


def by_network(names: Iterable[str]) -> dict[tuple[str, str, str], dict[float, str]]:
    """Cells by data set, model and regularisers, and by the probability p at which labels are replaced, smallest first.

    Raises:
        UserError: a cell has no p, for example because its pixels are corrupted, or the p of another; or the labels of
            two are replaced in different ways.
    """
    networks: dict[tuple[str, str, str], dict[float, str]] = defaultdict(dict)
    for name in names:
        dataset, corruption, model, regularisers = name.split("/")
        p = probability(corruption)
        if p is None:
            raise UserError(
                f"cell '{name}' cannot be shown over the label corruption; "
                "take true_labels, random_labels or labels_p0.0 to labels_p1.0"
            )
        cells = networks[dataset, model, regularisers]
        if cells.setdefault(p, name) != name:
            raise UserError(f"cells '{cells[p]}' and '{name}' have the same p; show one of them")
    for levels in networks.values():
        kinds = {noise_of_plugin(name): name for p, name in levels.items() if p > 0}
        if len(kinds) > 1:
            one, other, *_ = kinds.values()
            raise UserError(
                f"cells '{one}' and '{other}' have different kinds of noise, which one curve cannot show; leave one out"
            )
    return {network: dict(sorted(levels.items())) for network, levels in networks.items()}


def noise_of_plugin(name: str) -> tuple[Any, ...] | None:
    """Which corruption of a plug-in a cell has, with its parameters but p; None for the paper's."""
    corruption = name.split("/")[1]
    entry = registry.entry("corruption", corruption)
    others = (each for each in parameters(corruption).items() if each[0] != "p")
    return (entry.name, *others) if entry.own else None
