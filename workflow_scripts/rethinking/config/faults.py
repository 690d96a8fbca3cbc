"""Messages for a configuration that is not valid: the file, the key and what would be right."""

import re
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from rethinking.config.patterns import Origin, Path, expand_range
from rethinking.config.reading import File
from rethinking.models.options import plain
from rethinking.run.files import did_you_mean

# What pydantic adds to a place: a mark behind a dictionary's key, or the name of a type that the value could have.
ADDED = re.compile(r"\[key\]|bool|int|float|str|constrained-\w+|literal\[.*\]")


def describe(
    fault: dict[str, Any],
    files: dict[str, File],
    values: dict[str, Any],
    config: type[BaseModel],
    origins: dict[Path, Origin],
) -> str:
    """One line for one fault that pydantic found.

    Args:
        fault: an entry of ``ValidationError.errors()``.
        files: the configuration files, later ones over earlier ones.
        values: what they are merged to.
        config: the model of the whole configuration.
        origins: how cells and variants were written.
    """
    loc = fault["loc"]
    if fault["type"] != "extra_forbidden":  # any word can be an unknown key
        loc = tuple(part for part in loc if not ADDED.fullmatch(str(part)))
    message = what_is_wrong(fault, loc, config)
    start = next((loc[:n] for n in range(len(loc), 0, -1) if loc[:n] in origins), None)
    if start is None:
        place = place_of_value(loc, files, values)
        return f"{place}: {key_text(loc)}{': ' if loc else ''}{message}"
    origin, rest = origins[start], loc[len(start) :]
    grid = origin.written.get("grid") if isinstance(origin.written, dict) else None
    if len(rest) > 1 and rest[0] == "set" and isinstance(grid, dict) and rest[1] in grid:
        rest = ("grid", rest[1])
    place = f"{place_of_origin(origin, files, rest)}: {key_text((*origin.path, *rest))}"
    if not isinstance(origin.written, str) or fault["input"] == origin.written:
        return f"{place}: {message}"
    # A name that a pattern stands for. Without it, equal faults of several names are one line.
    prefix = f"cell '{fault['input']}': "
    return f"{place} '{origin.written}': {message.removeprefix(prefix)}"


