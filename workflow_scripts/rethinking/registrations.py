"""Registrations as they stand in a file: read from its syntax tree, without running it."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rethinking.run.code import SCRIPTS
from rethinking.run.files import UserError
from rethinking.run.plugin_checks import faults
from rethinking.run.plugins import blamed, import_plugin
from rethinking.run.syntax import syntax_tree

LIBRARY = SCRIPTS / "rethinking"
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
    "measure": ("measures", ()),
    "table": ("tables", ()),
    "figure": ("figures", ()),
    "claim": ("claims", ()),
}
SHOWN = ("table", "figure")  # kinds of results that readers see
# Options of the library's alone. Of a data set, size: height and width of the images, and train: their number, where all
# sources but images have the same. Of a table, script: what writes its CSV. Of a figure also reads: the table of each
# cell that it draws, and unit: of the paper's curves, if it has any. Those of plug-ins: rethinking.run.plugin_checks.
NUMBER = r"[0-9]+(?:\.[0-9]+)?"
NAME = re.compile(
    rf"(?:[A-Za-z0-9_]|\{{\w+(?::(?:{NUMBER})?\.\.(?:{NUMBER})?)?\}}|(?!^)[.-])+"
)  # bounds behind a colon
TITLES = {"dataset": "data set", "measure": "measure of complexity"}


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
    def filename(self) -> str:
        """The file of a table or figure that a report shows, in the folder of the results."""
        return f"{self.name}.{'svg' if self.kind == 'figure' else 'md'}"

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
        with blamed(self if self.own else None):
            return function(**{name: available[name] for name in self.arguments if name in available})


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
    except OSError as error:
        raise UserError(
            f"{file} cannot be read ({error.strerror}); correct 'plugins' in the config"
        ) from None
    if b"registry" not in source:
        return []
    tree = syntax_tree(source, file)
    kinds = decorators(tree)
    found = []
    for statement in ast.walk(tree):
        for node in getattr(statement, "decorator_list", ()):
            called = kinds.get(ast.unparse(node.func if isinstance(node, ast.Call) else node))
            if not called:
                continue
            at_top = statement in tree.body and isinstance(statement, ast.FunctionDef | ast.ClassDef)
            if not at_top or not isinstance(node, ast.Call):
                raise UserError(
                    f"{file}:{node.lineno}: write @{called}('name') on a function or class at the top of the file"
                )
            found.append(read(file, statement, node, called))
    return found


def decorators(tree: ast.Module) -> dict[str, str]:
    """The spelling of each decorator in a file -> its kind."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            modules = [each.asname or each.name for each in node.names if each.name == "rethinking.registry"]
            found |= {f"{module}.{kind}": kind for module in modules for kind in KINDS}
        elif isinstance(node, ast.ImportFrom) and node.module == "rethinking.registry":
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
    except (ValueError, TypeError):
        options = {None: None}
    if None in options:
        raise UserError(
            f"{place}: @{kind} takes a name and options that are literal values, as it is read without running the file"
        )
    held = re.findall(r"\{(\w+)", str(name))
    if not NAME.fullmatch(str(name)) or len(set(held)) < len(held):
        raise UserError(
            f"{place}: the name '{name}' can hold letters, digits and _ . - and parameters such as {{p}} or "
            "{p:0.0..1.0}, each once"
        )
    arguments, optional = signature(statement)
    found = Entry(kind, name, file, statement.lineno, statement.name, arguments, optional, options)
    if found.own:
        for fault in faults(found, statement, KINDS[kind][1]):
            raise UserError(f"{place}: {fault}")
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
