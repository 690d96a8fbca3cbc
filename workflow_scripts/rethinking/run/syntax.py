"""What a piece of code does: its syntax tree without the parts that change no number."""

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

from rethinking.run.files import UserError

# Texts for people: the functions that print them (called as a statement), and the arguments that contain them.
SPEAKERS = {"log", "print"}
DESCRIPTIONS = {"description", "help"}
# Fields, apart from the texts of errors, that change no number.
WITHOUT_EFFECT = {
    ("msg", ast.Assert),
    ("annotation", ast.arg),
    ("returns", ast.FunctionDef),
    ("returns", ast.AsyncFunctionDef),
}
# Decorators that register a function (rethinking.registry). Those of their arguments that can change a number are part
# of identities elsewhere.
REGISTRATIONS = {"dataset", "corruption", "model", "regulariser", "measure", "table", "figure", "claim"}


def syntax_tree(source: bytes, path: Path) -> ast.Module:
    """The syntax tree of a file with this source.

    Raises:
        UserError: it is not Python; the message has file and line.
    """
    try:
        return ast.parse(source, str(path))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path}:{getattr(error, 'lineno', None) or 1}: {error.args[0]}") from None


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """These statements and those inside them, several times as fast as :func:`ast.walk`."""
    for statement in body:
        yield statement
        for inner in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, inner, []))
        for clause in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from statements(clause.body)


def is_text(statement: ast.AST) -> bool:
    """Whether a statement is only text for people or for type checkers: a docstring, or a call that logs or prints."""
    if isinstance(statement, ast.If):
        return getattr(statement.test, "id", None) == "TYPE_CHECKING" and not statement.orelse
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if isinstance(value, ast.Constant):
        return True
    # numpy.log(x, out=x) and numpy.log(x, x) compute.
    return (
        called_name(value) in SPEAKERS
        and not (isinstance(value.func, ast.Attribute) and value.func.attr == "log" and len(value.args) > 1)
        and not any(keyword.arg == "out" for keyword in value.keywords)
    )


def called_name(node: ast.AST) -> str | None:
    """The last part of the name of the function that an expression calls; None if it is no such call."""
    called = node.func if isinstance(node, ast.Call) else None
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)


def mark_spoken(function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """Mark the assignments that only make texts for a function's errors and log lines: ``hint = f"..."``."""
    # Attributes of a class are read as such, not as names.
    classes = [node for node in ast.walk(function) if isinstance(node, ast.ClassDef)]
    attributes = {each for node in classes for each in statements(node.body)}
    spoken = {
        each: each.targets[0].id
        for each in statements(function.body)
        if isinstance(each, ast.Assign)
        and each not in attributes
        and len(each.targets) == 1
        and isinstance(each.targets[0], ast.Name)
        and is_words(each.value)
    }
    kept = list(spoken)
    for each in spoken:
        each.spoken = True
    while kept:
        visited: list[ast.AST] = []
        plainly([each for each in function.body if has_effect(each)], visited)
        read = {node.id for node in visited if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        read |= {name for node in visited if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
        kept = [each for each, name in spoken.items() if name in read]
        for each in kept:
            each.spoken = False
            del spoken[each]


def is_words(value: ast.AST) -> bool:
    """Whether an expression is a text, or a choice of texts."""
    if isinstance(value, ast.IfExp):
        return is_words(value.body) and is_words(value.orelse)
    return isinstance(value, ast.JoinedStr) or (isinstance(value, ast.Constant) and isinstance(value.value, str))


def children(node: ast.AST) -> Iterator[tuple[str, object]]:
    """The fields of a node that affect what it does."""
    kind = type(node)
    for key in kind._fields:
        value = getattr(node, key, None)
        if value is None or value == []:
            continue  # versions of Python differ in which empty fields there are
        if kind is ast.Raise:
            if key == "exc":
                # Its type can be caught; its text, and how that is made, is for people.
                yield key, ast.unparse(value.func if isinstance(value, ast.Call) else value)
            continue
        if (key, kind) in WITHOUT_EFFECT:
            continue
        if isinstance(value, list):
            value = [each for each in value if has_effect(each)]
            if key == "decorator_list" and not (value := [each for each in value if not is_registration(each)]):
                continue
        yield key, value


def has_effect(node: object) -> bool:
    """Whether one of several nodes is more than a text, a description or an import, which is followed by what it binds."""
    if isinstance(node, ast.Expr | ast.If):
        return not is_text(node)
    if isinstance(node, ast.keyword):
        return node.arg not in DESCRIPTIONS
    if isinstance(node, ast.Assign):
        return not getattr(node, "spoken", False)
    return not isinstance(node, ast.Import | ast.ImportFrom)


def is_registration(decorator: ast.AST) -> bool:
    """Whether a decorator registers a function."""
    return called_name(decorator) in REGISTRATIONS


def plainly(node: object, visited: list[ast.AST]) -> object:
    """A syntax tree as nested lists, without the parts that have no effect; None for a text.

    The nodes that have an effect are added to ``visited``.
    """
    if isinstance(node, list):
        return [plainly(each, visited) for each in node]
    if not isinstance(node, ast.AST):
        return node
    if is_text(node):
        return None
    kind = type(node)
    if not kind._fields:  # an operator, say
        return [kind.__name__]
    if kind in (ast.FunctionDef, ast.AsyncFunctionDef):
        mark_spoken(node)
    visited.append(node)
    return [kind.__name__, *[[key, plainly(value, visited)] for key, value in children(node)]]


def hash_of(value: object) -> str:
    """SHA-256 of a value's representation."""
    return hashlib.sha256(repr(value).encode()).hexdigest()
