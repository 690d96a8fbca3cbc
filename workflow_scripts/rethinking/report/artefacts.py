"""The tables and figures that the workflow makes: their files, and what a reader should look for in each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

Kind = Literal["table", "figure", "claims", "ablation"]


@cache
def captions() -> dict[str, str]:
    """The captions of all tables and figures, by name."""
    return yaml.safe_load(Path(__file__).with_name("captions.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Artefact:
    """One table or figure."""

    name: str
    kind: Kind
    title: str
    sections: tuple[str, ...]  # of the configuration; it is made if any of them has cells

    @property
    def caption(self) -> str:
        """What the paper shows, what to look for, how ours differs."""
        return captions()[self.name]

    @property
    def filename(self) -> str:
        """The file that a report shows, in the folder of the results."""
        return f"{self.name}.{'svg' if self.kind == 'figure' else 'md'}"


CURVES = ("fig1a", "fig1b", "fig1c", "fig2b")
ARTEFACTS = (
    Artefact("table1", "table", "Table 1: the same networks fit true and random labels", ("table1",)),
    Artefact(
        "table4", "table", "Table 4: explicit regularisers do not prevent fitting random labels", ("table4",)
    ),
    Artefact("sizes", "table", "Sizes: more parameters than training images", ()),
    Artefact("curve_differences", "table", "Differences between our curves and the paper's", CURVES),
    Artefact("fig1a", "figure", "Figure 1a: training loss on true and corrupted data", ("fig1a",)),
    Artefact("fig1b", "figure", "Figure 1b: relative time to overfit over the label corruption", ("fig1b",)),
    Artefact("fig1c", "figure", "Figure 1c: test error over the label corruption", ("fig1c",)),
    Artefact("fig2b", "figure", "Figure 2b: with and without batch normalisation", ("fig2b",)),
    Artefact(
        "memorisation",
        "figure",
        "Memorisation: what is learnt first when some labels are wrong",
        ("memorisation",),
    ),
    Artefact("table2", "table", "Table 2: Inception V3 on ImageNet", ("table2",)),
    Artefact("fig2a", "figure", "Figure 2a: Inception V3 on ImageNet and early stopping", ("fig2a",)),
    Artefact("rademacher", "table", "Section 2.2: Rademacher complexity", ("capacity",)),
    Artefact("stability", "table", "Section 2.2: uniform stability", ("capacity",)),
    Artefact(
        "capacity", "figure", "Section 2.2: Rademacher complexity and stability beside the gap", ("capacity",)
    ),
    Artefact(
        "complexity", "table", "Complexity: does any measure explain the generalisation gap?", ("complexity",)
    ),
    Artefact("complexity_measures", "figure", "Complexity: the gap over each measure", ("complexity",)),
    Artefact(
        "table3", "table", "Table 3: linear models that fit the training labels exactly", ("linear_models",)
    ),
    Artefact("norms", "table", "Norms: the minimum norm does not predict the test error", ("linear_models",)),
    Artefact("expressivity", "table", "Theorem 1: 2n + d weights fit any labels", ("expressivity",)),
    Artefact("expressivity_precision", "figure", "Theorem 1: the precision that it takes", ("expressivity",)),
    Artefact(
        "kernel_sensitivity", "figure", "Linear models: what gamma and the penalty change", ("linear_models",)
    ),
    Artefact("filters", "figure", "Random filters: the error falls with their number", ("linear_models",)),
    Artefact("descent", "figure", "SGD from zero finds the exact fit of minimum norm", ("linear_models",)),
    Artefact(
        "claims",
        "claims",
        "What the paper states, checked against our numbers",
        (
            *("table1", "table2", "table4", *CURVES, "fig2a", "memorisation", "capacity", "complexity"),
            "expressivity",
            "linear_models",
        ),
    ),
    Artefact("ablations", "ablation", "Ablations: what if a guessed setting were another", ("ablations",)),
)


def wanted(sections: Iterable[str]) -> list[Artefact]:
    """The artefacts that a configuration asks for, given the names of its sections that have cells."""
    return [each for each in ARTEFACTS if not each.sections or set(each.sections) & set(sections)]
