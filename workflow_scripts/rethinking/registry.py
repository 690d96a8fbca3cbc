"""What the name of a cell can contain, and claims on cells: each registered once, where it is implemented.

A registration is a decorator with literal arguments on the function that does the work: ``@model("mlp_3x512",
title="MLP 3×512")``. Names can contain parameters, if needed with bounds: ``@corruption("labels_p{p:0.0..1.0}")``.
Registrations are read from the syntax tree, so planning imports neither torch nor a plug-in; a file is imported only
when its function is needed. A plug-in is a user's file with such registrations, read in the same way.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from rethinking.run.code import SCRIPTS
from rethinking.run.files import UserError

LIBRARY = SCRIPTS / "rethinking"
# Tells the scripts of jobs, also on compute nodes, which plug-ins there are.
VARIABLE = "RETHINKING_PLUGINS"
# kind -> folder of the library with its registrations, and what its functions can request by the names of their
# arguments, in addition to the parameters in the name. The first argument of a corruption is what it changes.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "dataset": ("data", ("name", "path")),
    "corruption": (
        "corruption",
        ("labels", "images", "num_classes", "rng", "draws", "moments"),
    ),
    "model": ("models", ()),
    "regulariser": ("training", ("images", "labels", "rng")),
    "claim": ("claims", ()),
}
OPTIONS = {
    "dataset": {"title", "sources"},
    "corruption": {"also", "base", "sample", "arrays"},
    "model": {"title", "megaflops", "capture"},
    "regulariser": {"heading"},
    "claim": {"statement", "source", "holds_if", "cells", "at_least", "at_most", "above"},
}
TITLES = {"dataset": "data set"}
Function = TypeVar("Function", bound=Callable[..., Any])


# ---- decorators; what they are given is read from the syntax tree


def registration(name: str, **options: Any) -> Callable[[Function], Function]:
    """Return a function unchanged."""
    return lambda function: function


dataset = corruption = model = regulariser = claim = registration


# ---- entries


@dataclass(frozen=True)
class Entry:
    """One registration; ``line`` is the line of its function, ``arguments`` maps to the annotated types or None."""

    kind: str
    name: str
    file: Path
    line: int
    function: str
    arguments: Mapping[str, str | None]
    optional: tuple[str, ...]  # arguments with a default
    options: Mapping[str, Any]

    @property
    def own(self) -> bool:
        """Whether a plug-in registers it, and not the library."""
        return LIBRARY not in self.file.parents

    @property
    def place(self) -> str:
        """File and line, for messages."""
        return f"{self.file}:{self.line}"

    @property
    def root(self) -> tuple[Path, str]:
        """The definition at which its code starts (see :func:`rethinking.run.code.code_of`)."""
        return self.file, self.function

    @property
    def title(self) -> str:
        """Its title for readers; by default its name."""
        return self.options.get("title", self.name)

    @cached_property
    def form(self) -> re.Pattern[str]:
        """The names that it covers, with one spelling of each number: 0.5, not 0.50."""
        text = ""
        for literal, parameter in placeholders(self.name):
            text += re.escape(literal)
            if parameter:
                whole = r"(?:0|[1-9]\d*)"
                number = whole if self.arguments[parameter] == "int" else rf"{whole}\.(?:0|\d*[1-9])"
                text += f"(?P<{parameter}>{number})"
        return re.compile(text)

    def parameters(self, name: str) -> dict[str, float] | None:
        """The parameters in a name and the fixed ones of the registration; None if the name is not of this form."""
        match = self.form.fullmatch(name)
        if not match:
            return None
        values = {
            key: int(text) if text.isdigit() else float(text) for key, text in match.groupdict().items()
        }
        for key, (low, high) in self.bounds.items():
            if (low is not None and values[key] < low) or (high is not None and values[key] > high):
                return None
        return {key: value for key, value in self.options.items() if key in self.arguments} | values

    @cached_property
    def bounds(self) -> dict[str, tuple[float | None, float | None]]:
        """Smallest and largest value of each parameter in the name, None if unbounded."""
        found = {}
        for parameter, text in re.findall(r"\{(\w+)(?::([^}]*))?\}", self.name):
            low, _, high = text.partition("..")
            found[parameter] = (float(low) if low else None, float(high) if high else None)
        return found

    def examples(self, like: str = "") -> list[str]:
        """Example names: with tenths for decimal numbers, and the whole number at the end of ``like``, or 500."""
        names = [self.name]
        for parameter in self.bounds:
            decimal = self.arguments[parameter] != "int"
            numbers = (
                [str(tenth / 10) for tenth in range(11)]
                if decimal
                else [re.search(r"\d*$", like)[0] or "500"]
            )
            names = [
                re.sub(rf"\{{{parameter}[^}}]*\}}", number, name) for name in names for number in numbers
            ]
        return [name for name in [*names, like] if self.parameters(name) is not None]

    @property
    def described(self) -> str:
        """Its name and the values of its parameters, in words."""
        text = re.sub(r"\{(\w+)[^}]*\}", r"{\1}", self.name)
        for parameter, (low, high) in self.bounds.items():
            show = (lambda value: f"{value:g}") if self.arguments[parameter] == "int" else str
            text += f" with {parameter}" + (f" from {show(low)}" if low is not None else " a number")
            text += f" to {show(high)}" if high is not None else ""
            text += "" if self.arguments[parameter] == "int" else " (0.5, not 0.50)"
        return text

    @property
    def files(self) -> list[str]:
        """The files of a corruption's overlay: a manifest and the arrays that it changes."""
        changed = next(iter(self.arguments))
        arrays = self.options.get("arrays", (f"train_{changed}", f"test_{changed}"))
        return ["manifest.json", *(f"{array}.npy" for array in arrays)]

    def resolve(self) -> Callable[..., Any]:
        """The function; its file is imported.

        Raises:
            UserError: a plug-in cannot be imported; the message has file and line.
        """
        if not self.own:
            name = ".".join(self.file.relative_to(SCRIPTS).with_suffix("").parts)
            return getattr(importlib.import_module(name), self.function)
        return getattr(import_plugin(self.file), self.function)

    def call(self, **available: Any) -> Any:
        """Call the function with the values that its arguments request by name.

        Raises:
            UserError: a plug-in raised an exception; the message has file and line.
        """
        function = self.resolve()
        with blamed():
            return function(**{name: available[name] for name in self.arguments if name in available})


