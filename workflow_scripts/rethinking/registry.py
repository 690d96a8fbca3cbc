"""What stands once, where it is implemented: parts of a cell's name, measures, tables, figures, and claims on cells.

A registration is a decorator with literal arguments on the function that does the work: ``@model("mlp_3x512",
title="MLP 3×512")``. Names can contain parameters, if needed with bounds: ``@corruption("labels_p{p:0.0..1.0}")``.
Registrations are read from the syntax tree, so planning imports neither torch nor a plug-in; a file is imported only
when its function is needed. A plug-in is a user's file with such registrations, read in the same way.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from rethinking.entries import ARTEFACTS, KINDS, TITLES, Entry
from rethinking.registrations import registrations
from rethinking.run import plugin_files, plugins
from rethinking.run.code import LIBRARY
from rethinking.run.files import UserError, did_you_mean

Function = TypeVar("Function", bound=Callable[..., Any])


# ---- decorators; what they are given is read from the syntax tree


def registration(name: str, **options: Any) -> Callable[[Function], Function]:
    """Return a function unchanged."""
    return lambda function: function


dataset = corruption = model = regulariser = measure = table = figure = claim = registration


# ---- what is registered


def load(files: Iterable[str | Path]) -> None:
    """Register the contents of these plug-ins as well; relative paths start from the working directory.

    Raises:
        UserError: a file is missing or not Python, a name is taken or a registration is wrong; the message has file
            and line.
    """
    plugin_files.use(files)
    plugins.import_plugin.cache_clear()
    everything.cache_clear()
    find.cache_clear()
    everything()
    plugins.check_modules()


@cache
def everything() -> dict[str, dict[str, Entry]]:
    """All entries by kind and name: the library's, then the plug-ins'.

    Networks are in order of their cost, as in table 1, others in that of files and lines, which is the order of
    regularisers in the name of a cell.
    """
    found: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
    for kind, (folder, _) in KINDS.items():
        entries = [
            entry
            for file in sorted((LIBRARY / folder).glob("*.py"))
            for entry in registrations(file)
            if entry.kind == kind
        ]
        for entry in sorted(entries, key=lambda entry: -entry.options.get("megaflops", 0)):
            add(found, entry)
    for file in plugins.files():
        entries = registrations(file)
        if not entries:
            raise UserError(
                f"{file}:1: registers nothing; write 'from rethinking.registry import model' at its top, and a decorator "
                "such as @model('name') on a function"
            )
        for entry in entries:
            add(found, entry)
    return found


def add(found: dict[str, dict[str, Entry]], entry: Entry) -> None:
    """Add an entry, whose names must be free."""
    for other in found[entry.kind].values():
        if any(other.parameters(name) is not None for name in entry.examples()) or any(
            entry.parameters(name) is not None for name in other.examples()
        ):
            raise UserError(
                f"{entry.place}: the {TITLES.get(entry.kind, entry.kind)} '{entry.name}' is taken by {other.place}; "
                "give it another name"
            )
    found[entry.kind][entry.name] = entry


def names(kind: str) -> list[str]:
    """The registered names without parameters."""
    return [name for name in everything()[kind] if "{" not in name]


def entries(kind: str) -> list[Entry]:
    """All registrations of a kind."""
    return list(everything()[kind].values())


@cache
def find(kind: str, name: str) -> Entry | None:
    """The entry that covers a name; None if there is none."""
    return next((entry for entry in entries(kind) if entry.parameters(name) is not None), None)


def entry(kind: str, name: str) -> Entry:
    """The entry that covers a name.

    Raises:
        UserError: there is none; the message says what would be right.
    """
    if found := find(kind, name):
        return found
    raise UserError(unknown(kind, name))


def unknown(kind: str, name: str) -> str:
    """The message about a name that is not registered."""
    return f"unknown {TITLES.get(kind, kind)} '{name}'; {advice(kind, name)}"


def advice(kind: str, name: str, more: str = "") -> str:
    """Names that would be right in place of one that is not registered."""
    forms = {form(entry): described(entry) for entry in entries(kind) if entry.bounds}
    more += f"; or {', '.join(forms.values())}" if forms else ""
    likely = [
        each for entry in entries(kind) for each in with_numbers(entry, re.findall(r"\d*\.?\d+(?:e-?\d+)?", name))
    ]
    return f"{did_you_mean(name, [*names(kind), *likely])}known: {', '.join(names(kind))}{more}"


def with_numbers(entry: Entry, numbers: list[str]) -> list[str]:
    """The names that an entry covers with some of these numbers, in their order, as its parameters."""
    found = []
    count = len(entry.bounds)
    for start in range(len(numbers) - count + 1 if count else 0):
        name = form(entry)
        for parameter, text in zip(entry.bounds, numbers[start : start + count], strict=True):
            written = f"{float(text):.15g}" if entry.arguments[parameter] == "int" else str(float(text))
            name = name.replace(f"{{{parameter}}}", written)
        found.append(name)
    return [name for name in found if entry.parameters(name) is not None]


def form(entry: Entry) -> str:
    """The name of an entry with its parameters, without their bounds."""
    return re.sub(r"\{(\w+)[^}]*\}", r"{\1}", entry.name)


def described(entry: Entry) -> str:
    """The name of an entry and the values of its parameters, in words."""
    text = form(entry)
    for parameter, (low, high) in entry.bounds.items():
        show = (lambda value: f"{value:g}") if entry.arguments[parameter] == "int" else str
        text += f" with {parameter}" + (f" from {show(low)}" if low is not None else " a number")
        text += f" to {show(high)}" if high is not None else ""
        text += "" if entry.arguments[parameter] == "int" else " (0.5, not 0.50)"
    return text


def made_by(script: str) -> list[str]:
    """The tables and figures whose CSV a script writes."""
    return [each.name for kind in ARTEFACTS for each in entries(kind) if each.options.get("script") == script]


def titles() -> list[list[str]]:
    """Titles in tables and figures; changing one makes these stale and nothing else."""
    shown = ("title", "heading", "statement", "source", "holds_if", "logarithmic")
    return [
        [kind, entry.name, *(str(entry.options[key]) for key in shown if key in entry.options)]
        for kind in KINDS
        if kind not in ARTEFACTS
        for entry in entries(kind)
    ]
