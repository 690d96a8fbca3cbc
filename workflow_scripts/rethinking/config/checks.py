"""Whether each cell of a configuration can be trained: its settings, the size of its images, its smallest batch."""

from __future__ import annotations

from typing import Any

from rethinking import registry
from rethinking.cells import Cell, sample_size
from rethinking.config.cell_settings import CellSettings
from rethinking.config.configuration import Config
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
            found.setdefault(str(error), [])
            continue
        for message in (input_fault(config, cell, settings), batch_fault(config, cell, settings)):
            if message:
                found.setdefault(message, []).append(f"{name} ({variant})" if variant else name)
    return [named(some) + message for message, some in found.items()]


def named(cells: list[str]) -> str:
    """The first cells, how many more there are, and a colon; nothing for none."""
    more = f" and {len(cells) - 3} more cells" if cells[3:] else ""
    return f"{', '.join(cells[:3])}{more}: " if cells else ""


def known_option(config: Config, dataset: str, option: str) -> Any:
    """What is registered of the images of a data set; None if nothing, or if they are the user's own."""
    own = config.datasets[dataset].source == "images"
    return None if own else registry.entry("dataset", dataset).options.get(option)


def input_fault(config: Config, cell: Cell, settings: CellSettings) -> str | None:
    """Why the images of a cell are too small, or are not cropped."""
    if config.datasets[cell.dataset].source == "local":
        cropped = "crop" in cell.regularisers
        return f"{cell.dataset} has no 'crop'; its 'augment' crops" if cropped else None
    size, wanted = known_option(config, cell.dataset, "size"), settings.input_size
    if size is None or wanted <= (most := size - ("crop" in cell.regularisers)):
        return None
    crop = ", or leave 'crop' out" if wanted == size else ""
    return (
        f"input_size {wanted}, but the images of {cell.dataset} are {size}x{size}; give at most {most}{crop}"
    )


def batch_fault(config: Config, cell: Cell, settings: CellSettings) -> str | None:
    """Why a batch of a cell has a single image, where the normalisation of its network needs two."""
    sizes = registry.entry("model", cell.model).options.get("two_images", ())
    if not any(low <= settings.input_size <= high for low, high in sizes):
        return None
    if settings.batch_size == 1:
        return f"batch_size 1, but the batch normalisation of {cell.model} needs two images; give at least 2"
    numbers = [known_option(config, cell.dataset, "train"), config.datasets[cell.dataset].train_limit]
    images = sample_size(cell.corruption) or min((n for n in numbers if n), default=0)
    part = settings.micro_batch or settings.batch_size
    if images % settings.batch_size % part != 1:
        return None
    return (
        f"{images:,} training images in parts of {part:,} leave one image, but the batch normalisation of {cell.model} "
        f"needs two; give another batch_size, or a datasets.{cell.dataset}.train_limit"
    )
