"""What one job makes and reads, and whether it is current."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rethinking.run.code import Root
from rethinking.run.digests import file_digest
from rethinking.run.files import algorithm_of
from rethinking.run.identity import Identity, converted, fits, read_record


@dataclass(eq=False)  # each result is there once, see Plan
class Made:
    """Files that one job makes.

    ``needs`` are the results that must be current for this one to be current. ``data`` are read as well, but a
    finished result no longer needs them. Data lie in a folder that several workflows share, so that Snakemake, which
    deletes and touches what it makes, knows them by a file among the results alone, ``token``. ``inputs`` are those of
    the identity; ``source`` is what :func:`content_digest` is given, in order, for the one of this name, if that is a file
    or folder of the user's. ``results`` are the networks and fits of a table, figure or text; with ``finished_only`` they
    are no needs.
    """

    script: str
    outputs: list[str]
    identity: Identity
    inputs: Mapping[str, Made | str] = field(default_factory=dict)
    entries: tuple[Root, ...] = ()
    needs: Sequence[Made] = ()
    data: Sequence[Made | Source] = ()
    token: str | None = None
    shared: str | None = None  # the folder that it shares with other workflows
    source: Sequence[Any] | None = None
    results: Sequence[Made] = ()

    @property
    def current(self) -> bool:
        """Whether the files exist and were made from what the configuration and the code ask for now."""
        return self.found[0]

    @property
    def stamp(self) -> str | None:
        """What tells the files that are there from others (see :func:`rethinking.run.identity.stamp`)."""
        return self.found[1]

    @cached_property
    def found(self) -> tuple[bool, str | None]:
        """Whether it is current, and its stamp. There are thousands of records, so each is read once and not kept."""
        record, of = read_record(self.outputs[0]), [each.stamp for each in self.needs]
        current = all(each.current for each in self.needs) and fits(record, self.outputs, self.identity, of)
        return current, record.get("stamp")

    @property
    def known(self) -> list[str]:
        """The files that Snakemake knows."""
        return [self.token] if self.token else self.outputs

    @property
    def folder(self) -> str:
        """Where its first file lies."""
        return str(Path(self.outputs[0]).parent)

    @property
    def record(self) -> dict[str, Any]:
        """What a job must know to record the identity; it looks up the code, and what its inputs were made from.

        The planned identity tells the job from one that an earlier run submitted, before an edit of the code, say.
        """
        return {
            "planned": self.identity.digest,
            "outputs": self.outputs,
            "shared": self.shared,
            "source": self.source,
            "script": self.script,
            "settings": dict(self.identity.settings),
            "inputs": converted(self.inputs, lambda made: {"file": made.outputs[0], "digest": made.identity.digest}),
            "entries": [[str(path), name] for path, name in self.entries],
            "needs": [made.outputs[0] for made in self.needs],
        }


@dataclass(eq=False)
class Source:
    """A file or folder that is downloaded or the user's own; ``known`` are the files that Snakemake knows of it.

    ``digest`` is the one that a download must have, None for the user's own; ``cache`` keeps that of its file.
    """

    path: str
    known: list[str]
    needs: Sequence[Made] = ()
    data: Sequence[Made] = ()
    digest: str | None = None
    cache: Path | None = None

    @property
    def current(self) -> bool:
        """Whether it is there, and a download has its digest: another file may lie there, put by hand or published before."""
        if not os.path.exists(self.path):
            return False
        return not self.digest or file_digest(self.path, algorithm_of(self.digest), self.cache) == self.digest


def own(path: str) -> Source:
    """The user's own. No job makes it and its time does not count, so Snakemake sees it only where it is missing."""
    return Source(path, [] if os.path.exists(path) else [path])
