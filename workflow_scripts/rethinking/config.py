"""The configuration: typed models, checked before any job is planned.

``config.yaml`` and its JSON schema are written from these models (``write_config.py``); the
values of the default and the evidence for each are in ``defaults.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from rethinking.cells import (
    CORRUPTIONS,
    DATASETS,
    NAME_FORM,
    REGULARISERS,
    Cell,
    canonical_name,
    known,
    label_corruption,
    replaced_example,
    sample_size,
)
from rethinking.config_faults import describe
from rethinking.files import UserError
from rethinking.models import MODELS, check_options
from rethinking.settings import (
    Architecture,
    CellSettings,
    Initialisation,
    Precision,
    Strict,
    WeightDecayOn,
)
from rethinking.theory_settings import ExpressivityConfig, LinearModelsConfig

Source = Literal["official", "archive", "images", "embedded"]
SOURCES = {
    "digits": ("embedded",),
    "mnist": ("official", "archive"),
    "cifar10": ("official", "archive", "images"),
    "cifar100": ("official", "archive", "images"),
}
Limit = Annotated[int, Field(ge=10)]


def described(name: str) -> str:
    """The description of a resolved setting, so that it is written once."""
    return CellSettings.model_fields[name].description


def as_value_error(check: Callable[..., object], *arguments: Any, **named: Any) -> None:
    """Call a check; its UserError becomes the ValueError that pydantic reports with file and key."""
    try:
        check(*arguments, **named)
    except UserError as error:
        raise ValueError(str(error)) from error


class HardwareConfig(Strict):
    """Where cells are trained. Changing it makes no cell stale."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes the GPU if torch sees one, else the CPU."
    )
    cells_per_gpu: int = Field(
        1, ge=1, description="Cells that share a GPU; small networks leave most of one idle."
    )
    threads: int = Field(1, ge=1, description="CPU threads of each training job.")
    checkpoint_seconds: int = Field(60, ge=1, description="Seconds between two checkpoints of a cell.")


class DatasetConfig(Strict):
    """Where a data set comes from and how much of it is used."""

    source: Source = Field(
        description="official (download), archive (a local copy of the official archive; for MNIST a folder with its four files), "
        "images (a folder or tar of train/<class>/*.jpg|png and test/...) or embedded (digits)."
    )
    path: str | None = Field(
        None, description="The local file or folder, for the sources archive and images."
    )
    provenance: str | None = Field(
        None, description="What to call this copy in tables and figures; required for the source images."
    )
    train_limit: Limit | None = Field(
        None, description="Use this many training images, balanced over classes; null is all."
    )
    test_limit: Limit | None = Field(
        None, description="Use this many test images, balanced over classes; null is all."
    )
    input_size: int = Field(ge=1, description=described("input_size"))

    @model_validator(mode="after")
    def local_source_is_complete(self) -> DatasetConfig:
        """A local source needs a path, an image folder a name for what it is."""
        if (self.path is None) == (self.source in ("archive", "images")):
            raise ValueError(
                f"the source '{self.source}' needs a path"
                if self.path is None
                else f"source '{self.source}' takes no path"
            )
        if self.source == "images" and not self.provenance:
            raise ValueError("the source 'images' needs a provenance, for example \"JPEG copy\"")
        return self


class TrainingConfig(Strict):
    """Settings that all cells share unless an override says otherwise."""

    epochs: int = Field(ge=1, description=described("epochs"))
    batch_size: int = Field(ge=1, description=described("batch_size"))
    learning_rate_decay: float = Field(gt=0, le=1, description=described("learning_rate_decay"))
    momentum: float = Field(ge=0, lt=1, description=described("momentum"))
    precision: Precision = Field(description=described("precision"))
    thresholds: list[Annotated[float, Field(gt=0, le=100)]] = Field(description=described("thresholds"))


class ModelConfig(Strict):
    """Settings of one network."""

    learning_rate: float = Field(gt=0, description=described("learning_rate"))
    initialisation: Initialisation = Field(description=described("initialisation"))
    weight_decay: float = Field(ge=0, description=described("weight_decay"))
    weight_decay_on: WeightDecayOn = Field(description=described("weight_decay_on"))
    architecture: Architecture = Field({}, description=described("architecture"))


