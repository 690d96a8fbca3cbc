"""Whether all of a configuration can be made: settings of cells, sizes and numbers of images; what changes no cell."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from rethinking import registry
from rethinking.cells import Cell, replaced_example, sample_size
from rethinking.config.cell_settings import CellSettings
from rethinking.config.configuration import Config
from rethinking.config.faults import value_at
from rethinking.config.results import AblationConfig
from rethinking.models.options import default_options
from rethinking.paper.titles import SPLIT_TITLES
from rethinking.run.files import UserError

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


def published_images(config: Config, dataset: str, split: str) -> int | None:
    """The images of a split that are published; None if those of this copy can be others, or their number is unknown."""
    if dataset not in config.datasets or config.datasets[dataset].source == "images":
        return None
    return registry.entry("dataset", dataset).options.get(split)


def limit_faults(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """Limits of data sets beyond the images that are published: their path in the configuration and what is wrong."""
    for name, dataset in config.datasets.items():
        for split, title in SPLIT_TITLES.items():
            limit, most = getattr(dataset, f"{split}_limit"), published_images(config, name, split)
            if limit and most and limit > most:
                path = ("datasets", name, f"{split}_limit")
                there = f"{name} has {most:,} {title} images; give at most that, or null"
                yield path, f"{'.'.join(path)} is {limit:,}, but {there}"


class Wanted(NamedTuple):
    """What takes a number of images that the configuration states."""

    part: str  # of the configuration, or of its linear_models
    made: tuple[str | int, ...]  # what is made of them, as the rules name it
    words: str  # key, or cell, and the number
    dataset: str
    split: str
    number: int


def wanted_images(config: Config) -> Iterator[Wanted]:
    """All that takes a number of images that the configuration states."""
    sections = {result: config.cell_names(result) for result in config.results}
    sections["ablations"] = [name for ablation in config.ablations for name in ablation.cells]
    for section, names in sections.items():
        for name in names:
            cell = Cell.from_name(name, seed=0)
            if n := sample_size(cell.corruption):
                words = f"{section}: {cell.corruption} takes {n:,} training images"
                yield Wanted(section, ("sample", cell.dataset, n), words, cell.dataset, "train", n)
            if (number := replaced_example(cell.corruption)) is not None:
                made = ("corruption", cell.dataset, cell.corruption)
                for split, title in SPLIT_TITLES.items():
                    words = f"{section}: {cell.corruption} takes {number + 1:,} {title} images"
                    yield Wanted(section, made, words, cell.dataset, split, number + 1)
    linear = config.linear_models
    train, test = linear.validation.train, linear.validation.test
    words = f"linear_models.validation takes {train + test:,} training images (train + test)"
    for model in linear.models:
        yield Wanted("models", ("validation", model.name), words, model.dataset, "train", train + test)
    for name in linear.counterexamples.models:
        for split, title in SPLIT_TITLES.items():
            wanted = getattr(linear.counterexamples, split)
            words = f"linear_models.counterexamples takes {wanted:,} {title} images"
            dataset = linear.model(name).dataset
            yield Wanted("counterexamples", ("comparison", name), words, dataset, split, wanted)
    if name := linear.descent.dataset:
        wanted = linear.descent.images
        words = f"linear_models.descent takes {wanted:,} training images"
        yield Wanted("descent", ("descent",), words, name, "train", wanted)


def too_few_images(config: Config) -> dict[tuple[str | int, ...], str]:
    """What takes more images than there are, as far as their numbers are known beforehand.

    Returns:
        what cannot be made, as :class:`Wanted` has it -> a message on all of the networks or all of the linear models
        that cannot, which ends with how to leave these out.
    """
    networks: dict[str, list[Wanted]] = {}
    linear: dict[str, list[Wanted]] = {}
    faults = {}
    for each in wanted_images(config):
        limit = getattr(config.datasets.get(each.dataset), f"{each.split}_limit", None)
        there = limit or published_images(config, each.dataset, each.split)
        if there and each.number > there:
            why = f" (datasets.{each.dataset}.{each.split}_limit)" if limit else ""
            faults[each] = f"  {each.words}, but {each.dataset} has {there:,}{why}"
            (linear if each.part in WITHOUT else networks).setdefault(each.part, []).append(each)
    keys = dict.fromkeys(key for part, some in WITHOUT.items() if part in linear for key in some)
    found = {}
    for parts, lines in (
        (networks, [f"  {part}: {'[]' if part == 'ablations' else '{cells: []}'}" for part in networks]),
        (linear, [f"  linear_models: {{{', '.join(keys)}}}"]),
    ):
        wanted = [each for some in parts.values() for each in some]
        said = dict.fromkeys(faults[each] for each in wanted)
        advice = "Take fewer images, or leave out what takes more than there are:"
        message = "\n".join(["there are too few images", *said, advice, *lines])
        found |= {each.made: message for each in wanted}
    return found
