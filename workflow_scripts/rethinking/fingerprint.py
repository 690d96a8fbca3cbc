"""Fingerprints of the code that decides a result.

Snakemake re-runs a job when its params change but does not look into imported modules.
A job's params therefore carry a hash over the syntax trees of the library modules that its
numbers come from, without comments, docstrings and formatting.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from rethinking.models import MODELS

LIBRARY = Path(__file__).parent

# Modules that others import but whose code decides no number: names and settings are in the
# params themselves, files are written as they are, downloads and archives are held to checksums.
NEUTRAL = {
    "rethinking",
    "rethinking.archives",
    "rethinking.cells",
    "rethinking.checkpoint",
    "rethinking.download",
    "rethinking.files",
    "rethinking.models",
    "rethinking.settings",
    "rethinking.sources",
}


def cell_fingerprint(model: str) -> str:
    """Fingerprint of the code behind a trained network: training and that network's own module."""
    return fingerprint("rethinking.training", f"rethinking.models.{MODELS[model][0]}")


@cache
def fingerprint(*modules: str) -> str:
    """Hash of modules and of all library modules that they import, 16 hexadecimal digits.

    Args:
        modules: dotted names, e.g. ``rethinking.training``.
    """
    found: set[str] = set()
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name not in found and name not in NEUTRAL:
            found.add(name)
            pending += imports(name)
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name}\0{ast.dump(normalised(name))}\0".encode())
    return digest.hexdigest()[:16]


def source(name: str) -> Path:
    """The file of a library module."""
    path = LIBRARY.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def normalised(name: str) -> ast.Module:
    """A module's syntax tree without docstrings; comments and formatting are not in it anyway."""
    tree = ast.parse(source(name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return tree


def imports(name: str) -> Iterator[str]:
    """The library modules that a module imports."""
    for node in ast.walk(normalised(name)):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # 'from rethinking import streams' names modules, 'from rethinking.streams import stream' does not.
            candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (each for each in candidates if each.startswith("rethinking.") and source(each).exists())