class OverrideValues(Strict):
    """Settings that an override or an ablation replaces."""

    epochs: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    learning_rate_decay: float | None = Field(None, gt=0, le=1)
    momentum: float | None = Field(None, ge=0, lt=1)
    precision: Precision | None = None
    initialisation: Initialisation | None = None
    weight_decay: float | None = Field(None, ge=0)
    weight_decay_on: WeightDecayOn | None = None
    input_size: int | None = Field(None, ge=1)
    architecture: Architecture | None = None

    def applied_to(self, values: dict[str, Any]) -> dict[str, Any]:
        """Settings with these in their place; of the architecture, the options that are named here."""
        changed = self.model_dump(exclude_none=True)
        architecture = values["architecture"] | changed.get("architecture", {})
        return values | changed | {"architecture": architecture}


class OverrideConfig(Strict):
    """Other settings for the cells whose name matches a pattern."""

    cells: str = Field(
        description=f"Pattern {NAME_FORM} with * in any part, for example cifar10/random_labels/*/none."
    )
    set: OverrideValues = Field(description="The settings and their values for these cells.")

    @field_validator("cells")
    @classmethod
    def pattern_can_match(cls, pattern: str) -> str:
        """A typing error in a pattern would otherwise do nothing, silently."""
        pattern = canonical_name(pattern)
        parts = pattern.split("/")
        if len(parts) != 4:
            raise ValueError(f"'{pattern}' has {len(parts)} parts; the form is {NAME_FORM}")
        corruptions = [*CORRUPTIONS, *(f"labels_p{tenth / 10}" for tenth in range(1, 10))]
        if label_corruption(parts[1]) > 0:
            corruptions.append(parts[1])  # such as labels_p0.25
        # Those of capacity have a number: that of the pattern's end, if it has one there.
        number = re.search(r"\d*$", parts[1])[0] or "500"
        for kind in ("true", "random"):
            numbered = (f"{kind}_signs_n{number}", f"{kind}_labels_replaced{number}")
            corruptions += [
                each for each in numbered if sample_size(each) or replaced_example(each) is not None
            ]
        joined = [
            "+".join(some) for n in range(len(REGULARISERS)) for some in combinations(REGULARISERS, n + 1)
        ]
        for part, names in zip(parts, (DATASETS, corruptions, MODELS, ["none", *joined]), strict=True):
            if not any(fnmatchcase(name, part) for name in names):
                raise ValueError(f"'{part}' in '{pattern}' matches none of {', '.join(names)}")
        return pattern

    @model_validator(mode="after")
    def networks_have_the_options(self) -> OverrideConfig:
        """An option of one network's architecture would do nothing in another."""
        for model in MODELS:
            if fnmatchcase(model, self.cells.split("/")[2]):
                as_value_error(check_options, model, self.set.architecture or {})
        return self

    def matches(self, cell: Cell) -> bool:
        """Whether this override applies to a cell; where an example is replaced all that applies without it does too."""
        return any(
            all(
                fnmatchcase(*pair)
                for pair in zip(canonical_name(each.name).split("/"), self.cells.split("/"), strict=True)
            )
            for each in (cell.base, cell)
        )


class ResultConfig(Strict):
    """One table or figure: the cells that it shows."""

    cells: list[str] = Field(
        description=f"Cells without seeds, {NAME_FORM}, in the order shown; none leaves the result out."
    )

    @field_validator("cells")
    @classmethod
    def names_are_known(cls, names: list[str]) -> list[str]:
        """Check the grammar and write each cell in its canonical form, so that cells are shared."""
        for name in names:
            as_value_error(Cell.from_name, name, seed=0)
        canonical = [canonical_name(name) for name in names]
        for name in canonical:
            if canonical.count(name) > 1:
                raise ValueError(f"cell '{name}' is listed twice")
        return canonical


class CapacityConfig(ResultConfig):
    """Networks on random signs, and with one training example replaced."""

    @model_validator(mode="after")
    def replacements_can_be_compared(self) -> CapacityConfig:
        """A replacement is compared with the cell without."""
        cells = [Cell.from_name(name, seed=0) for name in self.cells]
        compared = {cell.base.name for cell in cells if cell.base != cell}
        for name in compared:
            if name not in self.cells:
                raise ValueError(f"cells with a replaced example are compared with '{name}'; list it too")
        return self


