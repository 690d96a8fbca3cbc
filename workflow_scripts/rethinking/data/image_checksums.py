"""Checksums of large sets of images, computed once, with progress, and kept by size and time."""

import hashlib
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from rethinking.data.image_files import Images, marks
from rethinking.data.imagenet import ARCHIVES, DEVKIT, FOLDERS, PUBLISHED, find_images, is_sorted
from rethinking.data.prepared import SPLITS, check_limits
from rethinking.run.digests import digest_once
from rethinking.run.files import UserError
from rethinking.run.time_left import Progress

READERS, BLOCK = 16, 64  # files read at a time, since those on a server take long to open; images of one task
# What is read in the folder of a data set.
READ = {
    *ARCHIVES.values(),
    *chain(*FOLDERS.values()),
    *(DEVKIT + ending for ending in ("", ".tar", ".tar.gz")),
}


def to_stderr(line: str) -> None:
    """Show a line while planning, whose output is for Snakemake."""
    print(line, file=sys.stderr, flush=True)


def images_digest(
    name: str, path: Path, classes: Collection[str] | None, limits: Sequence[int | None], provenance: str | None
) -> str:
    """SHA-256 over names and contents of the images; tars and folders of the same images have the same.

    Arguments and errors are those of :func:`find_images`, :func:`check_limits` and :func:`check_provenance`. What is
    wrong is said before hours of reading.
    """
    check_provenance(name, provenance or may_be_published(path))
    found = find_images(path, classes)
    check_limits(name, limits, [found[split].labels for split in SPLITS])
    lines = []
    progress = Progress(f"reading {path} once for its checksum", sum(map(len, found.values())), to_stderr)
    for split, images in found.items():
        digests = [""] * len(images)
        # In the order in which they lie on the disk.
        order = range(len(images)) if images.places is None else np.argsort(images.places[:, 1])
        blocks = [order[start : start + BLOCK] for start in range(0, len(order), BLOCK)]
        with ThreadPoolExecutor(READERS) as pool:
            for block, some in zip(blocks, pool.map(partial(_digests, images), blocks), strict=True):
                for i, digest in zip(block, some, strict=True):
                    digests[i] = digest
                progress.advance(len(block))
        lines += [f"{split}/{name} {digest}" for name, digest in zip(images.names, digests, strict=True)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _digests(images: Images, block: Iterable[int]) -> list[str]:
    return [hashlib.sha256(images.read(i)).hexdigest() for i in block]


def states(path: Path) -> list[tuple[str, str]]:
    """Name and state of each file that :func:`find_images` may read, sorted."""
    if not path.is_dir():
        return [(path.name, marks(path.stat()))]
    found: list[tuple[str, str]] = []
    folders = [str(path)]
    with ThreadPoolExecutor(READERS) as pool:
        for depth in range(3):  # images are not deeper, and links may lead in circles
            entries = list(chain(*pool.map(partial(_entries, top=depth == 0), folders)))
            folders = [name for name, state in entries if state is None]
            found += [(name.removeprefix(f"{path}/"), state) for name, state in entries if state is not None]
    return sorted(found)


def _entries(folder: str, top: bool) -> list[tuple[str, str | None]]:
    """Path and state of each file in a folder that may be read, and None for the state of each folder."""
    return [
        # Unlike the stat() of an entry, that of os lets other threads go on.
        (each.path, None if each.is_dir() else marks(os.stat(each.path)))
        for each in os.scandir(folder)
        if (each.name in READ if top else not each.name.startswith("."))
    ]


def check_provenance(name: str, given: object) -> None:
    """Raise a UserError unless a copy is called something, or is the published one."""
    if not given:
        raise UserError(
            f"the images of {name} cannot be compared with the published ones; say in datasets.{name}.provenance what "
            "this copy is, which tables and figures then show"
        )


def may_be_published(path: Path) -> bool:
    """Whether a folder has archives of the published sizes, and nothing else is read."""
    return not any(is_sorted(path, split) for split in SPLITS) and all(
        (path / name).is_file() and size in (None, (path / name).stat().st_size)
        for name, (size, _) in PUBLISHED.items()
    )


def verify_archives(path: Path, cache: Path | None, log: Callable[[str], None] = print) -> bool:
    """Whether a folder has the published archives and nothing else is read; digests are kept by size and time.

    Raises:
        UserError: an archive of the published size has another digest.
    """
    if not may_be_published(path):
        return False
    for name, (size, md5) in PUBLISHED.items():
        file = path / name
        key, mark = f"md5 {file.resolve()}", marks(file.stat())
        found = digest_once(cache, key, mark, lambda file=file: _md5(file, log))
        if found != md5:
            if size is None:
                return False
            raise UserError(f"{file} has MD5 {found}, expected {md5}; get it again")
    return True


def _md5(file: Path, log: Callable[[str], None]) -> str:
    digest = hashlib.md5()
    progress = Progress(f"MD5 of {file.name}", file.stat().st_size, log)
    with open(file, "rb") as stream:
        while block := stream.read(1 << 24):
            digest.update(block)
            progress.advance(len(block))
    return digest.hexdigest()
