"""Finished cells that users and checkouts share.

An entry is a folder named after all that the numbers depend on (cell, settings, code, data), with the cell's files
and the checksum of each. It appears complete or not at all, so any number of workflows can read and write at the same
time. An entry that does not match its checksums is not used.
"""

import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from rethinking.cells import CELL_FILES
from rethinking.run.files import atomic_path, hash_file, sharing, write_json
from rethinking.run.identity import Identity, remove
from rethinking.run.refusals import explain
from rethinking.run.scripts import log

DAY = 24 * 60 * 60  # seconds


def entry(cache: Path, identity: Identity) -> Path:
    """The folder of a cell with this identity."""
    return cache / "cells" / identity.digest[:2] / identity.digest[2:]


def take(cache: Path, identity: Identity, folder: Path) -> bool:
    """Copy a cell from the cache into ``folder``. Returns whether it was there and intact; the log says why not."""
    source = entry(cache, identity)
    try:
        if not source.exists():
            return False
        checksums = json.loads((source / "checksums.json").read_text(encoding="utf-8"))
        damaged = [name for name in CELL_FILES if hash_file(source / name) != checksums[name]]
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        damaged = [str(error)]
    except OSError as error:  # another user's, which others cannot read, or a file server fails
        log(f"{source} is not used: {explain(error)}")
        return False
    if damaged:
        log(f"{source} is damaged ({', '.join(damaged)}) and not used; delete it to have it written again")
        return False
    remove([folder / name for name in CELL_FILES])
    for name in CELL_FILES:  # the summary comes last
        with atomic_path(folder / name) as path:
            shutil.copyfile(source / name, path)
    log(f"taken from {source}")
    return True


def put(cache: Path, identity: Identity, folder: Path) -> None:
    """Copy a finished cell into the cache, unless it is already there. A full disk leaves the cache unchanged."""
    target = entry(cache, identity)
    try:
        if target.exists():
            return
        with (
            sharing(cache, target.parent),
            tempfile.TemporaryDirectory(prefix=f".{target.name[:8]}.", dir=target.parent) as temporary,
        ):
            remove_old_parts(target.parent)
            whole = Path(temporary) / "entry"
            whole.mkdir()
            for name in CELL_FILES:
                shutil.copyfile(folder / name, whole / name)
            write_json(whole / "checksums.json", {name: hash_file(whole / name) for name in CELL_FILES})
            try:
                os.rename(whole, target)
            except OSError:
                if not target.exists():  # another workflow was faster
                    raise
    except OSError as error:
        log(f"not written to the cache {cache}: {explain(error)}")


def remove_old_parts(folder: Path) -> None:
    """Remove what killed writers left. Others can be at work here, but to copy a cell takes no day."""
    for part in folder.glob(".*"):
        with suppress(OSError):  # another user's, or another workflow was faster
            if time.time() - part.stat().st_mtime > DAY:
                shutil.rmtree(part)
