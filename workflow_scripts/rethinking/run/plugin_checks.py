"""Whether a plug-in's registration has what its kind needs; what is wrong is said before anything runs."""

import ast
import math
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from rethinking.entries import Entry
from rethinking.run.code import parse

# What an option must be, in words, and whether a value is.
Form = tuple[str, Callable[[Any], bool]]


def is_number(value: Any) -> bool:
    """Whether a value is a number, which True is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_list(value: Any, length: int | None = None, kind: type = str) -> bool:
    """Whether a value is a list or tuple of so many texts (or others of a kind), or of some if no length is given."""
    right = isinstance(value, list | tuple) and all(isinstance(each, kind) for each in value)
    return right and (len(value) == length if length else bool(value))


def is_digest(value: Any, *lengths: int) -> bool:
    """Whether a value is None or a digest of so many hexadecimal digits."""
    return value is None or (
        isinstance(value, str) and len(value) in lengths and bool(re.fullmatch("[0-9a-f]+", value))
    )


def check_fields(record: Any, **forms: Form) -> None:
    """Compare the fields of a description, which people write by hand, with their forms.

    Raises:
        TypeError: one has another form.
    """
    for name, (words, right) in forms.items():
        if not right(value := getattr(record, name)):
            found = textwrap.shorten(repr(value), 80)
            raise TypeError(f"{name} of {type(record).__name__} must be {words}, not {found}")


TEXT: Form = ("a text", lambda value: isinstance(value, str))
YES_NO: Form = ("True or False", lambda value: isinstance(value, bool))
NUMBER: Form = ("a number", is_number)
POSITIVE: Form = ("a positive number", lambda value: is_number(value) and value > 0)
# What a plug-in can say of each kind.
OPTIONS: dict[str, dict[str, Form]] = {
    "dataset": {"title": TEXT, "published": YES_NO},
    "corruption": {},
    "model": {
        "title": TEXT,
        "megaflops": POSITIVE,
        "capture": YES_NO,
    },
    "regulariser": {"heading": ("two texts, one for each line", lambda value: is_list(value, length=2))},
    "measure": {"title": TEXT, "source": TEXT, "logarithmic": YES_NO},
    "claim": {
        **dict.fromkeys(("statement", "source", "holds_if"), TEXT),
        "cells": ("a list of names of cells", is_list),
        "step": POSITIVE,
        **dict.fromkeys(("at_least", "at_most", "above"), NUMBER),
    },
}
# The argument that a function must have.
NEEDED = {"regulariser": "images", "measure": "network"}
# Names that stand for something else. Of measures: other entries of complexity.json, columns of complexity_measures.csv.
TAKEN = {
    "regulariser": {"none"},
    "measure": {"cell", "images", "draws", "seed", "gap", "data", "epochs"}
    | {"dataset", "corruption", "model", "regularisers"},
}


def faults(entry: Entry, statement: ast.FunctionDef | ast.ClassDef, known: tuple[str, ...]) -> Iterator[str]:
    """Yield what is wrong with a registration; ``known`` are the arguments that functions of its kind can ask for."""
    kind, name, arguments, options = entry.kind, entry.name, entry.arguments, entry.options
    required = [each for each in arguments if each not in entry.optional]
    if kind not in OPTIONS:
        yield f"a plug-in cannot register a {kind}; make one of its own from the CSVs of the results"
        return
    for key, value in options.items():
        if kind == "corruption" and key in arguments:
            continue
        if key not in OPTIONS[kind]:
            has = ", ".join(sorted(OPTIONS[kind])) or "none"
            yield f"@{kind} has no option '{key}'; it has {has}"
        elif not OPTIONS[kind][key][1](value):
            yield f"the option '{key}' of @{kind} must be {OPTIONS[kind][key][0]}, not {value!r}"
    same = [each for each in parse(entry.file).definitions[entry.function] if hasattr(each, "name")]
    if same[-1].lineno > statement.lineno:
        yield f"{entry.function} is defined again in line {same[-1].lineno}, which Python takes for both; rename one"
    if name in TAKEN.get(kind, ()):
        yield f"the name '{name}' stands for something else; give it another one"
    if entry.bounds and kind != "corruption":
        yield f"the name '{name}' holds parameters, which only corruptions have"
    for key, (low, high) in entry.bounds.items():
        if key not in arguments:
            yield f"{statement.name} takes no argument '{key}', which the name '{name}' holds"
        if low is not None and high is not None and low > high:
            yield f"the bounds of '{key}' in the name '{name}' are the wrong way round"
    if kind == "claim" and not (
        {"statement", "cells"} <= set(options) and {"at_least", "at_most", "above"} & set(options)
    ):
        yield "@claim needs a statement, cells, and at_least, at_most or above"
    elif kind == "claim" and not takes_runs(entry, statement, len(required)):
        yield f"{statement.name} must take {len(options['cells'])} runs, one for each of its cells"
    lowest = max(options.get(key, -math.inf) for key in ("at_least", "above"))
    if lowest > options.get("at_most", math.inf):
        yield f"no number is above {lowest} and at most {options['at_most']}"
    if kind == "model" and (len(arguments) < 2 or len(required) > 2):
        yield (
            f"{statement.name} must take the images' shape (channels, height, width) and the number of classes; its "
            "other arguments need a default"
        )
    if NEEDED.get(kind, "") not in ("", *arguments):
        yield f"{statement.name} takes no argument '{NEEDED[kind]}'"
    if kind == "corruption" and next(iter(arguments), None) not in ("labels", "images"):
        yield f"the first argument of {statement.name} must be labels or images: what it changes and returns"
    known = [*known, *entry.bounds, *(options if kind == "corruption" else ())]
    for key in required:
        if key not in known and kind not in ("model", "claim"):
            yield f"the argument '{key}' of {statement.name} is not one of {', '.join(sorted(known))}"


def takes_runs(entry: Entry, statement: ast.FunctionDef | ast.ClassDef, required: int) -> bool:
    """Whether the function of a claim can be called with one run for each of its cells."""
    count = len(entry.options["cells"])
    more = isinstance(statement, ast.FunctionDef) and statement.args.vararg
    return required <= count and (bool(more) or count <= len(entry.arguments))
