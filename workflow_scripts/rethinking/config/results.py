"""Settings of tables, figures and ablations: the cells that they show."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator, model_validator

from rethinking import registry
from rethinking.cells import NAME_FORM, Cell, by_network, canonical_name
from rethinking.config.cell_settings import OverrideValues
from rethinking.config.fields import LONGEST_NAME, PATTERNS, Strict, as_value_error
from rethinking.models.options import read_options
from rethinking.run.files import UserError

# Settings that have a meaning only in cells with a regulariser.
USED_BY = {"weight_decay": "wd", "weight_decay_on": "wd", "dropout": "dropout"}
# Settings that mean nothing while another has this value: that one, the value, what is missing then, and what they are then.
USED_WITH = {
    "weight_decay_on": ("weight_decay", 0, "weight_decay above 0", "weights"),
    "decay_every": ("learning_rate_decay", 1, "learning_rate_decay below 1", 1),
    "reduction": ("micro_batch", None, "micro_batch", None),
}


def conditional(values: OverrideValues) -> dict[tuple[str, ...], Any]:
    """Those of some settings that mean nothing in some cells: their places and values.

    Of the options of networks that is dropout; plug-ins can give others the name of a setting.
    """
    given = values.model_dump()
    found = {(key,): given[key] for key in given if key in (*USED_BY, *USED_WITH, "auxiliary_loss")}
    options = given.get("architecture", {})
    return found | {("architecture", key): options[key] for key in options if key == "dropout"}


def lacks(cell: Cell, setting: str, input_size: int | None = None) -> str | None:
    """What a cell would need for a setting, or option of its network, to mean something; None if nothing.

    Args:
        cell: the cell.
        setting: the name of the setting or option.
        input_size: height and width that the network sees, if they are known.
    """
    regulariser, network = USED_BY.get(setting), registry.entry("model", cell.model)
    if setting == "auxiliary_loss" and not network.own:  # that of a plug-in is known once it is built
        smallest = network.options.get("auxiliary_head")
        if smallest is None:
            return "auxiliary head"
        if input_size and input_size < smallest:
            return f"auxiliary head below {smallest}x{smallest} pixels"
    return f"regulariser {regulariser}" if regulariser and regulariser not in cell.regularisers else None


def missing_beside(setting: str, settings: Mapping[str, Any]) -> str | None:
    """What the resolved settings of a cell would need for one of them to mean something; None if nothing."""
    if setting not in USED_WITH:
        return None
    other, idle, missing, _ = USED_WITH[setting]
    return missing if settings.get(other) == idle else None


def checked_name(name: str) -> str:
    """Check a cell's name and write it in its canonical form, so that cells are shared."""
    as_value_error(Cell.from_name, name, seed=0)
    return canonical_name(name)


class ResultConfig(Strict):
    """One table or figure: the cells that it shows."""

    cells: Annotated[list[Annotated[str, AfterValidator(checked_name)]], PATTERNS] = Field(
        description=f"Cells without seeds, {NAME_FORM}, in the order shown: patterns with alternatives "
        "{true,random} and ranges {0.0..1.0..0.1}, the first varying fastest, or names of other sections, which add "
        "their cells; none leaves the result out."
    )


class OverCorruptionConfig(ResultConfig):
    """Cells that are shown over the probability p at which labels are replaced."""

    @field_validator("cells")
    @classmethod
    def each_has_its_own_p(cls, cells: list[str]) -> list[str]:
        """Refuse what could not be drawn once all cells are trained."""
        as_value_error(by_network, cells)
        return cells


class CapacityConfig(ResultConfig):
    """Networks on random signs, and with one training example replaced."""

    @model_validator(mode="after")
    def replacements_can_be_compared(self) -> Self:
        """A cell with a replaced example is compared with the cell without the replacement."""
        cells = [Cell.from_name(name, seed=0) for name in self.cells]
        compared = {cell.base.name for cell in cells if cell.base != cell}
        for name in compared:
            if name not in self.cells:
                raise ValueError(f"cells with a replaced example are compared with '{name}'; list it too")
        return self


class ComplexityConfig(ResultConfig):
    """Measures of complexity of trained networks, compared with their generalisation gap."""

    images: int = Field(
        1000,
        ge=10,
        description="Training images on which margins, the Fisher-Rao norm and sharpness are measured.",
    )
    draws: int = Field(5, ge=1, description="Draws of the weight noise with which sharpness is measured.")


class AblationConfig(ResultConfig):
    """A variant of the settings of some cells, to see what depends on a choice that the paper leaves open."""

    # The schema knows the name before it is made from the values of a grid.
    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=LONGEST_NAME),
        WithJsonSchema({"type": "string"}),
    ] = Field(description="What the variant is called; its cells lie in ablations/<name> of the results.")
    question: str = Field(
        description="The question that the comparison answers; variants with the same question are shown together."
    )
    set: OverrideValues = Field(
        default_factory=OverrideValues,
        description="The settings that differ from those of the cells themselves.",
    )
    # Empty once patterns.py has made one ablation of each combination.
    grid: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(
        {},
        description="Settings with a list of values each; one variant for each combination, whose name is made from "
        "its values, such as decay_{weight_decay:g}.",
    )

    @model_validator(mode="after")
    def changes_each_cell(self) -> Self:
        """Refuse a variant that cannot differ from its cell: it would be trained for nothing."""
        if not self.set.model_dump():
            raise ValueError("'set' names no setting")
        for name in self.cells:
            try:
                self.check(Cell.from_name(name, seed=0))
            except UserError as error:
                raise ValueError(f"cell '{name}': {error}") from error
        return self

    def check(self, cell: Cell, input_size: int | None = None) -> None:
        """Raise a UserError with the reason if a setting of this variant has no meaning in a cell; see :func:`lacks`."""
        read_options(cell.model, self.set.architecture or {})
        for *_, setting in conditional(self.set):
            if missing := lacks(cell, setting, input_size):
                raise UserError(f"{setting} does not count, as there is no {missing}")
