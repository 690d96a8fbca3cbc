"""Which code decides a number: the definitions that a script reaches, each with a hash of what it does.

A definition is a function, a class or a constant in a module of this project. Starting from the definitions of a
script, references by name are followed through the imports; of other packages, what is imported counts. What cannot
change a number is left out: comments, docstrings, formatting, type annotations of functions, the texts of errors, log
lines and descriptions, and all of ``rethinking/run``. Names of files and folders do not count, so code can be moved.
"""

import ast
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from rethinking.run.imports import SCRIPTS, source
from rethinking.run.plugin_files import folders
from rethinking.run.syntax import hash_of, is_registration, plainly, statements, syntax_tree

LIBRARY = Path(__file__).parents[1]
RUN = Path(__file__).parent  # what changes no number
# By what code asks where a file lies.
PLACES = {"__file__", "__path__", "__spec__", "importlib", "pkgutil"}
# (file, name of a definition), or (file, None) for the whole file
Root = tuple[Path, str | None]
# What trains on images in files, which most data sets do not have. Library code that refers to these files for such data
# does not count them: what uses them names them.
READS_IMAGES: tuple[Root, ...] = (
    (LIBRARY / "data" / "imagenet.py", "load_index"),
    (LIBRARY / "training" / "batches_imagenet.py", "ImageBatches"),
)


@dataclass
class Module:
    """One parsed file."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    # local name -> what it stands for; functions can import different things under one name
    imports: dict[str, list[Root]] = field(default_factory=dict)
    packages: dict[str, set[str]] = field(default_factory=dict)  # the same of other packages: ``math.log``
    loose: list[ast.stmt] = field(default_factory=list)  # statements that run when it is imported


def code_of(*roots: Root) -> dict[str, str]:
    """All definitions that can be reached from these, including themselves.

    Returns:
        ``training/loop.py: train_cell`` -> hash, 12 hexadecimal digits; ``paper/data/figures.json`` for data files
        that lie beside the code that reads them.
    """
    examined: list[tuple[Path, str | None, str, str]] = []  # with label and hash
    texts: dict[Path, set[str]] = {}  # in the definitions of each file
    seen: set[Root] = set()
    apart = {file for file, _ in READS_IMAGES} - {file for file, _ in roots}
    pending = list(roots)
    while pending:
        path, name = pending.pop()
        if (path, name) in seen or RUN in path.parents:
            continue
        seen.add((path, name))
        module = parse(path)
        if path not in texts:
            pending += [(file, "") for file in packages_around(path)]
        if SCRIPTS not in path.parents:  # what a plug-in imports can act by being imported
            pending += [(file, "") for targets in module.imports.values() for file, _ in targets]
        for file, _ in module.imports.get("*", ()):  # any of it may be used
            pending += [(file, each) for each in (*parse(file).definitions, *parse(file).imports)]
        if name in module.imports and name not in module.definitions:
            pending += module.imports[name]  # a re-exported name, as in a package's __init__
            continue
        if name and name not in module.definitions:
            # A module of the package, or what the file makes as it runs (__getattr__).
            within = source_file(path.parent / name) if path.name == "__init__.py" else None
            pending.append((within or path, None))
        if name is None:
            pending += [(path, each) for each in module.definitions]
        pending.append((path, ""))  # what runs on import
        label, digest, references, said = examine(path, name)
        if digest:
            examined.append((path, name, label, digest))
        from_library = SCRIPTS in path.parents and path not in apart
        pending += [each for each in references if not (from_library and each[0] in apart)]
        texts.setdefault(path, set()).update(said)
    # Files in different folders of plug-ins can have one name, and so one label.
    found: dict[str, set[str]] = {}
    own = {path for path in texts if SCRIPTS not in path.parents}
    times = Counter(name for path, name, *_ in examined if path in own)
    for path, name, label, digest in examined:
        if times[name] > 1 and path in own:
            # It makes a difference which of nets/a.py and nets/b.py has the WIDTH of 64.
            digest = hash_of([path.relative_to(import_folders(path)[-1]).as_posix(), digest])[:12]
        found.setdefault(label, set()).add(digest)
    places = [(path.parent, said) for path, said in texts.items() if path not in own and "__file__" in said]
    words = set().union(*(texts[path] for path in own))
    if "__file__" in words:
        # One of a plug-in's files can ask where it lies, or where another one does, for a third.
        around = {folder for path in own for folder in path.parents if folder.is_relative_to(import_folders(path)[-1])}
        places += [(folder, words) for folder in sorted(around)]
    for folder, said in places:
        for label, digest in data_files(folder, said).items():
            found.setdefault(label, set()).add(digest)
    return {
        label: hash_of(sorted(digests))[:12] if len(digests) > 1 else min(digests)
        for label, digests in sorted(found.items())
    }


def combined(code: dict[str, str]) -> str:
    """One hash over definitions, 16 hexadecimal digits; their names and places do not count."""
    return hash_of(sorted(set(code.values())))[:16]


@cache
def parse(path: Path) -> Module:
    """A file's definitions, imports of this project and other statements.

    Raises:
        UserError: it is not Python; the message has file and line.
    """
    module = Module()
    tree = syntax_tree(source(path), path)
    for statement in statements(tree.body):
        for local, target, spelling in imported(statement, path):
            if target:
                module.imports.setdefault(local, []).append(target)
            if spelling != local:
                module.packages.setdefault(local, set()).add(spelling)
    for statement in tree.body:
        names = defined_names(statement)
        for name in names:
            module.definitions.setdefault(name, []).append(statement)
        # What is set in an object (torch.backends.mkldnn.enabled = False, TABLE["x"] = 1) acts under all of its names.
        sets = [type(node) for target in targets(statement) for node in ast.walk(target)]
        acts = isinstance(statement, ast.AugAssign) or {ast.Attribute, ast.Subscript} & {*sets}
        if (not names or acts) and not isinstance(statement, ast.Import | ast.ImportFrom):
            module.loose.append(statement)
    # A decorator of this project can enter what it decorates into a table, as functools.singledispatch does; so can a
    # metaclass, and a base class that asks for its subclasses.
    own = {*module.imports, *module.definitions}
    for name, parts in module.definitions.items():
        makers = [each for part in parts for each in getattr(part, "decorator_list", ()) if not is_registration(each)]
        makers += [each.value for part in parts for each in getattr(part, "keywords", ())]
        bases = [each for part in parts for each in getattr(part, "bases", ())]
        if own & named(makers) or (own & named(bases) and asks_for_subclasses(path, module)):
            module.loose += module.definitions[name]
    return module


def named(nodes: Iterable[ast.AST]) -> set[str]:
    """The names in some syntax trees."""
    return {node.id for each in nodes for node in ast.walk(each) if isinstance(node, ast.Name)}


def asks_for_subclasses(path: Path, module: Module) -> bool:
    """Whether a file, or one of this project that it imports, asks for the subclasses of a class."""
    files = {path, *(file for targets in module.imports.values() for file, _ in targets)}
    return any(re.search(rb"__(init_subclass|subclasses)__", source(file)) for file in files)


def defined_names(statement: ast.stmt) -> list[str]:
    """The names that a statement at the top of a file defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    return [node.id for each in targets(statement) for node in ast.walk(each) if isinstance(node, ast.Name)]


