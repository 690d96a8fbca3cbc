"""Fingerprints of the code that decides a result.

Snakemake re-runs a job when its params change but does not look into imported modules.
A job's params therefore carry a hash over the syntax trees of the library modules that its
numbers come from, without comments, docstrings and formatting. A result says which modules
these were and the hash of each, so that one can tell which of them was edited since.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rethinking.cells import corruption_kind
from rethinking.models import MODELS

LIBRARY = Path(__file__).parents[1]

# Modules that others import but whose code decides no number: names and settings are in the
# params themselves, files are written as they are, downloads and archives are held to checksums.
NEUTRAL = {
    "rethinking",
    "rethinking.data.archives",
    "rethinking.cells",
    "rethinking.run.checkpoint",
    "rethinking.data.download",
    "rethinking.run.files",
    "rethinking.models",
    "rethinking.config.cell_settings",
    "rethinking.data.sources",
    "rethinking.run.stop_signals",
    "rethinking.run.theory_progress",
}


def cell_code(model: str, corruption: str) -> dict[str, str]:
    """The modules behind a trained network (training, that network and its corruption), with a hash of each."""
    return module_hashes(
        "rethinking.training.loop",
        f"rethinking.models.{MODELS[model][0]}",
        f"rethinking.corruption.{corruption_kind(corruption)}",
    )


def data_code() -> dict[str, str]:
    """The modules behind a prepared data set, with a hash of each."""
    return module_hashes("rethinking.data.readers")


def cell_fingerprint(model: str, corruption: str) -> str:
    """Fingerprint of the code behind a trained network."""
    return combined(cell_code(model, corruption))


def fingerprint(*modules: str) -> str:
    """Fingerprint of modules, by their dotted names, and of all library modules that they import."""
    return combined(module_hashes(*modules))


def combined(hashes: Mapping[str, str]) -> str:
    """One hash over the hashes of several modules, 16 hexadecimal digits."""
    return digest(sorted(hashes.items()))[:16]


def module_hashes(*modules: str) -> dict[str, str]:
    """Modules and all library modules that they import, each with a hash of 12 hexadecimal digits.

    Args:
        modules: dotted names, e.g. ``rethinking.training.loop``.
    """
    found: dict[str, str] = {}
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name not in found and name not in NEUTRAL:
            found[name], imported = examine(name)
            pending += imported
    return dict(sorted(found.items()))


@cache
def examine(name: str) -> tuple[str, frozenset[str]]:
    """The hash of one module and the library modules that it imports."""
    tree = ast.parse(source(name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return digest(plain(tree))[:12], frozenset(imports(tree))


def source(name: str) -> Path:
    """The file of a library module."""
    path = LIBRARY.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def plain(node: Any) -> Any:
    """A syntax tree as nested lists, without empty fields: versions of Python differ in which of them there are."""
    if isinstance(node, ast.AST):
        fields = [(key, value) for key, value in ast.iter_fields(node) if value is not None and value != []]
        return [type(node).__name__, *((key, plain(value)) for key, value in fields)]
    return [plain(item) for item in node] if isinstance(node, list) else node


def digest(value: Any) -> str:
    """SHA-256 of a value's representation."""
    return hashlib.sha256(repr(value).encode()).hexdigest()


def imports(tree: ast.Module) -> Iterator[str]:
    """The library modules that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # 'from rethinking import streams' names modules, 'from rethinking.streams import stream' does not.
            candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (each for each in candidates if each.startswith("rethinking.") and source(each).exists())
