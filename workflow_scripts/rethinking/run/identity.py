"""What a result was made from: settings, the content of its data and the code behind its numbers.

Every result has an identity. It is recorded beside the files of the result when they are finished. Planning, status,
checkpoints and the cache compare this record with the identity that the configuration and the code give now. Times
and paths do not count.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from rethinking.data.image_files import marks
from rethinking.data.sources import source_files
from rethinking.run.code import combined
from rethinking.run.files import UserError, hash_file, read_json, write_json


@dataclass(frozen=True)
class Identity:
    """Settings (JSON values), code (see :func:`rethinking.run.code.code_of`) and inputs, by name.

    An input is an identity itself, or a digest where it is a file or stands for many results.
    """

    settings: Mapping[str, Any]
    code: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Identity | str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """20 hexadecimal digits over settings, code and inputs."""
        inputs = converted(self.inputs, lambda each: each.digest)
        text = json.dumps([self.settings, combined(dict(self.code)), inputs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        inputs = converted(self.inputs, Identity.to_json)
        return {"settings": dict(self.settings), "code": dict(self.code), "inputs": inputs}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Identity:
        """The identity that :meth:`to_json` gave.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: the values are not an identity's.
        """
        inputs = converted(values["inputs"], cls.from_json)
        code = dict(values["code"])
        if not all(isinstance(digest, str) for digest in code.values()):
            raise TypeError("the digests of code are text")
        return cls(dict(values["settings"]), code, inputs)


def converted(inputs: Mapping[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    """Inputs by name, of which all but digests are converted."""
    return {name: each if isinstance(each, str) else convert(each) for name, each in inputs.items()}


def digest_of(parts: Sequence[str]) -> str:
    """One digest of many, which depends on their order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


# ---- records


def record_path(output: str | Path) -> Path:
    """Where the identity of a result lies: beside its first file."""
    output = Path(output)
    return output.parent / ".identity" / f"{output.name}.json"


def write_record(outputs: Sequence[str | Path], identity: Identity) -> None:
    """Record the identity of a result beside its first file, and sizes, which tell if a file is cut short later."""
    sizes = {Path(file).name: os.path.getsize(file) for file in outputs}
    write_json(record_path(outputs[0]), {"identity": identity.digest, **identity.to_json(), "sizes": sizes})


def read_record(output: str | Path) -> dict[str, Any]:
    """A record; empty where there is none or it is damaged.

    Raises:
        OSError: the disk refuses to show it, which says nothing about the result: it must not be made again.
    """
    try:
        record = json.loads(record_path(output).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    whole = isinstance(record, dict) and isinstance(record.get("sizes", {}), dict)
    return record if whole else {}


def is_made(outputs: Sequence[str | Path], identity: Identity) -> bool:
    """Whether the files of a result are whole, and the first one's record has this identity."""
    record = read_record(outputs[0])
    return record.get("identity") == identity.digest and not damages(outputs, record)


def damages(outputs: Sequence[str | Path], record: Mapping[str, Any]) -> list[str]:
    """Which files of a result are gone, or no longer have the size in its record, one line each.

    Raises:
        OSError: the disk refuses to show one.
    """
    sizes, lines = record.get("sizes", {}), []  # earlier versions recorded none
    for file in map(Path, outputs):
        try:
            found = file.stat()
        except (FileNotFoundError, NotADirectoryError):
            lines.append(f"{file.name} is missing")
            continue
        if file.name in sizes and found.st_size != sizes[file.name]:
            lines.append(f"{file.name} has changed since it was made")
    return lines


def recorded(output: str | Path) -> Identity | None:
    """A recorded identity; None where there is no readable record."""
    try:
        return Identity.from_json(read_record(output))
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


# ---- differences


def differences(old: Identity, new: Identity) -> list[str]:
    """How two identities differ, one line each: ``epochs 2 -> 3``, ``code of training/loop.py: train_cell``."""
    lines = setting_changes(old.settings, new.settings)
    # Code that has only moved is not among these.
    changed = set(old.code.values()) ^ set(new.code.values())
    names = {name for name, digest in [*old.code.items(), *new.code.items()] if digest in changed}
    lines += [f"code of {name}" for name in sorted(names)]
    for name in sorted({*old.inputs, *new.inputs}):
        before, after = old.inputs.get(name), new.inputs.get(name)
        if isinstance(before, Identity) and isinstance(after, Identity):
            lines += differences(before, after)
        elif before != after:
            lines.append(f"{name}: contents changed")
    return lines


def setting_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Keys whose value has changed, as ``key old -> new``."""

    def show(values: Mapping[str, Any], key: str) -> str:
        value = values.get(key, "unknown")
        return value if isinstance(value, str) else json.dumps(value)

    keys = [key for key in {**new, **old} if key not in old or key not in new or old[key] != new[key]]
    return [f"{key} {show(old, key)} -> {show(new, key)}" for key in keys]


# ---- files of the user


def content_digest(
    name: str, source: str, path: str | Path, cache: str | Path | None, classes: Collection[str] | None = None
) -> str:
    """SHA-256 over a file, or over names and contents of the files in a folder.

    Args:
        name: of the data set that is read from it, which with its source decides which files of a folder count.
        source: the kind of its source.
        path: the file or folder.
        cache: a JSON file of digests by names, sizes and times, so that contents are read only once; None for no cache.
        classes: of a local source, those whose images count; None for all.

    Raises:
        UserError: it cannot be read, or is gone and the cache does not know it.
    """
    path, cache = Path(path), cache and Path(cache)
    real = os.path.realpath(path)
    key = f"{source} {name} {real}"
    if source == "local":
        from rethinking.data.image_checksums import images_digest, states  # imported here: few jobs need it

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
            read = partial(images_digest, path, classes)
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


def file_digest(path: str | Path, algorithm: str, cache: Path | None) -> str:
    """The digest of a file's bytes; ``cache`` is as in :func:`content_digest`."""
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
    """The digests that a cache keeps, each behind its mark."""
    try:
        found = read_json(cache) if cache else {}
    except UserError:
        return {}
    return found if isinstance(found, dict) else {}