def targets(statement: ast.stmt) -> list[ast.expr]:
    """What a statement assigns to."""
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AnnAssign | ast.AugAssign) else []


def imported(node: ast.AST, path: Path) -> Iterator[tuple[str, Root | None, str]]:
    """What an import binds.

    Yields:
        the local name; of this project a file with one definition or None for the whole file, otherwise None; and what
        is imported, with the package where it is not of this project, whose files can move.
    """
    if isinstance(node, ast.Import):
        for alias in node.names:
            stem = module_stem(alias.name, path)
            if file := stem and source_file(stem):
                local = alias.asname or alias.name
                yield local, (file, None), local
            elif alias.asname:
                yield alias.asname, None, alias.name
            else:  # 'import torch.nn' binds torch
                package = alias.name.split(".")[0]
                yield package, None, package
    elif isinstance(node, ast.ImportFrom):
        package = node.module or ""
        if node.level:
            # Relative to the file's folder, as in the executor.
            base = path.parents[node.level - 1]
            stem = base.joinpath(*package.split(".")) if package else base
        else:
            stem = module_stem(package, path)
        file = stem and source_file(stem)
        package_folder = stem if not file or file.name == "__init__.py" else None  # also without __init__.py
        for alias in node.names:
            local = alias.asname or alias.name
            if within := package_folder and source_file(package_folder / alias.name):
                yield local, (within, None), local
            elif file:
                yield local, (file, alias.name), alias.name
            else:
                yield local, None, f"{package}.{alias.name}"


def module_stem(name: str, path: Path) -> Path | None:
    """Where a module of this project, or one beside a plug-in, would lie, by its dotted name; ``path`` imports it."""
    parts = name.split(".")
    if parts[0] == "rethinking":
        return SCRIPTS.joinpath(*parts)
    if SCRIPTS in path.parents:
        return None
    stems = [folder.joinpath(*parts) for folder in import_folders(path)]
    return next((stem for stem in stems if source_file(stem) or stem.is_dir()), stems[0])


