"""Registrations as they stand in a file: read from its syntax tree, without running it."""

import ast
import re
from pathlib import Path

from rethinking.entries import KINDS, Entry
from rethinking.run.files import UserError
from rethinking.run.plugin_checks import faults
from rethinking.run.syntax import is_text, statements, syntax_tree

NUMBER = r"[0-9]+(?:\.[0-9]+)?"
# Parameters are in braces, their bounds behind a colon.
NAME = re.compile(rf"(?:[A-Za-z0-9_]|\{{\w+(?::(?:{NUMBER})?\.\.(?:{NUMBER})?)?\}}|(?!^)[.-])+")


def registrations(file: Path) -> list[Entry]:
    """The entries that the functions and classes at the top of a file register.

    Raises:
        UserError: it cannot be read, or a registration is wrong; the message has file and line.
    """
    try:
        source = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); correct 'plugins' in the config") from None
    if b"registry" not in source:
        return []
    tree = syntax_tree(source, file)
    kinds = decorators(tree)
    found = []
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ImportFrom) and statement.level:
            module = statement.module or statement.names[0].name
            raise UserError(
                f"{file}:{statement.lineno}: a plug-in is not in a package; import '{module}' without the dot"
            )
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
    # Also in 'try' and 'if' at the top, for those who use the file without this project; but not for type checkers alone.
    inside = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef
    for node in statements([each for each in tree.body if not isinstance(each, inside) and not is_text(each)]):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        package = getattr(node, "module", None)
        for each in node.names:
            local = each.asname or each.name
            if package == "rethinking.registry" and each.name in KINDS:
                found[local] = each.name
            elif (package, each.name) in ((None, "rethinking.registry"), ("rethinking", "registry")):
                found |= {f"{local}.{kind}": kind for kind in KINDS}
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
            f"{place}: @{kind} takes its name first and then options, all literal values, as it is read without running the "
            "file"
        )
    held = re.findall(r"\{(\w+)", str(name))
    if not isinstance(name, str) or not NAME.fullmatch(name) or len(set(held)) < len(held):
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


def signature(statement: ast.FunctionDef | ast.ClassDef) -> tuple[dict[str, str | None], dict[str, str]]:
    """The arguments of a function, or of a class when it is made, with their annotations; and those with a default."""
    skip = 0
    if isinstance(statement, ast.ClassDef):
        made = [each for each in statement.body if getattr(each, "name", None) == "__init__"]
        if not made:
            return {}, {}
        statement, skip = made[0], 1
    arguments = statement.args
    plain = [*arguments.posonlyargs, *arguments.args]
    optional = [*zip(plain[len(plain) - len(arguments.defaults) :], arguments.defaults, strict=True)]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    optional += [(each, default) for each, default in keywords if default is not None]
    found = [*plain[skip:], *arguments.kwonlyargs]
    types = {each.arg: ast.unparse(each.annotation) if each.annotation else None for each in found}
    return types, {each.arg: types[each.arg] or type_of(default) for each, default in optional}


def type_of(default: ast.expr) -> str:
    """An annotation that fits a default and what is like it: 4 is a number, of None all can be meant."""

    def fitting(value: object) -> str:
        kind = type(value).__name__
        if isinstance(value, list | tuple):
            inner = " | ".join(sorted(set(map(fitting, value))))
            return f"{kind}[{inner}]" if inner else kind
        return {"int": "float", "NoneType": "Any"}.get(kind, kind)

    try:
        return fitting(ast.literal_eval(default))
    except (ValueError, TypeError):
        return "Any"