class ComplexityConfig(ResultConfig):
    """Measures of complexity of trained networks, held against their generalisation gap."""

    images: int = Field(
        1000,
        ge=10,
        description="Training images on which margins, the Fisher-Rao norm and sharpness are taken.",
    )
    draws: int = Field(
        5, ge=1, description="Draws of the noise on the weights that sharpness is measured with."
    )


class AblationConfig(ResultConfig):
    """A variant of the settings of some cells, to see what depends on a choice that the paper leaves open."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")] = Field(
        description="What the variant is called; its cells lie in ablations/<name> of the results."
    )
    question: str = Field(description="What the comparison answers; variants of one question stand together.")
    set: OverrideValues = Field(description="The settings that differ from those of the cells themselves.")

    @model_validator(mode="after")
    def changes_each_cell(self) -> AblationConfig:
        """A variant that cannot differ from the cell would be trained for nothing."""
        if not self.set.model_dump(exclude_none=True):
            raise ValueError("'set' names no setting")
        for name in self.cells:
            as_value_error(self.check, Cell.from_name(name, seed=0))
        return self

    def check(self, cell: Cell) -> None:
        """Raise a UserError if a setting of this variant has no meaning in a cell."""
        try:
            check_options(cell.model, self.set.architecture or {})
        except UserError as error:
            raise UserError(f"cell '{cell.name}': {error}") from None
        for setting in ("weight_decay", "weight_decay_on"):
            if getattr(self.set, setting) is not None and "wd" not in cell.regularisers:
                raise UserError(f"cell '{cell.name}' does not use {setting}: its regularisers do not name wd")


class Config(Strict):
    """Everything that can be set."""

    results_dir: str = Field("results", description="Where results go; give each experiment its own.")
    data_dir: str | None = Field(
        None,
        description="Where prepared and corrupted data sets go; null is results_dir/data. Can be shared.",
    )
    cache_dir: str | None = Field(
        None,
        description="Finished cells are taken from and put into this folder; users and checkouts can share it. null is none.",
    )
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        description="One network is trained per cell and seed; intervals are over seeds.", min_length=1
    )
    finished_only: bool = Field(
        False,
        description="Build tables and figures from the cells that are finished now and train none.",
    )
    hardware: HardwareConfig = Field(description="Where cells are trained. Changing it makes no cell stale.")
    datasets: dict[Literal[DATASETS], DatasetConfig] = Field(description="Data sets by name.")
    training: TrainingConfig = Field(description="Settings of all cells.")
    models: dict[Literal[tuple(MODELS)], ModelConfig] = Field(description="Settings by network.")
    overrides: list[OverrideConfig] = Field(
        [], description="Other settings for some cells, applied in this order."
    )
    table1: ResultConfig = Field(description="Table 1: training and test accuracy on CIFAR-10.")
    table4: ResultConfig = Field(description="Table 4: random labels with explicit regularisers.")
    fig1a: ResultConfig = Field(description="Figure 1a: training loss of the Inception on five corruptions.")
    fig1b: ResultConfig = Field(description="Figure 1b: relative time to overfit over the label corruption.")
    fig1c: ResultConfig = Field(description="Figure 1c: test error over the label corruption.")
    fig2b: ResultConfig = Field(
        description="Figure 2b: the Inception over epochs, with and without batch normalisation."
    )
    memorisation: ResultConfig = Field(
        description="Partly corrupted labels over epochs: what is memorised, what is generalised."
    )
    capacity: CapacityConfig = Field(
        description="Section 2.2: what networks fit of random signs on n images (random_signs_n500, with the gap on "
        "true_signs_n500), and how far replacing one training example moves their losses (true_labels_replaced0)."
    )
    complexity: ComplexityConfig = Field(
        description="Beyond the paper: measures of complexity of trained networks against their generalisation gap."
    )
    ablations: list[AblationConfig] = Field(
        [], description="Cells with other settings, compared with the cells themselves in ablations.md."
    )
    expressivity: ExpressivityConfig = Field(description="Theorem 1: 2n + d weights fit any n labels.")
    linear_models: LinearModelsConfig = Field(
        description="Section 5: exact fits of linear models (table 3), their norms, and where SGD ends."
    )

    @field_validator("models")
    @classmethod
    def networks_have_their_options(cls, models: dict[str, ModelConfig]) -> dict[str, ModelConfig]:
        """Options of the architecture belong to one network."""
        for name, model in models.items():
            as_value_error(check_options, name, model.architecture)
        return models

    @field_validator("ablations")
    @classmethod
    def names_differ(cls, ablations: list[AblationConfig]) -> list[AblationConfig]:
        """Two variants of one name would lie in one folder."""
        names = [ablation.name for ablation in ablations]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the name '{name}' is given twice")
        return ablations

    @field_validator("seeds")
    @classmethod
    def seeds_differ(cls, seeds: list[int]) -> list[int]:
        """The same seed twice would narrow the intervals for nothing."""
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"{seeds} names a seed twice")
        return seeds

    @model_validator(mode="after")
    def sources_fit(self) -> Config:
        """Each data set has its own kinds of source."""
        for name, dataset in self.datasets.items():
            if dataset.source not in SOURCES[name]:
                raise ValueError(
                    f"datasets.{name}.source is '{dataset.source}'; it can be {' or '.join(SOURCES[name])}"
                )
        return self

    @model_validator(mode="after")
    def theory_has_its_data(self) -> Config:
        """The data sets of the theory are configured."""
        used = {
            "expressivity.dataset": self.expressivity.dataset,
            "linear_models.descent.dataset": self.linear_models.descent.dataset,
            **{
                f"the dataset of linear_models.models '{each.name}'": each.dataset
                for each in self.linear_models.models
            },
        }
        for key, name in used.items():
            if name is not None and name not in self.datasets:
                raise ValueError(f"{key} is '{name}', but the configuration has no datasets.{name}; add it")
        return self

    @property
    def data_folder(self) -> str:
        """Where data sets lie."""
        return self.data_dir or f"{self.results_dir}/data"

    @property
    def results(self) -> list[str]:
        """The tables and figures, by their names in the configuration."""
        return [name for name in type(self).model_fields if isinstance(getattr(self, name), ResultConfig)]

    def cells(self, *results: str) -> list[Cell]:
        """The cells of tables and figures for all seeds, each once, in order."""
        names = [name for result in results for name in getattr(self, result).cells]
        return [Cell.from_name(name, seed) for name in dict.fromkeys(names) for seed in self.seeds]

    def linear_model_seeds(self, name: str) -> list[int]:
        """The seeds of a linear model: one where nothing is drawn."""
        model = self.linear_models.model(name)
        return (model.seeds or self.seeds) if model.random else self.seeds[:1]

    def ablated_cells(self) -> list[Cell]:
        """The cells that ablations compare with, for all seeds, each once."""
        return list(dict.fromkeys(cell for _, cell in self.variants()))

    def variants(self) -> list[tuple[str, Cell]]:
        """Each ablation's name with each of its cells, for all seeds."""
        return [
            (ablation.name, Cell.from_name(name, seed))
            for ablation in self.ablations
            for name in ablation.cells
            for seed in self.seeds
        ]

    def settings(self, cell: Cell, variant: str | None = None) -> CellSettings:
        """Resolve the settings of a cell: training, then its model, then overrides in order, then a variant's.

        Raises:
            UserError: the configuration says nothing about the cell's data set or model, there is no
                ablation of that name, or its settings have no meaning in the cell.
        """
        for section, name in (("datasets", cell.dataset), ("models", cell.model)):
            if name not in getattr(self, section):
                raise UserError(f"cell '{cell}': the configuration has no {section}.{name}; add it")
        values = self.training.model_dump() | self.models[cell.model].model_dump()
        values["input_size"] = self.datasets[cell.dataset].input_size
        for override in self.overrides:
            if override.matches(cell):
                values = override.set.applied_to(values)
        if variant is not None:
            ablations = {ablation.name: ablation for ablation in self.ablations}
            known(str(cell), "ablation", variant, ablations)
            ablations[variant].check(cell)
            values = ablations[variant].set.applied_to(values)
        if "wd" not in cell.regularisers:
            # Where no weight decay is asked for, editing it must leave the cell alone.
            values |= {"weight_decay": 0.0, "weight_decay_on": "weights"}
        return CellSettings(**values)


def load_config(values: dict[str, Any], files: list[str]) -> Config:
    """Check a merged configuration.

    Args:
        values: the merged dictionary.
        files: the files that it was merged from, later ones over earlier ones; for messages.

    Raises:
        UserError: one message for all faults, each with its file, its key and what would be right.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [describe(fault, files, Config) for fault in error.errors()]
        raise UserError(
            "the configuration is not valid:\n" + "\n".join(f"  {line}" for line in lines)
        ) from None
