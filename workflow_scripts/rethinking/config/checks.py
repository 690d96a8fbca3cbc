"""Whether all of a configuration can be made: settings of cells, sizes and numbers of images; what changes no cell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rethinking import registry
from rethinking.cells import Cell, replaced_example, sample_size
from rethinking.config.cell_settings import CellSettings
from rethinking.config.configuration import Config
from rethinking.config.faults import value_at
from rethinking.config.results import AblationConfig
from rethinking.models.options import default_options
from rethinking.run.files import UserError

SPLITS = {"train": "training", "test": "test"}
# Parts of linear_models and what leaves them out; counterexamples are of models.
WITHOUT = {
    "models": ("models: []", "counterexamples: {models: []}"),
    "counterexamples": ("counterexamples: {models: []}",),
    "descent": ("descent: {dataset: null}",),
}


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
        sets = [
            (number, each.set.model_dump())
            for number, each in enumerate(config.overrides)
            if each.matches(cell)
        ]
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
    return (
        f"input_size {wanted}, but the images of {cell.dataset} are {size}x{size}; give at most {most}{crop}"
    )


def published_images(config: Config, dataset: str, split: str) -> int | None:
    """The images of a split that are published; None if those of this copy can be others, or their number is unknown."""
    if dataset not in config.datasets or config.datasets[dataset].source == "images":
        return None
    return registry.entry("dataset", dataset).options.get(split)


def too_few(config: Config, dataset: str, split: str, wanted: int) -> str | None:
    """That a split has fewer images than are wanted; None if it has as many, or their number is not known beforehand."""
    limit = getattr(config.datasets.get(dataset), f"{split}_limit", None)
    there = limit or published_images(config, dataset, split)
    if there is None or wanted <= there:
        return None
    why = f" (datasets.{dataset}.{split}_limit)" if limit else ""
    return f"but {dataset} has {there:,} {SPLITS[split]} images{why}; give at most {there:,}"


def wanted_images(config: Config) -> Iterator[tuple[str, str, str, str, str, int]]:
    """What takes a number of images that the configuration states.

    Yields:
        the part of the configuration, its cell if it has cells, key and number in words, data set, split, and number.
    """
    sections = {result: config.cell_names(result) for result in config.results}
    sections["ablations"] = [name for ablation in config.ablations for name in ablation.cells]
    for section, names in sections.items():
        for name in names:
            cell = Cell.from_name(name, seed=0)
            if n := sample_size(cell.corruption):
                yield section, name, f"takes {n:,} training images", cell.dataset, "train", n
            if (number := replaced_example(cell.corruption)) is not None:
                for split, title in SPLITS.items():
                    words = f"replaces example {number:,} (from 0), so it takes {number + 1:,} {title} images"
                    yield section, name, words, cell.dataset, split, number + 1
    linear = config.linear_models
    train, test = linear.validation.train, linear.validation.test
    words = f"linear_models.validation takes {train:,} (train) + {test:,} (test) training images"
    for model in linear.models:
        yield "models", "", words, model.dataset, "train", train + test
    for name in linear.counterexamples.models:
        for split in SPLITS:
            wanted = getattr(linear.counterexamples, split)
            words = f"linear_models.counterexamples.{split} is {wanted:,}"
            yield "counterexamples", "", words, linear.model(name).dataset, split, wanted
    if name := linear.descent.dataset:
        wanted = linear.descent.images
        yield "descent", "", f"linear_models.descent.images is {wanted:,}", name, "train", wanted


def image_faults(config: Config) -> list[str]:
    """What takes more images than there are, as far as their numbers are known, and last how to leave all of it out."""
    faults = []
    for name, dataset in config.datasets.items():
        for split, title in SPLITS.items():
            limit, most = getattr(dataset, f"{split}_limit"), published_images(config, name, split)
            if limit and most and limit > most:
                key = f"datasets.{name}.{split}_limit"
                faults.append(
                    f"{key} is {limit:,}, but {name} has {most:,} {title} images; give at most that, or null"
                )
    few: dict[str, dict[str, None]] = {}
    parts: dict[str, None] = {}
    for part, cell, words, dataset, split, wanted in wanted_images(config):
        if fault := too_few(config, dataset, split, wanted):
            few.setdefault(f"{words}, {fault}", {})[cell] = None
            parts[part] = None
    faults += [(named(list(cells)) if "" not in cells else "") + message for message, cells in few.items()]
    descent = config.linear_models.descent
    if descent.dataset and config.datasets[descent.dataset].source != "images":
        options = registry.entry("dataset", descent.dataset).options
        most = options.get("channels", 0) * options.get("size", 0) ** 2 - 1
        if 0 < most < descent.images:
            # The values of a whitened image sum to zero, so no more images are linearly independent.
            key = "linear_models.descent.images"
            faults.append(
                f"{key} is {descent.images:,}, but images of {descent.dataset} have {most + 1:,} values; give at most {most:,}"
            )
            parts["descent"] = None
    of_linear = dict.fromkeys(each for part, keys in WITHOUT.items() if part in parts for each in keys)
    lines = [
        f"{part}: {'[]' if part == 'ablations' else '{cells: []}'}" for part in parts if part not in WITHOUT
    ]
    lines += [f"linear_models: {{{', '.join(of_linear)}}}"] if of_linear else []
    if lines:
        faults.append(
            "\n    ".join(["to leave out all that takes more images than there are, write", *lines])
        )
    return faults
