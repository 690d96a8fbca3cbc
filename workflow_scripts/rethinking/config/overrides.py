"""The section overrides."""

from fnmatch import fnmatchcase
from itertools import combinations
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from rethinking import registry
from rethinking.cells import NAME_FORM, Cell, corruption_names
from rethinking.config.cell_settings import OverrideValues
from rethinking.config.fields import PATTERNS, Seeds, Strict, as_value_error
from rethinking.models.options import read_options


def checked_pattern(pattern: str) -> str:
    """Refuse a pattern that matches nothing, which is probably a typing error."""
    parts = pattern.split("/")
    if len(parts) != 4:
        raise ValueError(f"'{pattern}' has {len(parts)} parts; the form is {NAME_FORM}")
    corruptions = [name for entry in registry.entries("corruption") for name in entry.examples(like=parts[1])]
    single = registry.names("regulariser")
    joined = ["+".join(some) for n in range(len(single)) for some in combinations(single, n + 1)]
    known = registry.names("dataset"), corruptions, registry.names("model"), ["none", *joined]
    for part, names in zip(parts, known, strict=True):
        if not any(fnmatchcase(name, part) for name in names):
            raise ValueError(f"'{part}' in '{pattern}' matches none of {', '.join(names)}")
    return pattern


class OverrideConfig(Strict):
    """Other settings for the cells whose name matches a pattern."""

    cells: Annotated[list[Annotated[str, AfterValidator(checked_pattern)]], PATTERNS] = Field(
        description=f"Patterns {NAME_FORM} with * in any part, for example cifar10/random_labels/*/none, and "
        "alternatives and ranges as in the cells of results.",
        min_length=1,
    )
    set: OverrideValues = Field(
        default_factory=OverrideValues, description="The settings and their values for these cells."
    )
    seeds: Seeds | None = Field(
        None,
        min_length=1,
        description="Of the seeds of the configuration those that these cells are trained with.",
    )

    @model_validator(mode="after")
    def networks_have_the_options(self) -> Self:
        """Refuse an option of the architecture that a matching network does not have, and an override of nothing."""
        if not (self.set.model_dump() or self.seeds):
            raise ValueError("names no setting and no seeds; give it 'set' or 'seeds'")
        for pattern in self.cells:
            for model in registry.names("model"):
                if fnmatchcase(model, pattern.split("/")[2]):
                    as_value_error(read_options, model, self.set.architecture or {})
        return self

    def matches(self, cell: Cell) -> bool:
        """Whether this override applies to a cell, by any of the names of its corruption.

        What applies to a cell also applies to the cell with a replaced example.
        """
        dataset, _, model, regularisers = cell.name.split("/")
        return any(
            fnmatchcase(f"{dataset}/{corruption}/{model}/{regularisers}", pattern)
            for each in {cell.base, cell}
            for corruption in corruption_names(each.corruption)
            for pattern in self.cells
        )