def import_folders(path: Path) -> list[Path]:
    """The folders of plug-ins around a file: imports start there, also those in a package; its own if there is none."""
    return [folder for folder in path.parents if folder in folders()] or [path.parent]


def packages_around(path: Path) -> list[Path]:
    """The ``__init__.py`` of the packages that a module is in, which run when it is imported."""
    outermost = SCRIPTS if SCRIPTS in path.parents else import_folders(path)[-1]
    files = [folder / "__init__.py" for folder in path.parents if outermost in folder.parents]
    return [file for file in files if file.is_file()]


def source_file(stem: Path) -> Path | None:
    """The file of a module or package."""
    for file in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")):
        if file.is_file():
            return file
    return None


@cache
def examine(path: Path, name: str | None) -> tuple[str, str, list[Root], set[str]]:
    """Label and hash of a definition, what it refers to, and its texts, with ``__file__`` if it asks where a file lies.

    The name is empty for the statements that run when the file is imported.
    """
    module = parse(path)
    label = f"{relative(path)}: {name}" if name else f"{relative(path)} (when imported)"
    defined = module.loose if not name else module.definitions.get(name, [])
    visited: list[ast.AST] = []
    plain = [each for each in plainly(defined, visited) if each not in (None, ["Pass"])]
    references: list[Root] = []
    names = {node.id for node in visited if isinstance(node, ast.Name)}
    attributes = [node for node in visited if isinstance(node, ast.Attribute)]
    for node in attributes:
        alias, _, attribute = (dotted_name(node) or "").rpartition(".")
        references += [(file, attribute) for file, whole in module.imports.get(alias, ()) if whole is None]
    # A module is followed by the attributes that are taken from it, all of it where it is used otherwise (getattr).
    taken = {id(node.value) for node in attributes}
    bare = {node.id for node in visited if isinstance(node, ast.Name) and id(node) not in taken}
    for each in names:
        references += [target for target in module.imports.get(each, ()) if target[1] is not None or each in bare]
        if each in module.definitions and each != name:
            references.append((path, each))
    dynamic = names & {"eval", "exec", "globals"} or "sys.modules" in map(dotted_name, attributes)
    if dynamic:  # it can look up any name of its file
        references += [(path, each) for each in (*module.definitions, *module.imports)]
    if plain:
        plain += sorted([each, sorted(module.packages[each])] for each in names & module.packages.keys())
    said = {node.value for node in visited if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    asked = names | {node.attr for node in attributes}
    asked |= {spelling.split(".")[0] for each in names for spelling in module.packages.get(each, ())}
    if asked & PLACES:
        said.add("__file__")
    return label, hash_of(plain)[:12] if plain else "", references, said


def dotted_name(node: ast.Attribute) -> str | None:
    """``package.module.name`` as it is written, None where it is not a plain chain of names."""
    parts = [node.attr]
    value = node.value
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    return ".".join([value.id, *reversed(parts)]) if isinstance(value, ast.Name) else None


def relative(path: Path) -> str:
    """A file as shown to people: its path within the library, or its name."""
    for folder in (LIBRARY, SCRIPTS):
        if folder in path.parents:
            return path.relative_to(folder).as_posix()
    return path.name


def data_files(folder: Path, texts: set[str]) -> dict[str, str]:
    """The files in a folder that its code names, each with a hash.

    Of a folder inside that the code names, the files whose names or stems are among its texts, all if there are none.
    Texts can begin with what stands for the folder: ``/noise.npy``, ``./noise.npy``, ``%s/noise.npy``.
    """
    files: set[Path] = set()
    for text in texts:
        within = re.sub(r"^(%s|\{\w*\})", "", text)
        place = Path(os.path.normpath(f"{folder}/{within}"))
        if folder.is_relative_to(place):  # such as "..", in which anything may lie
            continue
        if os.path.isdir(place):
            inside = {file for file in place.rglob("*") if file.is_file()}
            files |= {file for file in inside if {file.name, file.stem} & texts} or inside
        elif os.path.isfile(place):
            files.add(place)
    files = {file for file in files if file.suffix not in (".py", ".pyc")}
    return {relative(file): hashlib.sha256(file.read_bytes()).hexdigest()[:12] for file in sorted(files)}


def script_code(script: str, entries: Iterable[Root] = ()) -> dict[str, str]:
    """The code behind the numbers of a workflow script, including ``entries``, which it is told by name to use."""
    return code_of((SCRIPTS / f"{script}.py", "main"), *entries)
