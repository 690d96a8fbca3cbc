"""Digests of what data sets are read from: archives, folders of files and sets of images of the user."""

import hashlib
import os
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path

from rethinking.data.image_checksums import images_digest, states
from rethinking.data.image_files import marks
from rethinking.data.sources import source_files
from rethinking.run.digests import digest_of, digest_once, known_digests
from rethinking.run.files import UserError, hash_file


def content_digest(
    name: str,
    source: str,
    path: str | Path,
    cache: str | Path | None,
    classes: Collection[str] | None = None,
    limits: Sequence[int | None] = (None, None),
    provenance: str | None = None,
) -> str:
    """SHA-256 over a file, or over names and contents of the files in a folder.

    Args:
        name: of the data set that is read from it, which with its source decides which files of a folder count.
        source: the kind of its source.
        path: the file or folder.
        cache: a JSON file of digests by names, sizes and times, so that contents are read only once; None for no cache.
        classes: of a local source, those whose images count; None for all.
        limits: of a local source, its ``train_limit`` and ``test_limit``, checked before the images are read.
        provenance: of a local source, what the copy is called; checked like these.

    Raises:
        UserError: it cannot be read, or is gone and the cache does not know it; a local source has no provenance, or
            fewer images than a limit.
    """
    path, cache = Path(path), cache and Path(cache)
    real = os.path.realpath(path)
    key = f"{source} {name} {real}"
    if source == "local":
        key = " ".join(["images", real, *([digest_of(sorted(classes))] if classes else [])])
    try:
        os.stat(path)
    except OSError as error:
        if known := known_digests(cache).get(key):
            return known[1]  # results that were made from it can still be current
        missing = isinstance(error, FileNotFoundError)
        what = "does not exist" if missing else f"cannot be read ({error.strerror})"
        raise UserError(f"{path} {what}; correct datasets.{name}.path in the config") from error

    try:
        if source == "local":
            found = [f"{file} {state}" for file, state in states(path)]
            read = partial(images_digest, name, path, classes, limits, provenance)
        else:
            files = source_files(name, source, path) if path.is_dir() else [(path.name, path)]
            found = [ascii(f"{within} {marks(file.stat())}") for within, file in files]
            read = partial(files_digest, path, files)
        return digest_once(cache, key, digest_of(found), read)
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be read ({error.strerror}); put it right or remove it, or correct "
            f"datasets.{name}.path in the config"
        ) from error


def files_digest(path: Path, files: Iterable[tuple[str, Path]]) -> str:
    """SHA-256 of a file, or over these files of a folder, each with its name."""
    if not path.is_dir():
        return hash_file(path)
    digest = hashlib.sha256()
    for within, file in files:
        digest.update(os.fsencode(within) + f"\0{hash_file(file)}\n".encode())
    return digest.hexdigest()
