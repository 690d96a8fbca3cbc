"""Digests of files of the user, read once and kept by their sizes and times."""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rethinking.data.image_files import marks
from rethinking.run.files import UserError, hash_file, read_json, write_json


def digest_of(parts: Sequence[str]) -> str:
    """One digest of many, which depends on their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def file_digest(path: str | Path, algorithm: str, cache: Path | None) -> str:
    """The digest of a file's bytes; ``cache`` is as in :func:`digest_once`."""
    key, mark = f"{algorithm} {os.path.realpath(path)}", marks(os.stat(path))
    return digest_once(cache, key, mark, lambda: hash_file(path, algorithm))


def digest_once(cache: Path | None, key: str, mark: str, read: Callable[[], str]) -> str:
    """The digest that ``read`` computes, from the cache where it was computed at this mark (of sizes and times)."""
    known = known_digests(cache).get(key, [None])
    if known[0] == mark:
        return known[1]
    digest = read()
    if cache:
        with suppress(OSError):  # results can be read-only; the contents are read again next time
            write_json(cache, known_digests(cache) | {key: [mark, digest]})
    return digest


def known_digests(cache: Path | None) -> dict[str, list[str]]:
    """The digests that a cache keeps, each behind its mark; what is damaged counts as unknown."""
    try:
        found = read_json(cache) if cache else {}
    except UserError:
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {key: pair for key, pair in entries if isinstance(pair, list) and [*map(type, pair)] == [str, str]}
