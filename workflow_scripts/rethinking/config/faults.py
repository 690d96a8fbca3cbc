"""Messages for a configuration that is not valid: the file, the key and what would be right."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel


def describe(fault: dict[str, Any], files: list[str], config: type[BaseModel]) -> str:
    """One line for one fault that pydantic found.

    Args:
        fault: an entry of ``ValidationError.errors()``.
        files: the configuration files, later ones over earlier ones.
        config: the model of the whole configuration.
    """
    # pydantic marks a dictionary's key with '[key]' behind the key itself.
    path = [part for part in fault["loc"] if part != "[key]"]
    key = ".".join(str(part) for part in path)
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] in ("extra_forbidden", "literal_error") and path:
        names = allowed_names(path, fault, config)
        near = difflib.get_close_matches(
            str(path[-1] if fault["type"] == "extra_forbidden" else fault["input"]), names, 1
        )
        hint = f"did you mean '{near[0]}'? " if near else ""
        if fault["type"] == "extra_forbidden":
            message = f"unknown key; {hint}known here: {', '.join(names)}"
        else:
            message = f"unknown value '{fault['input']}'; {hint}known: {', '.join(names)}"
    elif fault["type"] != "value_error" and fault["type"] != "missing":
        message += f", not {fault['input']!r}"
    return f"{origin(path, files, fault)}: {key + ': ' if key else ''}{message}"


def allowed_names(path: list[Any], fault: dict[str, Any], config: type[BaseModel]) -> list[str]:
    """The keys or values that would have been right at a fault's place."""
    if fault["type"] == "literal_error":
        return [name.strip("'") for name in fault["ctx"]["expected"].replace(" or ", ", ").split(", ")]
    model: Any = config
    for part in path[:-1]:
        if isinstance(part, str) and isinstance(model, type) and part in getattr(model, "model_fields", {}):
            model = model.model_fields[part].annotation
            # dict[..., Model] and list[Model] lead to their element.
            model = model.__args__[-1] if hasattr(model, "__args__") else model
    return list(getattr(model, "model_fields", {}))


def origin(path: list[Any], files: list[str], fault: dict[str, Any]) -> str:
    """The last file that sets a faulty value (or, where it is missing, its section); ``--config`` if none does."""
    missing = fault["type"] == "missing"
    for file in reversed(files):
        try:
            node = yaml.safe_load(Path(file).read_text())
            for part in path[:-1] if missing else path:
                node = node[part]
        except (OSError, yaml.YAMLError, LookupError, TypeError):
            continue
        if isinstance(node, dict) or "[key]" in fault["loc"] or node == fault["input"]:
            return file
    return "--config"
