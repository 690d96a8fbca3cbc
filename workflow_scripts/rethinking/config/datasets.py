"""The sections datasets, hardware and overrides."""

from __future__ import annotations

from fnmatch import fnmatchcase
from itertools import combinations
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from rethinking import registry
from rethinking.cells import NAME_FORM, Cell, corruption_names
from rethinking.config.cell_settings import (
    PATTERNS,
    CellSettings,
    OverrideValues,
    PathText,
    Seeds,
    Strict,
    as_value_error,
    unless,
)
from rethinking.models import check_options

Source = Literal["official", "archive", "images", "embedded", "plugin", "local"]
SMALLEST_INPUT = 75  # of a local source: that of Inception V3
Limit = Annotated[int, Field(ge=10)]


class HardwareConfig(Strict):
    """Where cells are trained. Changing it makes no cell stale."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes the GPU if torch sees one, else the CPU."
    )
    cells_per_gpu: int = Field(
        1, ge=1, description="Cells that share a GPU; small networks leave most of one idle."
    )
    workers: int = Field(
        1,
        ge=1,
        description="Processes that train one cell together, each on a GPU of its own or on CPU threads of its own; "
        "cells without micro_batch have one.",
    )
    nodes: int = Field(
        1, ge=1, description="Nodes of a SLURM cluster over which the workers of a cell are spread evenly."
    )
    threads: int = Field(1, ge=1, description="CPU threads of each training job; they also decode images.")
    feeder: Literal["auto", "resident", "streamed"] = Field(
        "auto",
        description="Images of ImageNet: resident on the device, streamed from their files, or auto by size and memory.",
    )
    checkpoint_seconds: int = Field(60, ge=1, description="Seconds between two checkpoints of a cell.")

    @model_validator(mode="after")
    def nodes_have_equal_shares(self) -> HardwareConfig:
        """Each node has as many workers as the others."""
        if self.workers % self.nodes:
            raise ValueError(f"workers is {self.workers}, not a multiple of nodes, which is {self.nodes}")
        return self


class DatasetConfig(Strict):
    """Where a data set comes from and how much of it is used."""

    source: Source = Field(
        description="official (download), archive (a local archive or unpacked folder of a published version), "
        "images (a folder or tar of train/<class>/*.jpg|png and test/...), embedded (digits), plugin (read by a plug-in) or local "
        "(ImageNet: the folder of its archives, or one of train/<class>/*.JPEG and val/<class>/*.JPEG)."
    )
    path: PathText | None = Field(
        None,
        description="The local file or folder, for the sources archive and images, and for plugin if it reads one. "
        "Without the path of a local source its cells are left out.",
    )
    provenance: str | None = Field(
        None,
        description="What to call this copy in tables and figures; needed where the images are not the published ones.",
    )
    train_limit: Limit | None = Field(
        None, description="Use this many training images, balanced over classes; null is all."
    )
    test_limit: Limit | None = Field(
        None, description="Use this many test images, balanced over classes; null is all."
    )
    input_size: int = Field(ge=1, description=CellSettings.model_fields["input_size"].description)
    classes: list[str] | None = unless(
        None,
        description="Of a local source: the classes to take, by their folders; null is all, or those of imagenet100 and imagenette.",
        min_length=2,
    )
    stored_size: int | None = unless(
        None,
        description="Of a local source: whole images are resized to this height and width before anything else, and "
        "small sets are stored so. null crops from the original pixels.",
    )
    skip_unreadable: bool = unless(
        False,
        description="Of a local source: leave out images that cannot be decoded, which the manifest then lists.",
    )

    @property
    def absent(self) -> bool:
        """Whether there is no path to a data set that cannot be downloaded."""
        return self.source == "local" and self.path is None

    @model_validator(mode="after")
    def options_fit_the_source(self) -> DatasetConfig:
        """Some options belong to local sources only, and some sources take no path or need one."""
        if self.source == "local":
            if self.input_size < SMALLEST_INPUT:
                raise ValueError(f"input_size is {self.input_size}; give at least {SMALLEST_INPUT}")
            if self.stored_size is not None and self.stored_size < self.input_size:
                raise ValueError(
                    f"stored_size is {self.stored_size}; give at least input_size, {self.input_size}"
                )
            return self
        for key in ("classes", "stored_size", "skip_unreadable"):
            if getattr(self, key):
                raise ValueError(f"{key} has a meaning for the source 'local' alone; remove it")
        if self.source == "plugin":
            return self
        if (self.path is None) == (self.source in ("archive", "images")):
            raise ValueError(
                f"the source '{self.source}' needs a path"
                if self.path is None
                else f"the source '{self.source}' takes no path; a local copy has the source archive or images"
            )
        return self


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
        "alternatives and ranges as in the cells of results."
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
    def networks_have_the_options(self) -> OverrideConfig:
        """Refuse an option of the architecture that a matching network does not have, and an override of nothing."""
        if not (self.set.model_dump(exclude_none=True) or self.seeds):
            raise ValueError("names no setting and no seeds; give it 'set' or 'seeds'")
        for pattern in self.cells:
            for model in registry.names("model"):
                if fnmatchcase(model, pattern.split("/")[2]):
                    as_value_error(check_options, model, self.set.architecture or {})
        return self

    def matches(self, cell: Cell) -> bool:
        """Whether this override applies to a cell, by any of the names of its corruption.

        What applies to a cell also applies to the cell with a replaced example.
        """
        dataset, _, model, regularisers = cell.name.split("/")
        return any(
            fnmatchcase(f"{dataset}/{corruption}/{model}/{regularisers}", pattern)
            for each in (cell.base, cell)
            for corruption in corruption_names(each.corruption)
            for pattern in self.cells
        )
