"""Images in files of their own, or in tars, read where they lie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rethinking.run.files import UserError


@dataclass
class Images:
    """Images of one split, in their order.

    ``names`` are ``class/file``. An image lies in the tar ``files[places[i, 0]]`` at byte ``places[i, 1]`` with
    ``places[i, 2]`` bytes; without places it is a file of its own in ``folder``.
    """

    names: list[str]
    files: Sequence[Path] = ()
    places: np.ndarray | None = None  # (n, 3) int64
    folder: Path | None = None
    flat: bool = False  # no folders of classes in ``folder``
    class_names: tuple[str, ...] = ()
    opened: dict[int, int] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> np.ndarray:
        """The class of each image, int64 (n,)."""
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers[name.split("/")[0]] for name in self.names], np.int64)

    def take(self, index: Iterable[int]) -> Images:
        """Some of the images, in the order of ``index``."""
        index = np.asarray(list(index), np.int64)
        names = [self.names[i] for i in index]
        places = None if self.places is None else self.places[index]
        return Images(names, self.files, places, self.folder, self.flat, self.class_names)

    def of_classes(self, names: Sequence[str]) -> Images:
        """The images of these classes, sorted by class and file name."""
        chosen = set(names)
        keys = [tuple(name.split("/")) for name in self.names]
        index = sorted((i for i, key in enumerate(keys) if key[0] in chosen), key=keys.__getitem__)
        found = self.take(index)
        found.class_names = tuple(names)
        return found

    def path(self, i: int) -> Path:
        """The file of an image, or the tar in which it lies."""
        if self.places is not None:
            return self.files[self.places[i, 0]]
        return self.folder / (self.names[i].split("/")[1] if self.flat else self.names[i])

    def read(self, i: int) -> bytes:
        """The bytes of an image's file.

        Raises:
            UserError: it cannot be read.
        """
        try:
            if self.places is None:
                return self.path(i).read_bytes()
            file, offset, size = map(int, self.places[i])
            if file not in self.opened:
                self.opened[file] = os.open(self.files[file], os.O_RDONLY)
            content = os.pread(self.opened[file], size, offset)
        except OSError as error:
            raise UserError(f"{self.path(i)} cannot be read ({error.strerror}): {self.names[i]}") from error
        if len(content) != size:
            raise UserError(f"{self.path(i)} is cut short: {self.names[i]} is not there; get it again")
        return content

    def describe(self, i: int) -> str:
        """An image, for messages."""
        return f"{self.path(i)}" if self.places is None else f"{self.path(i)}: {self.names[i]}"


def listed(names: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def marks(stat: os.stat_result) -> str:
    """By what a changed file is noticed."""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
