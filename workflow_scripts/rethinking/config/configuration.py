"""The configuration as a typed model.

Its sections are in ``cell_settings.py``, ``datasets.py``, ``hardware.py``, ``overrides.py``, ``results.py`` and
``theory.py``. The values of the default and the evidence for each are in ``config.yaml``; editors take descriptions and
checks from the JSON schema that ``make schema`` writes.
"""

import json
import os
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings, ModelConfig, TrainingConfig
from rethinking.config.datasets import DatasetConfig
from rethinking.config.fields import (
    PathText,
    Seeds,
    Strict,
    as_value_error,
    registered,
    repeated,
)
from rethinking.config.hardware import HardwareConfig
from rethinking.config.overrides import OverrideConfig
from rethinking.config.results import (
    USED_WITH,
    AblationConfig,
    CapacityConfig,
    ComplexityConfig,
    OverCorruptionConfig,
    ResultConfig,
    missing_beside,
)
from rethinking.config.theory import ExpressivityConfig, LinearModelsConfig
from rethinking.models.options import read_options
from rethinking.run.files import UserError, did_you_mean


class Config(Strict):
    """Everything that can be set."""

    results_dir: PathText = Field("results", description="Where results go; give each experiment its own.")
    data_dir: PathText | None = Field(
        None,
        description="Where prepared and corrupted data sets go; null is results_dir/data. Can be shared.",
    )
    cache_dir: PathText | None = Field(
        None,
        description="Folder from which finished cells are taken and to which they are copied; users and checkouts can share it. null for none.",
    )
    seeds: Seeds = Field(
        description="One network is trained per cell and seed; intervals are over seeds.", min_length=1
    )
    finished_only: bool = Field(
        False, description="Build tables and figures from the cells that are finished now and train none."
    )
    report_ablations: bool = Field(
        False, description="Show ablations in the report, for which 'all' then trains their networks."
    )
    plugins: list[PathText] = Field(
        [],
        description="Python files with your own models, data sets, corruptions, regularisers, measures and claims "
        "(docs/extending.md). Relative paths start from the working directory.",
    )
    hardware: HardwareConfig = Field(description="Where cells are trained. Changing it makes no cell stale.")
    datasets: dict[registered("dataset"), DatasetConfig] = Field(description="Data sets by name.")
    training: TrainingConfig = Field(description="Settings of all cells.")
    models: dict[registered("model"), ModelConfig] = Field(description="Settings by network.")
    overrides: list[OverrideConfig] = Field(
        [],
        description="Other settings for some cells, applied in this order: first those of config.yaml, then those of "
        "further configuration files, which add to them.",
    )
    table1: ResultConfig = Field(description="Table 1: training and test accuracy on CIFAR-10.")
    table4: ResultConfig = Field(description="Table 4: random labels with explicit regularisers.")
    fig1a: ResultConfig = Field(description="Figure 1a: training loss of the Inception on five corruptions.")
    fig1b: OverCorruptionConfig = Field(description="Figure 1b: relative time to overfit over the label corruption.")
    fig1c: OverCorruptionConfig = Field(description="Figure 1c: test error over the label corruption.")
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
    table2: ResultConfig = Field(
        description="Table 2: Inception V3 on ImageNet with and without regularisers, true and random labels."
    )
    fig2a: ResultConfig = Field(
        description="Figure 2a: Inception V3 on ImageNet over epochs, and what early stopping gains."
    )
    ablations: list[AblationConfig] = Field(
        [], description="Cells with other settings, compared with the cells themselves in ablations.md."
    )
    expressivity: ExpressivityConfig = Field(description="Theorem 1: 2n + d weights fit any n labels.")
    linear_models: LinearModelsConfig = Field(
        description="Section 5: exact fits of linear models (table 3), their norms, and where SGD converges."
    )

    @field_validator("models")
    @classmethod
    def networks_have_their_options(cls, models: dict[str, ModelConfig]) -> dict[str, ModelConfig]:
        """Refuse options of the architecture that the network does not have, and values that it does not take."""
        for name, model in models.items():
            as_value_error(read_options, name, model.architecture)
        return models

    @field_validator("ablations")
    @classmethod
    def names_differ(cls, ablations: list[AblationConfig]) -> list[AblationConfig]:
        """Refuse two variants with the same name: they would share a folder."""
        for name in repeated(ablation.name for ablation in ablations):
            raise ValueError(
                f"the name '{name}' appears twice; give each variant its own, from a grid by its settings, as in "
                "decay_{weight_decay:g}"
            )
        return ablations

    @field_validator("results_dir")
    @classmethod
    def results_have_a_folder(cls, path: str) -> str:
        """Snakemake tells files in the working folder apart by how they are written. Those above it are others' files."""
        if Path(os.path.realpath(path)) in (Path.cwd(), *Path.cwd().parents):
            raise ValueError(f"'{path}' is no folder of its own; name one for the results, such as results")
        return path

    @model_validator(mode="after")
    def seeds_of_cells_are_seeds(self) -> Self:
        """Overrides choose among the seeds of the configuration."""
        for override in self.overrides:
            if others := set(override.seeds or ()) - set(self.seeds):
                raise ValueError(
                    f"overrides: the seed {min(others)} of {', '.join(override.cells)} is not among 'seeds'; add it to 'seeds'"
                )
        return self

    @model_validator(mode="after")
    def sources_fit(self) -> Self:
        """Each data set has its own kinds of source; a plug-in gets a path only where it asks for one."""
        for name, dataset in self.datasets.items():
            entry = registry.entry("dataset", name)
            if dataset.source not in entry.sources:
                raise ValueError(
                    f"datasets.{name}.source is '{dataset.source}'; it can be {' or '.join(entry.sources)}"
                )
            if dataset.source != "plugin":
                continue
            reader = f"{entry.function} in {entry.place}"
            if dataset.path is None and "path" in set(entry.arguments) - set(entry.optional):
                raise ValueError(f"datasets.{name} needs a path, which {reader} asks for")
            if dataset.path is not None and "path" not in entry.arguments:
                raise ValueError(
                    f"datasets.{name}: {reader} takes no path; give it an argument 'path', or remove the path"
                )
        return self

    @model_validator(mode="after")
    def theory_has_its_data(self) -> Self:
        """The data sets of the theory are configured."""
        used = {
            "expressivity.dataset": self.expressivity.dataset,
            "linear_models.descent.dataset": self.linear_models.descent.dataset,
            **{
                f"the dataset of linear_models.models '{each.name}'": each.dataset for each in self.linear_models.models
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

    def cell_names(self, result: str) -> list[str]:
        """The cells of a table or figure without seeds, in order, but for those on absent data sets."""
        absent = self.absent_datasets()
        return [name for name in getattr(self, result).cells if name.split("/")[0] not in absent]

    def cells(self, *results: str) -> list[Cell]:
        """The cells of tables and figures for all seeds, each once, in order; those on absent data sets are left out."""
        names = [name for result in results for name in self.cell_names(result)]
        return [Cell.from_name(name, seed) for name in dict.fromkeys(names) for seed in self.seeds_of(name)]

    def seeds_of(self, name: str) -> list[int]:
        """The seeds of a cell: those of the last override that names some, else all."""
        cell = Cell.from_name(name, seed=0)
        fewer = [each.seeds for each in self.overrides if each.seeds and each.matches(cell)]
        return fewer[-1] if fewer else self.seeds

    def absent_datasets(self) -> list[str]:
        """Data sets that cannot be downloaded and have no path, and that tables and figures ask for."""
        asked = {name.split("/")[0] for result in self.results for name in getattr(self, result).cells}
        return [name for name, dataset in self.datasets.items() if dataset.absent and name in asked]

    def theory_datasets(self) -> list[str]:
        """The data sets of theorem 1, linear models and descent."""
        linear = self.linear_models
        names = [self.expressivity.dataset, *(model.dataset for model in linear.models), linear.descent.dataset]
        return list(dict.fromkeys(filter(None, names)))

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
            for seed in self.seeds_of(name)
        ]

    def settings(self, cell: Cell, variant: str | None = None) -> CellSettings:
        """Resolve the settings of a cell: training, then its model, then overrides in order, then those of a variant.

        Raises:
            UserError: the configuration says nothing about the cell's data set or model, there is no
                ablation of that name, or its settings have no meaning in the cell or do not fit together.
        """
        for section, name in (("datasets", cell.dataset), ("models", cell.model)):
            if name not in getattr(self, section):
                raise UserError(f"cell '{cell.name}': the configuration has no {section}.{name}; add it")
        values = self.training.model_dump() | self.models[cell.model].model_dump()
        values["input_size"] = self.datasets[cell.dataset].input_size
        for override in self.overrides:
            if override.matches(cell):
                values = override.set.applied_to(values)
        if variant is not None:
            ablations = {ablation.name: ablation for ablation in self.ablations}
            if variant not in ablations:
                raise UserError(
                    f"cell '{cell.name}': unknown ablation '{variant}'; {did_you_mean(variant, ablations)}"
                    f"known: {', '.join(ablations)}"
                )
            values = ablations[variant].set.applied_to(values)
            try:
                ablations[variant].check(cell, values["input_size"])
            except UserError as error:
                raise UserError(f"cell '{cell.name}': {error}") from None
        if "wd" not in cell.regularisers:
            values["weight_decay"] = 0.0
        # Editing what means nothing must not make a cell stale, nor a variant of it.
        values |= {key: own for key, (*_, own) in USED_WITH.items() if missing_beside(key, values)}
        # Read here, as a pattern can match networks with options of one name and several types.
        values["architecture"] = with_dropout(cell, read_options(cell.model, values["architecture"]))
        try:
            return CellSettings(**values)
        except ValidationError as error:  # each setting by itself is right, but not all together
            raise UserError(f"cell '{cell.name}': {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def with_dropout(cell: Cell, architecture: dict[str, Any]) -> dict[str, Any]:
    """The options of a network, with the one of the regulariser dropout in cells that name it.

    Raises:
        UserError: the cell names dropout, and its network has none.
    """
    if "dropout" not in cell.regularisers:
        return {key: value for key, value in architecture.items() if key != "dropout"}
    if not architecture.get("dropout"):
        raise UserError(
            f"cell '{cell.name}': its regularisers name dropout, but models.{cell.model}.architecture has no dropout, the "
            "share that is dropped; only networks with such an option have dropout"
        )
    return architecture


def schema_json() -> str:
    """The JSON schema of the configuration, for editors."""
    return json.dumps(Config.model_json_schema(), indent=2)