@cache
def import_plugin(file: Path) -> Any:
    """The module in a file, under a name that no other module has."""
    spec = importlib.util.spec_from_file_location(f"rethinking_plugin_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pickling and dataclasses look for it there
    with blamed():
        spec.loader.exec_module(module)
    return module


# ---- what is registered

_plugins: list[Path] | None = None


def load(files: Iterable[str | Path]) -> None:
    """Register the contents of these plug-ins as well; relative paths start from the working directory.

    Raises:
        UserError: a file is missing or not Python, a name is taken or a registration is wrong; the message has file
            and line.
    """
    global _plugins
    _plugins = [Path(file).resolve() for file in files]
    import_plugin.cache_clear()
    everything.cache_clear()
    find.cache_clear()
    everything()


def plugins() -> list[Path]:
    """The files of the plug-ins: the loaded ones, or those named by a job's environment."""
    if _plugins is not None:
        return _plugins
    return [Path(file) for file in os.environ.get(VARIABLE, "").split(os.pathsep) if file]


@cache
def everything() -> dict[str, dict[str, Entry]]:
    """All entries by kind and name: the library's, most expensive networks first as in table 1, then the plug-ins'."""
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
    for file in plugins():
        entries = registrations(file)
        if not entries:
            raise UserError(
                f"{file}:1: registers nothing; put a decorator such as @model('name') on a function"
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
    if name in everything()[kind] and "{" not in name:
        return everything()[kind][name]
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
    forms = [entry.described for entry in entries(kind) if entry.bounds]
    near = difflib.get_close_matches(name, names(kind), 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    more += f"; or {', '.join(forms)}" if forms else ""
    return f"{hint}known: {', '.join(names(kind))}{more}"


def titles() -> list[list[str]]:
    """Titles in tables and figures; changing one makes these stale and nothing else."""
    shown = ("title", "heading", "statement", "source", "holds_if")
    return [
        [kind, entry.name, *(str(entry.options[key]) for key in shown if key in entry.options)]
        for kind in KINDS
        for entry in entries(kind)
    ]


# ---- reading a file


def placeholders(name: str) -> Iterator[tuple[str, str | None]]:
    """The literal parts of a name, each with the parameter behind it."""
    parts = re.split(r"\{(\w+)[^}]*\}", name)
    for place in range(0, len(parts), 2):
        yield parts[place], parts[place + 1] if place + 1 < len(parts) else None


def registrations(file: Path) -> list[Entry]:
    """The entries that the functions and classes at the top of a file register.

    Raises:
        UserError: it cannot be read, or a registration is wrong; the message has file and line.
    """
    try:
        source = file.read_bytes()
        if b"rethinking.registry" not in source and b"import registry" not in source:
            return []
        tree = ast.parse(source, str(file))
    except OSError as error:
        raise UserError(
            f"{file} cannot be read ({error.strerror}); correct 'plugins' in the config"
        ) from None
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{file}:{getattr(error, 'lineno', None) or 1}: {error.args[0]}") from None
    kinds = decorators(tree)
    return [
        read(file, statement, node, kinds[called])
        for statement in tree.body
        if isinstance(statement, ast.FunctionDef | ast.ClassDef)
        for node in statement.decorator_list
        if isinstance(node, ast.Call) and (called := ast.unparse(node.func)) in kinds
    ]


def decorators(tree: ast.Module) -> dict[str, str]:
    """The spelling of each decorator in a file -> its kind."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "rethinking.registry":
            found |= {each.asname or each.name: each.name for each in node.names if each.name in KINDS}
        elif isinstance(node, ast.ImportFrom) and node.module == "rethinking":
            modules = [each.asname or each.name for each in node.names if each.name == "registry"]
            found |= {f"{module}.{kind}": kind for module in modules for kind in KINDS}
    return found


def read(file: Path, statement: ast.FunctionDef | ast.ClassDef, node: ast.Call, kind: str) -> Entry:
    """The entry of one decorator."""
    place = f"{file}:{statement.lineno}"
    try:
        (name,) = map(ast.literal_eval, node.args)
        options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    except ValueError:
        raise UserError(
            f"{place}: @{kind} takes a name and options that are literal values, as it is read without running the file"
        ) from None
    if not isinstance(name, str) or not re.fullmatch(r"(?:[A-Za-z0-9_.-]|\{\w+(?::[0-9.]*)?\})+", name):
        raise UserError(
            f"{place}: the name '{name}' can hold letters, digits and _ . - and parameters such as {{p}}"
        )
    arguments, optional = signature(statement)
    found = Entry(kind, name, file, statement.lineno, statement.name, arguments, optional, options)
    for key in options:
        if key not in OPTIONS[kind] and not (kind == "corruption" and key in arguments):
            raise UserError(
                f"{place}: @{kind} has no option '{key}'; it has {', '.join(sorted(OPTIONS[kind]))}"
            )
    if kind == "claim" and not (
        {"statement", "cells"} <= set(options) and {"at_least", "at_most", "above"} & set(options)
    ):
        raise UserError(f"{place}: @claim needs a statement, cells, and at_least, at_most or above")
    if not found.own or kind not in ("dataset", "corruption", "regulariser"):
        return found
    known = {*KINDS[kind][1], *found.bounds, *options}
    for key in arguments:
        if key not in known and key not in optional:
            raise UserError(
                f"{place}: the argument '{key}' of {statement.name} is not one of {', '.join(sorted(known))}"
            )
    for key in found.bounds:
        if key not in arguments:
            raise UserError(
                f"{place}: {statement.name} takes no argument '{key}', which the name '{name}' holds"
            )
    if kind == "corruption" and next(iter(arguments), None) not in ("labels", "images"):
        raise UserError(
            f"{place}: the first argument of {statement.name} must be labels or images: what it changes and returns"
        )
    return found


def signature(statement: ast.FunctionDef | ast.ClassDef) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """The arguments of a function, or of a class when it is made, with their types; and those with a default."""
    skip = 0
    if isinstance(statement, ast.ClassDef):
        made = [each for each in statement.body if getattr(each, "name", None) == "__init__"]
        if not made:
            return {}, ()
        statement, skip = made[0], 1
    arguments = statement.args
    plain = [*arguments.posonlyargs, *arguments.args]
    optional = plain[len(plain) - len(arguments.defaults) :]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    optional += [each for each, default in keywords if default is not None]
    found = [*plain[skip:], *arguments.kwonlyargs]
    types = {each.arg: ast.unparse(each.annotation) if each.annotation else None for each in found}
    return types, tuple(each.arg for each in optional)


# ---- errors of plug-ins


def blame(error: BaseException) -> str | None:
    """File, line and message of an error in a plug-in; None for other errors."""
    files = {str(file): file for file in plugins()}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    if isinstance(error, SyntaxError) and error.filename in files:
        return f"{error.filename}:{error.lineno}: {error.msg}"
    if not frames:
        return None
    return f"{frames[-1].filename}:{frames[-1].lineno}: {type(error).__name__}: {error}"


@contextmanager
def blamed(entry: Entry | None = None) -> Iterator[None]:
    """Turn errors in plug-ins, or all errors if there is an ``entry``, into a UserError with file and line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        message = blame(error)
        if entry and not message:
            message = f"{entry.place}: {type(error).__name__}: {error}"
        if message:
            raise UserError(message) from error
        raise
