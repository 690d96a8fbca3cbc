"""Which files of a local copy are read: those of a published data set, or the images of a folder."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rethinking.data.archives import Parts, is_litter, walk, walk_folder
from rethinking.data.prepared import SPLITS
from rethinking.data.published import SHOWN, published
from rethinking.run.files import UserError


def walk_images(path: Path, litter: list[str]) -> Iterator[tuple[Parts, Callable[[], bytes] | None]]:
    """Walk over ``train`` and ``test`` of a folder, or of a tar archive or the folders in it (see :func:`walk`)."""
    if path.is_dir():
        return walk(path, lambda parts: parts[0] in SPLITS, litter)
    return walk(path, lambda parts: not set(SPLITS).isdisjoint(parts[:2]), litter)


def image_folder(path: Path) -> Path:
    """The folder with ``train`` or ``test``: this one or, if it has neither, the only one in it that has."""
    if any(os.path.lexists(path / part) for part in SPLITS):
        return path
    inner = [
        each
        for each in path.glob("*/")
        if not is_litter(each.name) and any(os.path.lexists(each / part) for part in SPLITS)
    ]
    return path / only_folder(path, [each.name for each in inner]) if inner else path


def only_folder(path: Path, names: Iterable[str]) -> str:
    """The folder in ``path`` with ``train`` or ``test``, of which there must be one."""
    first, *others = sorted(names)
    if others:
        shown = ", ".join([first, *others][:SHOWN])
        raise UserError(f"{path} has train/ or test/ in several folders: {shown}; give the path to one of them")
    return first


def source_files(name: str, source: str, path: Path) -> list[tuple[str, Path]]:
    """The files of a data set that are read from a folder: their names within it, and their paths, sorted."""
    if source == "archive":
        return [(file.relative_to(path).as_posix(), file) for file in published(name).local_files(path)]
    if source != "images":
        found = walk_folder(path)
    else:
        path = image_folder(path)
        found = walk_folder(path, lambda parts: parts[0] in SPLITS)
    return [("/".join(parts), file) for parts, file in found if not file.is_dir()]
