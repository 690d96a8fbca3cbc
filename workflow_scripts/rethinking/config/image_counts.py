"""Whether there are as many images as a configuration asks for."""

from collections.abc import Iterator
from typing import NamedTuple

from rethinking import registry
from rethinking.cells import Cell, replaced_example, sample_size
from rethinking.config.checks import cells_and_variants, label, named
from rethinking.config.configuration import Config
from rethinking.data.imagenet_classes import classes_of
from rethinking.paper.titles import SPLIT_TITLES

# Parts of linear_models and what leaves them out; counterexamples are of models.
WITHOUT = {
    "models": ("models: []", "counterexamples: {models: []}"),
    "counterexamples": ("counterexamples: {models: []}",),
    "descent": ("descent: {dataset: null}",),
}


def published_images(config: Config, dataset: str, split: str) -> int | None:
    """The images of a split that are published; None if those of this copy can be others, or their number is unknown."""
    if dataset not in config.datasets or config.datasets[dataset].source == "images":
        return None
    return registry.entry("dataset", dataset).options.get(split)


def limit_faults(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """Limits of data sets that cannot be met: their path in the configuration and what is wrong.

    They are beyond the images that are published, or below the number of classes, as far as these are known beforehand.
    """
    for name, dataset in config.datasets.items():
        classes = known_classes(config, name)
        for split, title in SPLIT_TITLES.items():
            limit, most = getattr(dataset, f"{split}_limit"), published_images(config, name, split)
            if limit and most and limit > most:
                there, right = f"{most:,} {title} images", "at most"
            elif limit and limit < classes:
                there, right = f"{classes:,} classes", "at least"
            else:
                continue
            path = ("datasets", name, f"{split}_limit")
            yield path, f"{'.'.join(path)} is {limit:,}, but {name} has {there}; give {right} that, or null"


def known_classes(config: Config, dataset: str) -> int:
    """The number of classes of a data set; 0 if that follows from the files alone."""
    here = config.datasets[dataset]
    if here.source == "local":
        return len(classes_of(dataset, here.classes) or ())
    return 0 if here.source == "images" else registry.entry("dataset", dataset).options.get("classes") or 0


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


def large_batches(config: Config) -> list[str]:
    """A line on each batch size above the number of training images, as far as that is known beforehand.

    A step then takes them all, as with any other such size: variants that differ in it alone are the same.
    """
    found: dict[tuple[int, int, str], list[str]] = {}
    for cell, variant in cells_and_variants(config):
        limit, drawn = config.datasets[cell.dataset].train_limit, sample_size(cell.corruption)
        images = drawn or limit or published_images(config, cell.dataset, "train")
        size = config.settings(cell, variant).batch_size
        if images and size > images:
            why = "" if drawn or not limit else f" (datasets.{cell.dataset}.train_limit)"
            found.setdefault((size, images, why), []).append(label(cell, variant))
    return [
        f"a batch_size of {size:,} is above the {images:,} training images{why} of {named(some)}; each step "
        f"takes them all, as it would with {images:,}"
        for (size, images, why), some in found.items()
    ]


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
