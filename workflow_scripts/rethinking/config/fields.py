"""Types and checks that all sections share."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from rethinking import registry
from rethinking.run.files import UserError

# How users may write cells. The models see them after config/patterns.py has expanded them.
PATTERNS = WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
# Bytes of a file or folder. Most file systems take 255, and temporary files have longer names.
LONGEST_NAME = 200


def repeated(values: Iterable[Any]) -> list[Any]:
    """Those that are there more than once."""
    return [value for value, times in Counter(values).items() if times > 1]


def unless(default: Any, *, description: str, **bounds: Any) -> Any:
    """A field that is written only where it differs from its default.

    So the settings in earlier records stay the same where one that is added later has its default.
    """
    return Field(default, description=description, exclude_if=lambda value: value == default, **bounds)


class Strict(BaseModel):
    """A model that refuses unknown keys. Numbers may be text, because ``--config`` passes them as text."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def truth_values_are_no_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where pydantic would take them as 1 and 0."""
        wanted = cls.model_fields[info.field_name].annotation
        if wanted is not bool and any(
            isinstance(each, bool) for each in (value if isinstance(value, list) else [value])
        ):
            raise ValueError(
                f"true, false, yes, no, on and off without quotes are truth values, not what {info.field_name} takes"
            )
        return value

    @field_validator("*")
    @classmethod
    def nothing_is_listed_twice(cls, value: Any) -> Any:
        """Refuse the same value twice in a list: seeds would make intervals too narrow, others repeat a row or a run."""
        if isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
            for each in repeated(value):
                raise ValueError(f"{value} names {each!r} twice")
        return value


def checked_path(text: str) -> str:
    """A path with ``~`` as the home folder, and variables such as ``$SCRATCH`` as their values.

    Raises:
        ValueError: it is empty or too long, holds what Snakemake or the shell would take for something else, or is not UTF-8.
    """
    if not text.strip():
        raise ValueError("the path is empty; leave the key out, or give one")
    expanded = os.path.expandvars(os.path.expanduser(text))
    if variable := re.search(r"\$(\w+|\{\w+\})", expanded):
        raise ValueError(f"the variable {variable[0]} is not set")
    if found := sorted(set(expanded) & set("{}\n\r\0")):
        raise ValueError(
            f"the path holds {', '.join(map(repr, found))}; Snakemake takes braces for wildcards; rename it"
        )
    if re.search("[\ud800-\udfff]", expanded):  # as which Python reads other bytes
        raise ValueError(f"the path {expanded!a} is not UTF-8, and Snakemake takes no other; rename it")
    if expanded.startswith("~"):
        raise ValueError(f"there is no home folder of the user '{text[1:].split('/')[0]}'")
    path = os.path.normpath(expanded)  # ./results/ is results
    if path.startswith("-") or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.split("/")):
        raise ValueError("a name in the path begins with '-', or is too long for a file system; rename it")
    return path


PathText = Annotated[str, AfterValidator(checked_path)]
Seeds = list[Annotated[int, Field(ge=0, lt=2**63)]]  # pandas reads them from tables as 64 bits


def as_value_error(check: Callable[..., object], *arguments: Any, **named: Any) -> None:
    """Call a check; its UserError becomes the ValueError that pydantic reports with file and key."""
    try:
        check(*arguments, **named)
    except UserError as error:
        raise ValueError(str(error)) from error


def registered(kind: str) -> Any:
    """The type of a registered name."""

    def check(name: str) -> str:
        if registry.find(kind, name) is None:
            raise ValueError(registry.unknown(kind, name))
        return name

    # Editors offer the examples of the JSON schema.
    offer = Field(json_schema_extra=lambda schema: schema.update(examples=registry.names(kind)))
    return Annotated[str, AfterValidator(check), offer]
