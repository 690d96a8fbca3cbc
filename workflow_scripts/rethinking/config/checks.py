"""Whether each cell of a configuration can be trained: its settings and the size of its images; what changes none."""

import json
from collections.abc import Mapping
from typing import Any

from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.config.configuration import Config
from rethinking.config.faults import value_at
from rethinking.config.results import AblationConfig
from rethinking.models.options import default_options
from rethinking.run.files import UserError


def cell_faults(config: Config) -> list[str]:
    """What is wrong with cells and variants, each fault once with the cells that have it."""
    found: dict[str, list[str]] = {}
    cells = [(cell.name, None) for cell in config.cells(*config.results)]
    variants = [(cell.name, variant) for variant, cell in config.variants()]
    for name, variant in dict.fromkeys(cells + variants):
        cell = Cell.from_name(name, seed=0)
        try:
            settings = config.settings(cell, variant)
        except UserError as error:
            message = str(error).removeprefix(f"cell '{cell}': ")
        else:
            message = input_fault(config, cell, settings)
        if message:
            found.setdefault(message, []).append(f"{name} ({variant})" if variant else name)
    return [named(some) + message for message, some in found.items()]


def unchanged_cells(config: Config, ablation: AblationConfig) -> list[str]:
    """The cells whose own settings are those of a variant, which would train them a second time."""

    def trained_with(name: str, variant: str | None) -> CellSettings:
        cell = Cell.from_name(name, seed=0)
        settings = config.settings(cell, variant)
        options = default_options(cell.model) | settings.architecture
        return settings.model_copy(update={"architecture": options})

    return [name for name in ablation.cells if trained_with(name, ablation.name) == trained_with(name, None)]


def nothing_changed(ablation: AblationConfig, cells: list[str]) -> str:
    """That a variant changes nothing of cells."""
    values = " and ".join(f"{key} is {json.dumps(value)}" for key, value in ablation.set.model_dump().items())
    shown = named(cells).removesuffix(": ")
    return f"'{ablation.name}' changes nothing of {shown}, whose {values}; leave the value or the cell out"


def hidden_settings(config: Config, default: Mapping[str, Any]) -> list[str]:
    """A line for each setting of training or models that the user changed and an override of the default file replaces.

    Args:
        config: the configuration.
        default: the content of the default file, whose overrides come first.
    """
    overrides, found = default.get("overrides", []), {}
    for name in dict.fromkeys(cell.name for cell in config.cells(*config.results)):
        cell = Cell.from_name(name, seed=0)
        sets = [(number, each.set.model_dump()) for number, each in enumerate(config.overrides) if each.matches(cell)]
        for path, given in (
            (["training"], config.training),
            (["models", cell.model], config.models[cell.model]),
        ):
            _, usual = value_at(path, default)
            for key, value in given.model_dump(exclude_unset=True).items():
                last = ((number, values[key]) for number, values in reversed(sets) if key in values)
                number, new = next(last, (len(overrides), None))
                if number < len(overrides) and value not in (new, (usual or {}).get(key)):
                    pattern, new, value = map(json.dumps, (overrides[number]["cells"], new, value))
                    found.setdefault((".".join([*path, key]), key, value, new, pattern), []).append(name)
    return [
        f"{setting}, {value}, does not count for {named(cells).removesuffix(': ')}, where an override of config.yaml sets "
        f"{new}; to change it there, write overrides: [{{cells: {pattern}, set: {{{key}: {value}}}}}]"
        for (setting, key, value, new, pattern), cells in found.items()
    ]


def named(cells: list[str]) -> str:
    """The first cells, how many more there are, and a colon."""
    more = f" and {len(cells) - 3} more cells" if cells[3:] else ""
    return f"{', '.join(cells[:3])}{more}: "


def input_fault(config: Config, cell: Cell, settings: CellSettings) -> str | None:
    """Why the images of a cell are too small, or are not cropped."""
    smallest = registry.entry("model", cell.model).options.get("smallest", 1)
    if settings.input_size < smallest:
        return f"input_size {settings.input_size}, but {cell.model} needs images of at least {smallest}x{smallest}"
    source = config.datasets[cell.dataset].source
    if source == "local":
        cropped = "crop" in cell.regularisers
        return f"{cell.dataset} has no 'crop'; its 'augment' crops" if cropped else None
    size, wanted = registry.entry("dataset", cell.dataset).options.get("size"), settings.input_size
    # The user's own images can have another size.
    if source == "images" or size is None or wanted <= (most := size - ("crop" in cell.regularisers)):
        return None
    crop = ", or leave 'crop' out" if wanted == size else ""
    return f"input_size {wanted}, but the images of {cell.dataset} are {size}x{size}; give at most {most}{crop}"