def what_is_wrong(fault: dict[str, Any], loc: Path, config: type[BaseModel]) -> str:
    """A fault in words, with what would be right."""
    kind, given = fault["type"], fault["input"]
    written = "null" if given is None else repr(given)
    message = fault["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        key, names = str(loc[-1]), keys_at(loc[:-1], config)
        others = sections_with(key, config)
        hint = f"it is a key of {', '.join(others[:3])}; " if others else did_you_mean(key, names)
        return f"unknown key; {hint}known here: {', '.join(names)}"
    if kind == "literal_error":
        names = [name.strip("'") for name in fault["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"unknown value {written}; {did_you_mean(str(given), names)}known: {', '.join(names)}"
    if kind == "model_type":
        keys = keys_at(loc, config)
        section = len(loc) == 1 and "cells" in keys  # a result, which is left out by giving it no cells
        hint = f"; write {{cells: {given or []}}}" if section and isinstance(given, list | None) else ""
        return f"takes keys of its own ({', '.join(keys)}), not {written}{hint}"
    if kind == "list_type":
        needed = given in (None, {}) and not can_be_empty(loc, config)
        return f"takes a list; {'write at least one value' if needed else list_advice(given, loc, config)}"
    if kind == "int_parsing" and isinstance(number := plain(given), float) and number.is_integer():
        return f"{message}, not {written}, which YAML takes for text; write {number:.0f}"
    if kind == "string_type" and not isinstance(given, dict | list | None):
        return f"{message}, not {given}; put text in quotes"
    return message if kind in ("value_error", "missing", "too_short") else f"{message}, not {written}"


def list_advice(given: Any, loc: Path, config: type[BaseModel]) -> str:
    """How to write a list in the place of another value, or why that value cannot be in it.

    YAML reads ``{0..4}`` and ``{a, b}`` as keys without values.
    """
    if isinstance(given, dict) and any(value is not None for value in given.values()):
        return "begin each entry with '- '"
    written = given if isinstance(given, dict) else [] if given is None else [given]
    field = field_at(loc, config)
    try:
        values = [each for one in written for each in (in_list(one) if isinstance(one, str) else [one])]
        TypeAdapter(field.annotation if field else list).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        return f"a value of it: {what_is_wrong(first, loc + first['loc'], config)}"
    except ValueError as error:
        return str(error)
    return f"write [{', '.join(map(str, values))}]"


def in_list(text: str) -> list[str]:
    """The values that ``1, 2`` or ``0..4`` stand for."""
    return [each for part in text.split(",") for each in expand_range(part.strip())]


def describe_pattern(origin: Origin, message: str, files: dict[str, File]) -> str:
    """One line for one fault of an expansion."""
    quoted = f" '{origin.written}'" if isinstance(origin.written, str) else ""
    return f"{place_of_origin(origin, files)}: {key_text(origin.path)}{quoted}: {message}"


def key_text(path: Path) -> str:
    """A place in a configuration, such as ``table1.cells[3]``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def keys_at(path: Path, model: Any) -> list[str]:
    """The keys that would be right in a section."""
    for part in path:
        if part in fields(model):
            model = fields(model)[part]
    return list(fields(model))


def can_be_empty(path: Path, model: Any) -> bool:
    """Whether the list at a place may have no entries; those of a grid may not."""
    field = field_at(path, model)
    return field is not None and not any(getattr(each, "min_length", 0) for each in field.metadata)


def field_at(path: Path, model: Any) -> FieldInfo | None:
    """The field of a list; None for those of a grid, which take anything."""
    for part in path[:-1]:
        model = fields(model).get(part, model)
    return getattr(model, "model_fields", {}).get(path[-1])


def fields(model: Any) -> dict[str, Any]:
    """The keys of a section and what they lead to: dictionaries, lists and ``Model | None`` lead to their last type."""
    kinds = {name: field.annotation for name, field in getattr(model, "model_fields", {}).items()}
    return {
        name: [kind, *(each for each in get_args(kind) if each is not NoneType)][-1] for name, kind in kinds.items()
    }


def sections_with(key: str, model: Any, section: str = "") -> list[str]:
    """The sections that have a key, such as ``training`` and ``overrides.set``."""
    found = [section or "the top level"] if key in fields(model) else []
    for name, inner in fields(model).items():
        found += sections_with(key, inner, f"{section}.{name}".removeprefix("."))
    return found


def place_of_value(path: Path, files: dict[str, File], values: dict[str, Any]) -> str:
    """The last file that sets a value (or, if it is missing, a part of its section), and the line; or ``--config``.

    A section, such as all of the configuration, can be of both.
    """
    while not value_at(path, values)[0]:
        path = path[:-1]
    merged = value_at(path, values)[1]
    keys = merged if isinstance(merged, dict) else ()
    # The paths of plug-ins are no longer as they are written.
    both = any(key != "plugins" and "--config" in place_of_value((*path, key), files, values) for key in keys)
    for name, file in reversed(files.items()):
        found, value = value_at(path, file.content)
        # nan differs from itself.
        section = isinstance(value, dict) and isinstance(merged, dict)
        if found and (section or value == merged or repr(value) == repr(merged)):
            return f"{name}{file.place(path)}{' and --config' if both else ''}"
    return "--config"


def place_of_origin(origin: Origin, files: dict[str, File], rest: Path = ()) -> str:
    """The last file that contains a cell or variant, and the line of a part of it; ``--config`` if none does."""
    return next(
        (
            f"{name}{file.place((*origin.path, *rest))}"
            for name, file in reversed(files.items())
            if value_at(origin.path, file.content) == (True, origin.written)
        ),
        "--config",
    )


def value_at(path: Path, content: Any) -> tuple[bool, Any]:
    """Whether a file sets something at a place, and what."""
    try:
        for part in path:
            content = content[part]
    except (LookupError, TypeError):
        return False, None
    return True, content
