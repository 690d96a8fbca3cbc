"""A user's own files: importing them, what lies beside them, and who is to blame for an error in one."""

import ast
import importlib.util
import os
import site
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import PathFinder
from itertools import chain
from pathlib import Path
from typing import Any

from rethinking.run.code import LIBRARY, SCRIPTS, parse, source_file
from rethinking.run.files import UserError, did_you_mean
from rethinking.run.imports import Loader
from rethinking.run.plugin_files import files, folders
from rethinking.run.syntax import REGISTRATIONS


def modules_in(folder: Path) -> set[Path]:
    """The plug-ins in a folder and the modules there that they import."""
    pending = [file for file in files() if file.parent == folder]
    seen: set[Path] = set()
    while pending:
        path = pending.pop()
        # The library can lie below them.
        if path not in seen and folder in path.parents and LIBRARY not in path.parents:
            seen.add(path)
            pending += [file for targets in parse(path).imports.values() for file, _ in targets]
    return seen


def check_modules() -> None:
    """Refuse a module that a plug-in imports, be it a plug-in itself, where Python would import another of its name.

    Raises:
        UserError: one has the name of a file or package in another plug-in's folder, of a module of Python's or of a
            package, which Python may find before it, or a decorator is not imported.
    """
    for file in files():
        check_decorators(file)
    first = [str(SCRIPTS), *site.getsitepackages()]  # sys.path of a job; planning's has the checkout as well
    for folder in folders():
        modules = modules_in(folder)
        imported = {file for path in modules for targets in parse(path).imports.values() for file, _ in targets}
        for path in sorted(modules & imported):
            within = path.relative_to(folder).with_suffix("")
            name = within.parts[0]
            if name in sys.stdlib_module_names:
                raise UserError(f"{path}: '{name}' is a module of Python; give yours another name")
            other = PathFinder.find_spec(name, first)
            if other and other.origin:  # a folder without __init__.py has none, and gives way to a module
                raise UserError(
                    f"{path}: Python imports '{name}' from {other.origin}, which it finds first; give yours another name"
                )
            for place in sorted(set(folders()) - {folder}):
                # A folder without __init__.py has its modules in all places.
                if source_file(place / name) or source_file(place / within):
                    raise UserError(
                        f"{path}: the plug-ins' folder {place} has a module '{name}' too, and Python imports only one of "
                        "them; rename one"
                    )


def check_decorators(file: Path) -> None:
    """Refuse a decorator that a plug-in has not imported: what it decorates would be unknown, and only a job would say why.

    Raises:
        UserError: there is one; the message has file and line.
    """
    module, registry = parse(file), LIBRARY / "registry.py"
    for statement in chain(*module.definitions.values()):
        for node in getattr(statement, "decorator_list", ()):
            name = ast.unparse(node.func if isinstance(node, ast.Call) else node)
            place = f"{file}:{node.lineno}"
            if (registry, name) in module.imports.get(name, ()) and name not in REGISTRATIONS:
                has = f"{did_you_mean(name, REGISTRATIONS)}it has {', '.join(sorted(REGISTRATIONS))}"
                raise UserError(f"{place}: rethinking.registry has no '{name}'; {has}")
            if name in REGISTRATIONS and not any(
                name in each for each in (module.imports, module.packages, module.definitions)
            ):
                raise UserError(
                    f"{place}: @{name} is not imported; write 'from rethinking.registry import {name}' at the top of the "
                    "file"
                )


@cache
def import_plugin(file: Path) -> Any:
    """The module in a file, under a name that no other module has; it can import others in its folder."""
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    name = f"rethinking_plugin_{file.stem}_{files().index(file)}"
    spec = importlib.util.spec_from_file_location(name, file, loader=Loader(name, str(file)))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pickling and dataclasses look for it there
    with blamed():
        spec.loader.exec_module(module)
    return module


# ---- errors of plug-ins


def blame(error: BaseException) -> str | None:
    """File, line and message of an error in a plug-in or a module beside it; None for other errors."""
    if isinstance(error, SystemExit) and error.code == os.EX_TEMPFAIL:  # a signal (run/stop_signals.py)
        return None
    own = {str(file) for folder in folders() for file in modules_in(folder)}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in own]
    if isinstance(error, SyntaxError) and error.filename in own:
        return f"{error.filename}:{error.lineno}: {error.msg}"
    if not frames:
        return None
    where = f" beside the plug-in or in {sys.prefix}" if isinstance(error, ModuleNotFoundError) else ""
    return f"{frames[-1].filename}:{frames[-1].lineno}: {type(error).__name__}: {error}{where}"


@contextmanager
def blamed(place: str | None = None) -> Iterator[None]:
    """Turn errors in plug-ins, or all errors if there is a ``place``, into a UserError with file and line."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        message = blame(error)
        if place and not message and isinstance(error, Exception):
            message = f"{place}: {type(error).__name__}: {error}"
        if message:
            raise UserError(message) from error
        raise
