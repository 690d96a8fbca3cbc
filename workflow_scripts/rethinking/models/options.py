"""Options of a network: the types that its function gives them, and the values of a configuration that fit."""

import ast
import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import NoneType
from typing import Any

from rethinking import registry
from rethinking.run.code import parse
from rethinking.run.files import UserError, did_you_mean

# How a network annotates an option -> the types of its values in Python, and in words: one value, several.
TYPES = {
    "bool": ((bool,), "true or false", "true or false"),
    "int": ((int,), "a whole number", "whole numbers"),
    "float": ((int, float), "a number", "numbers"),
    "str": ((str,), "text", "texts"),
    "None": ((NoneType,), "null", "null"),
}
LISTS = {"list", "tuple", "sequence"}
# Options that are shares; what lies beyond would end in an error of torch or in a network that cannot learn.
SHARES = ("dropout", "batch_norm_decay")
# Words for truth values in YAML.
WORDS = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}


def check_options(name: str, options: Iterable[str]) -> None:
    """Raise a UserError if the architecture of the network ``name`` lacks one of these options."""
    known = registry.entry("model", name).optional
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise UserError(f"the network '{name}' has no option '{option}'; {did_you_mean(option, known)}{has}")


def default_options(model: str) -> dict[str, Any]:
    """The values that a network's function gives its options, of those that are literal, as a configuration has them.

    They are read from the syntax tree. No record holds them: an edit of one is an edit of the network's code.
    """
    entry = registry.entry("model", model)
    named = parse(entry.file).definitions[entry.function]
    statement = next(each for each in named if each.lineno == entry.line)
    if isinstance(statement, ast.ClassDef):
        statement = next(each for each in statement.body if getattr(each, "name", None) == "__init__")
    arguments = statement.args
    plain = [*arguments.posonlyargs, *arguments.args]
    optional = [
        *zip(plain[len(plain) - len(arguments.defaults) :], arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    found = {}
    for argument, default in optional:
        with suppress(ValueError, TypeError):
            found[argument.arg] = json.loads(json.dumps(ast.literal_eval(default)))
    return found


def read_options(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a network as its function takes them.

    Raises:
        UserError: the network does not have one of them, or takes other values for it.
    """
    check_options(model, options)
    entry = registry.entry("model", model)
    return {option: read_option(entry, option, value) for option, value in options.items()}


def read_option(entry: registry.Entry, option: str, written: Any) -> Any:
    """The value of an option; its annotation, or else its default, decides whether 34 is text."""
    annotation = entry.optional[option]
    place = f"the option '{option}' of the network '{entry.name}'"
    try:
        value = read_value(written, annotation)
    except ValueError:
        words = in_words(annotation)
        more = "; write text in quotes" if "text" in words and not isinstance(written, str) else ""
        if entry.arguments[option] is None:
            more += f"; its default decides, as it has no annotation in {entry.place}"
        raise UserError(f"{place} takes {words}, not {written!r}{more}") from None
    share = option in SHARES and ("float", []) in alternatives(annotation) and type(value) in (int, float)
    if share and not 0 <= value < 1:
        raise UserError(f"{place} is a share, from 0 to below 1, not {value!r}")
    return value


def read_value(written: Any, annotation: str) -> Any:
    """A value as this annotation wants it.

    Raises:
        ValueError: it does not fit.
    """
    types, read = alternatives(annotation), plain(written)
    # The command line has no other way to say null.
    for value in (read, written) if read is None else (written, read):
        for name, parts in types:
            if name in TYPES and type(value) in TYPES[name][0]:
                return value
            if name == "literal" and repr(value) in parts:
                return value
            if name in LISTS and isinstance(value, list):
                with suppress(ValueError):
                    return [read_value(each, " | ".join(parts) or "Any") for each in value]
    if all(is_known(name) for name, _ in types):
        raise ValueError
    return read


def plain(value: Any) -> Any:
    """What YAML reads in a text: ``--config`` passes false and 0.2 as text, and text is true."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, str):
        with suppress(ValueError):
            read = json.loads(WORDS.get(value.lower(), value))
            return read if is_plain(read) else value
    return value


def is_plain(value: Any) -> bool:
    """Whether an option can have this value: one that JSON keeps, and no dictionary."""
    if isinstance(value, list):
        return all(map(is_plain, value))
    return value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def alternatives(annotation: str) -> list[tuple[str, list[str]]]:
    """The types that an annotation allows: ``list[int] | None`` is (list, [int]) and (None, [])."""
    try:
        node = ast.parse(annotation, mode="eval").body
    except SyntaxError:  # words in quotes
        return [(annotation, [])]
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return [*alternatives(ast.unparse(left)), *alternatives(ast.unparse(right))]
        case ast.Constant(value=str(text)):
            return alternatives(text)
        case ast.Subscript(value=of, slice=inner):
            parts = list(map(ast.unparse, inner.elts if isinstance(inner, ast.Tuple) else [inner]))
            name = ast.unparse(of).split(".")[-1].lower()
            if name in ("optional", "union"):
                parts += ["None"] * (name == "optional")
                return [each for part in parts for each in alternatives(part)]
            return [(name, [part for part in parts if part != "..."])]
    name = ast.unparse(node).split(".")[-1]
    return [(name if name in TYPES else name.lower(), [])]


def is_known(name: str) -> bool:
    """Whether values can be compared with a type of this name; others, such as ``Any``, take all."""
    return name in TYPES or name in LISTS or name == "literal"


def in_words(annotation: str, many: bool = False) -> str:
    """The values that fit an annotation: ``a list of whole numbers or null``."""
    words = []
    for name, parts in alternatives(annotation):
        if name in TYPES:
            words.append(TYPES[name][1 + many])
        elif name in LISTS:
            inner = in_words(" | ".join(parts), many=True) if parts else ""
            words.append(("lists" if many else "a list") + (f" of {inner}" if inner else ""))
        else:
            words += parts
    return " or ".join(words)


def as_argument(value: Any, annotation: str) -> Any:
    """A value for the network's function: a list as a tuple where it takes one, which JSON does not know."""
    names = {name for name, _ in alternatives(annotation)}
    return tuple(value) if isinstance(value, list) and "tuple" in names and "list" not in names else value
