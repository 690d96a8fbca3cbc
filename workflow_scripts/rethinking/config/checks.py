"""Whether each cell of a configuration can be trained: its settings and the size of its images; what changes none."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.config.configuration import Config
from rethinking.config.faults import value_at
from rethinking.config.patterns import Path
from rethinking.config.results import USED_WITH, AblationConfig, conditional, lacks, missing_beside
from rethinking.models.options import default_options
from rethinking.run.files import UserError


def cell_faults(config: Config) -> dict[str, list[tuple[Cell, str | None]]]:
    """What is wrong with cells and variants, each fault once -> those that have it."""
    found: dict[str, list[tuple[Cell, str | None]]] = {}
    for cell, variant in cells_and_variants(config):
        try:
            settings = config.settings(cell, variant)
        except UserError as error:
            message = str(error).removeprefix(f"cell '{cell.name}': ")
        else:
            message = input_fault(config, cell, settings)
        if message:
            found.setdefault(message, []).append((cell, variant))
    return found


def cells_and_variants(config: Config) -> list[tuple[Cell, str | None]]:
    """Each cell of results and ablations, then each variant with the name of its ablation; that of one seed for all."""
    names = [(cell.name, None) for cell in config.cells(*config.results) + config.ablated_cells()]
    names += [(cell.name, variant) for variant, cell in config.variants()]
    return [(Cell.from_name(name, seed=0), variant) for name, variant in dict.fromkeys(names)]


def label(cell: Cell, variant: str | None) -> str:
    """What a message calls a cell or a variant of it."""
    return f"{cell.name} ({variant})" if variant else cell.name


def unchanged_cells(config: Config, ablation: AblationConfig) -> list[str]:
    """The cells whose own settings are those of a variant, which would train them a second time."""

    def trained_with(name: str, variant: str | None) -> CellSettings:
        cell = Cell.from_name(name, seed=0)
        settings = config.settings(cell, variant)
        options = default_options(cell.model) | settings.architecture
        return settings.model_copy(update={"architecture": options})

    return [name for name in ablation.cells if trained_with(name, ablation.name) == trained_with(name, None)]


def nothing_changed(config: Config, ablation: AblationConfig, cells: list[str]) -> list[str]:
    """That a variant changes nothing of cells: a line for each reason."""
    found: dict[str, list[str]] = {}
    for name in cells:
        settings, values = config.settings(Cell.from_name(name, seed=0)), ablation.set.model_dump()
        reasons = {key: missing_beside(key, dict(settings)) for key in values}
        texts = [
            f"{key} counts only with a {reasons[key]}" if reasons[key] else f"{key} is {json.dumps(value)}"
            for key, value in values.items()
        ]
        found.setdefault(" and ".join(texts), []).append(name)
    return [
        f"'{ablation.name}' changes nothing of {named(some)}, whose {why}; leave the value or the cell out"
        for why, some in found.items()
    ]


def hidden_settings(
    config: Config, sources: Mapping[str, Any], overrides: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[str]:
    """A line for each setting of training or models that an override of an earlier source replaces.

    Args:
        config: the configuration.
        sources: each file, and then the command line -> what is set when it is read.
        overrides: source -> its overrides; in order those of the configuration.
    """
    order = list(sources)
    places = [(order.index(source), source, each["cells"]) for source, some in overrides.items() for each in some]
    found: dict[tuple[str, ...], list[str]] = {}
    for cell in [cell for cell, variant in cells_and_variants(config) if variant is None]:
        sets = [
            (*place, each.set.model_dump())
            for place, each in zip(places, config.overrides, strict=True)
            if each.matches(cell)
        ]
        for path, given in ((["training"], config.training), (["models", cell.model], config.models[cell.model])):
            for key, value in given.model_dump(exclude_unset=True).items():
                changed = last_change([*path, key], sources.values())
                for number, source, pattern, values in reversed(sets):
                    if key in values:
                        if number < changed and values[key] != value:
                            shown = map(json.dumps, (value, values[key], pattern))
                            found.setdefault((".".join([*path, key]), key, source, *shown), []).append(cell.name)
                        break
    return [
        f"{setting}, {value}, does not count for {named(cells)}, where an override of {source} sets "
        f"{new}; to change it there, write overrides: [{{cells: {pattern}, set: {{{key}: {value}}}}}]"
        for (setting, key, source, value, new, pattern), cells in found.items()
    ]


def unused_settings(config: Config, first: int = 0) -> Iterator[tuple[int, Path, str]]:
    """The settings of overrides that mean nothing in any of the configured cells and variants that they match, if any.

    Args:
        config: the configuration.
        first: the number of the first override to check; copies of those before it are left out too.

    Yields:
        the number of the override, the place of the setting in it, and its value with the cells; or the patterns of
        an override that match none.
    """
    trained = cells_and_variants(config)
    left_out = [name for result in config.results for name in getattr(config, result).cells]  # on absent data sets

    def missing_in(cell: Cell, variant: str | None, setting: str) -> str | None:
        found = lacks(cell, setting)
        # Settings, which a variant can change, are slow to resolve.
        if found or setting not in (*USED_WITH, "auxiliary_loss"):
            return found
        settings = config.settings(cell, variant)
        return lacks(cell, setting, settings.input_size) or missing_beside(setting, dict(settings))

    for number, override in enumerate(config.overrides[first:], first):
        if override in config.overrides[:first]:
            continue
        given = conditional(override.set)
        matched = [each for each in trained if override.matches(each[0])]
        if not matched and not any(override.matches(Cell.from_name(name, seed=0)) for name in left_out):
            yield (
                number,
                ("cells",),
                f"{named(override.cells)}, matches none of the cells of tables, figures and ablations",
            )
        for path, value in given.items():
            missing = list(takewhile(bool, (missing_in(*each, path[-1]) for each in matched)))
            if missing and len(missing) == len(matched):
                names = list(dict.fromkeys(cell.name for cell, _ in matched))
                have = f"{named(names)} {'have' if names[1:] else 'has'}"
                lacking = " or no ".join(dict.fromkeys(missing))  # cells can have different reasons
                yield number, ("set", *path), f"{json.dumps(value)}, does not count, as {have} no {lacking}"


def last_change(path: Sequence[str], sources: Iterable[Any]) -> int:
    """The number of the source that gave a setting its value; -1 if none did."""
    last, current = -1, None
    for number, content in enumerate(sources):
        is_set, value = value_at(path, content)
        if is_set and (last < 0 or value != current):
            last, current = number, value
    return last


def named(cells: list[str]) -> str:
    """The first cells, and how many more there are."""
    more = f" and {len(cells) - 3} more cell{'s' * (len(cells) > 4)}" if cells[3:] else ""
    return ", ".join(cells[:3]) + more


def input_fault(config: Config, cell: Cell, settings: CellSettings) -> str | None:
    """Why the images of a cell are too small, are not cropped, or are blurred."""
    smallest = registry.entry("model", cell.model).options.get("smallest", 1)
    if settings.input_size < smallest:
        return f"input_size {settings.input_size}, but {cell.model} needs images of at least {smallest}x{smallest}"
    source = config.datasets[cell.dataset].source
    if source == "local":
        cropped = "crop" in cell.regularisers
        return (
            f"{cell.dataset} has no 'crop'; its 'augment' crops" if cropped else blurring_fault(config, cell, settings)
        )
    size, wanted = registry.entry("dataset", cell.dataset).options.get("size"), settings.input_size
    # The user's own images can have another size.
    if source == "images" or size is None or wanted <= (most := size - ("crop" in cell.regularisers)):
        return None
    crop = ", or leave 'crop' out" if wanted == size else ""
    return f"input_size {wanted}, but the images of {cell.dataset} are {size}x{size}; give at most {most}{crop}"


def blurring_fault(config: Config, cell: Cell, settings: CellSettings) -> str | None:
    """Why corrupted pixels of stored images would not be seen as they are drawn: resizing takes variance from noise."""
    stored, wanted = config.datasets[cell.dataset].stored_size, settings.input_size
    entry = registry.entry("corruption", cell.corruption)
    # Where one example is replaced its pixels are true ones.
    if stored is None or "base" in entry.options or not any("images" in file for file in entry.files):
        return None
    from rethinking.training.inception_preprocessing import central_box  # imported here: it needs torch

    sides = {size: central_box(size, size)[2] for size in (stored, *range(wanted, 2 * wanted + 1))}
    if sides[stored] == wanted:
        return None
    right = next(size for size, side in sides.items() if side == wanted)
    return (
        f"the central part of stored_size {stored} is {sides[stored]}x{sides[stored]}, so that {cell.corruption} would be "
        f"resized to input_size {wanted}; set datasets.{cell.dataset}.stored_size: {right}"
    )
