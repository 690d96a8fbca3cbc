"""What a result was made from: settings, the content of its data and the code behind its numbers.

Every result has an identity. It is recorded beside the files of the result when they are finished. Planning, status,
checkpoints and the cache compare this record with the identity that the configuration and the code give now. Times
and paths do not count.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rethinking.run.code import combined
from rethinking.run.digests import digest_of
from rethinking.run.files import UserError, hash_file, remove_parts, write_json


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


# ---- records


def record_path(output: str | Path) -> Path:
    """Where the identity of a result lies: beside its first file."""
    output = Path(output)
    return output.parent / ".identity" / f"{output.name}.json"


def write_record(
    outputs: Sequence[str | Path], identity: Identity, of: Sequence[str | None] | None = None, *, stamped: bool = True
) -> None:
    """Record the identity of a result beside its first file, and sizes, which tell if a file is cut short later.

    The record has a stamp, a digest of the contents, and those ``of`` the results that this one was made from, where they
    are known: numbers of one identity can differ, because a GPU rounds differently each time.
    """
    sizes = {Path(file).name: os.path.getsize(file) for file in outputs}
    values = {"identity": identity.digest, **identity.to_json(), "sizes": sizes}
    values |= {"stamp": contents_digest(outputs) if stamped else None, "of": of}
    write_json(record_path(outputs[0]), values)


def contents_digest(outputs: Sequence[str | Path]) -> str:
    """What the contents of a result's files are told by."""
    return digest_of([hash_file(file) for file in outputs])


def check_contents(outputs: Sequence[str | Path]) -> None:
    """Refuse a result whose files have other contents than its record says; zeros from a disk leave their sizes.

    Results that were kept have no record, and earlier versions drew longer stamps at random: these pass.

    Raises:
        UserError: the message says what to delete.
    """
    recorded = str(stamp(outputs[0]))
    if len(recorded) == len(digest_of([])) and recorded != contents_digest(outputs):
        raise UserError(
            f"the files of {Path(outputs[0]).parent} have other contents than when they were made; delete {outputs[-1]} to "
            "have them made again"
        )


def forget(outputs: Sequence[str | Path]) -> None:
    """Remove the record of a result whose files are about to be replaced.

    It would vouch for new files if this process were killed before it writes their own record.
    """
    record = record_path(outputs[0])
    record.unlink(missing_ok=True)
    remove_parts(record.parent, record.name)


def read_record(output: str | Path) -> dict[str, Any]:
    """A record; empty where there is none, or it is damaged: jobs learn from its contents what a result was made from.

    Raises:
        OSError: the disk refuses to show it, which says nothing about the result: it must not be made again.
    """
    try:
        record = json.loads(record_path(output).read_text(encoding="utf-8"))
        whole = Identity.from_json(record).digest == record["identity"] and isinstance(record.get("sizes", {}), dict)
    except (FileNotFoundError, NotADirectoryError, LookupError, TypeError, ValueError, AttributeError):
        return {}
    return record if whole else {}


def record_faults(output: str | Path, record: Mapping[str, Any]) -> list[str]:
    """A line where there is a record that is not whole, so that it was read as empty; results that were kept have none."""
    path = record_path(output)
    return [f"its record .identity/{path.name} is damaged"] if not record and path.exists() else []


def remove(outputs: Sequence[str | Path]) -> None:
    """Remove a result whose files are about to be replaced one by one: files of two results must not pass as one."""
    forget(outputs)
    for file in map(Path, outputs):
        file.unlink(missing_ok=True)


def stamp(output: str | Path) -> str | None:
    """What tells a result from another one of the same identity; None where there is no record, or one without."""
    return read_record(output).get("stamp")


def is_made(outputs: Sequence[str | Path], identity: Identity, of: Sequence[str | None] | None = None) -> bool:
    """Whether the files of a result are whole, and the first one's record has this identity.

    Where both are known, it must also be made ``of`` the results with these stamps.
    """
    return fits(read_record(outputs[0]), outputs, identity, of)


def fits(
    record: Mapping[str, Any], outputs: Sequence[str | Path], identity: Identity, of: Sequence[str | None] | None
) -> bool:
    """:func:`is_made`, of a record that has been read."""
    return record.get("identity") == identity.digest and is_of(record, of) and not damages(outputs, record)


def is_of(record: Mapping[str, Any], of: Sequence[str | None] | None) -> bool:
    """Whether a record names the results with these stamps, as far as both are known."""
    recorded_of = record.get("of", [None] * len(of or ()))  # earlier versions gave results no stamps
    return None in (of, recorded_of) or recorded_of == of


def made_of(records: Sequence[Mapping[str, Any]]) -> tuple[str, list[str | None]]:
    """What results are to one that is made from them: a digest of their identities, which is an input, and their stamps."""
    return digest_of([str(each.get("identity")) for each in records]), [each.get("stamp") for each in records]


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


def altered(outputs: Sequence[str | Path]) -> list[str]:
    """Which files of a result that are there contradict its record, or that it is damaged, one line each.

    Results that were kept or handed on need neither a record nor all files.

    Raises:
        OSError: as in :func:`read_record` and :func:`damages`.
    """
    record = read_record(outputs[0])
    there = [file for file in outputs if os.path.exists(file)]
    return record_faults(outputs[0], record) or damages(there, record)


def recorded(output: str | Path) -> Identity | None:
    """A recorded identity; None where there is no whole record.

    Raises:
        OSError: as in :func:`read_record`.
    """
    record = read_record(output)
    return Identity.from_json(record) if record else None


def made_from(output: str | Path, needs: Sequence[str | Path]) -> bool:
    """Whether a result was made from the results that there are now, each given by its first file, in the plan's order.

    Of a kept result without a record that is not known, and it is taken as it is, but not one whose record is damaged.

    Raises:
        OSError: as in :func:`read_record`.
    """
    record = read_record(output)
    if not record:
        return not record_faults(output, record)
    now, of = made_of([read_record(each) for each in needs])
    return record["inputs"].get("results") == now and is_of(record, of)


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
