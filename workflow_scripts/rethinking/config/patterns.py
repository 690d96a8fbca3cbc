"""From the short form of a configuration to single cells and variants, before the typed models check it.

- Braces contain alternatives and ranges (``labels_p{0.0..1.0..0.1}``). The first brace varies fastest, so that the
  cells of one network are adjacent: ``{true,random}_labels/{alexnet,mlp_1x512}`` is AlexNet twice, then the MLP twice.
- The name of a section with cells stands for those of them that are not listed yet.
- An ablation with a ``grid`` becomes one variant for each combination of its values (the first setting varies
  fastest), with a name made from them.

Each cell and variant remembers where and how it was written, for messages.
"""

import itertools
import math
import re
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

from rethinking.cells import NAME_FORM, canonical_name
from rethinking.run.files import did_you_mean

Path = tuple[str | int, ...]
_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})(?:\.\.({_NUMBER}))?")
_LONGEST = 10_000  # names of one pattern, so that a typing error in a range does not fill memory


class Origin(NamedTuple):
    """How a cell or variant was written, and where in its configuration file."""

    path: Path
    written: Any


class Expanded(NamedTuple):
    """A configuration without patterns, the origins of its cells and variants, and (origin, message) of each fault."""

    values: dict[str, Any]
    origins: dict[Path, Origin]
    faults: list[tuple[Origin, str]]


def expand_braces(pattern: str) -> list[str]:
    """The names that a pattern stands for.

    Raises:
        ValueError: a brace has no partner, a range is wrong, or there are too many names.
    """
    parts = re.split(r"\{([^{}]*)\}", pattern)
    if re.search("[{}]", "".join(parts[::2])):
        raise ValueError("a brace has no partner, or is inside other braces")
    choices = [
        [value for text in part.split(",") for value in expand_range(text.strip())] if number % 2 else [part]
        for number, part in enumerate(parts)
    ]
    if math.prod(map(len, choices)) > _LONGEST:
        raise ValueError(f"stands for more than {_LONGEST} names")
    return ["".join(reversed(name)) for name in itertools.product(*reversed(choices))]


def expand_range(text: str) -> list[str]:
    """``0.0..0.4..0.2`` as 0.0, 0.2, 0.4; ``1..3`` as 1, 2, 3; all other text as itself."""
    match = _RANGE.fullmatch(text)
    if not match:
        return [text]
    if match[3] is None and "." in match[1] + match[2]:
        raise ValueError(f"the range '{text}' needs a step, as in 0.0..1.0..0.1")
    first, last, step = (Decimal(number or 1) for number in match.groups())
    if step <= 0 or last < first:
        raise ValueError(f"the range '{text}' must go up, by a step above 0")
    count = int((last - first) / step) + 1
    if count > _LONGEST:
        raise ValueError(f"the range '{text}' has more than {_LONGEST} numbers")
    numbers = [first + step * number for number in range(count)]
    if "." not in text.replace("..", ""):
        return list(map(str, numbers))
    # Cells write 0.5 and 1.0, not 0.50 and 1, nor 1e-05.
    return [f"{number.normalize():f}" + (".0" if number == int(number) else "") for number in numbers]


def expand(values: dict[str, Any], overrides: list[Origin]) -> Expanded:
    """Expand all cells of a configuration. Values of the wrong type are left for the typed models to refuse.

    Args:
        values: the configuration.
        overrides: its overrides, each with its place in its own file.
    """
    values = dict(values)
    cells = _Cells(values)
    for name in cells.sections:
        values[name] = {**values[name], "cells": cells.of_section(name)}
    if isinstance(values.get("ablations"), list):
        written = [Origin(("ablations", number), entry) for number, entry in enumerate(values["ablations"])]
        variants = [(variant, origin) for origin in written for variant in cells.variants(origin)]
        values["ablations"] = cells.of_entries("ablations", variants)
    if isinstance(values.get("overrides"), list):
        values["overrides"] = cells.of_entries("overrides", [(each.written, each) for each in overrides])
    return Expanded(values, cells.origins, cells.faults)


class _Cells:
    """Expands lists of cells, and notes origins and faults on the way."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.sections = {
            name: section["cells"]
            for name, section in values.items()
            if isinstance(section, dict) and "cells" in section
        }
        self.others = set(values) - set(self.sections)
        self.done: dict[str, Any] = {}
        self.pending: list[str] = []  # sections that are being expanded, each named by the one before
        self.origins: dict[Path, Origin] = {}
        self.faults: list[tuple[Origin, str]] = []

    def of_section(self, name: str) -> Any:
        """The cells of a table or figure."""
        if name not in self.done:
            self.pending.append(name)
            path = (name, "cells")
            self.done[name] = self.expand(self.sections[name], path, path)
            self.pending.pop()
        return self.done[name]

    def of_entries(self, section: str, entries: list[tuple[Any, Origin]]) -> list[Any]:
        """Entries of a list, each a dictionary with cells and the origin of the whole entry."""
        expanded = []
        for number, (entry, origin) in enumerate(entries):
            path = (section, number)
            self.origins[path] = origin
            if isinstance(entry, dict) and "cells" in entry:
                cells = self.expand(entry["cells"], (*path, "cells"), (*origin.path, "cells"))
                entry = {**entry, "cells": cells}
            expanded.append(entry)
        return expanded

    def expand(self, written: Any, path: Path, source: Path) -> Any:
        """The names that a value of ``cells`` stands for.

        Args:
            written: a pattern or a list of patterns.
            path: the place of the names in the expanded configuration.
            source: where they are written.
        """
        if not isinstance(written, str | list):
            return written
        names, canonical = [], set()
        for number, entry in enumerate([written] if isinstance(written, str) else written):
            origin = Origin(source if isinstance(written, str) else (*source, number), entry)
            for name, name_origin in self.named_by(origin):
                if (key := canonical_name(str(name))) in canonical:
                    if name_origin is origin:  # a section adds the cells that are not listed yet
                        self.faults.append((origin, f"cell '{key}' is listed twice"))
                    continue
                canonical.add(key)
                self.origins[(*path, len(names))] = name_origin
                names.append(name)
        return names

    def named_by(self, origin: Origin) -> list[tuple[Any, Origin]]:
        """The cells of one entry of a list, each with its origin."""
        entry = origin.written
        if not isinstance(entry, str):
            return [(entry, origin)]
        if "/" in entry:
            try:
                return [(name, origin) for name in expand_braces(entry)]
            except ValueError as error:
                self.faults.append((origin, str(error)))
        elif entry in self.others:
            self.faults.append((origin, "this section has no cells"))
        elif entry not in self.sections:
            hint = did_you_mean(entry, self.sections)
            self.faults.append((origin, f"no section with cells has this name; {hint}cells have the form {NAME_FORM}"))
        elif entry in self.pending:
            self.faults.append((origin, f"goes in a circle: {' -> '.join([*self.pending, entry])}"))
        elif isinstance(names := self.of_section(entry), list):
            return [(name, self.origins[entry, "cells", number]) for number, name in enumerate(names)]
        return []

    def variants(self, origin: Origin) -> list[Any]:
        """The variants of an ablation: itself, or one for each combination of the values of its grid."""
        entry = origin.written
        grid = entry.get("grid") if isinstance(entry, dict) else None
        fixed = entry.get("set", {}) if grid else None
        if not isinstance(fixed, dict) or not is_grid(grid):
            return [entry]
        if both := [key for key in grid if key in fixed]:
            self.faults.append((origin, f"'set' and 'grid' both name {both[0]}; leave it in one of them"))
            return []
        variants = []
        for values in itertools.product(*reversed(grid.values())):
            settings = fixed | dict(zip(reversed(grid), values, strict=True))
            variant = {key: value for key, value in entry.items() if key != "grid"} | {"set": settings}
            if isinstance(entry.get("name"), str):
                try:
                    variant["name"] = entry["name"].format(**in_names(settings))
                except (AttributeError, LookupError, TypeError, ValueError):
                    form = ", ".join(
                        f"{{{key}[{option}]}}" if option else f"{{{key}}}"
                        for key, value in settings.items()
                        for option in (value if isinstance(value, dict) else [""])
                    )
                    message = f"the name '{entry['name']}' cannot be made from its values; it can hold {form}"
                    self.faults.append((origin, message))
                    return []
            variants.append(variant)
        return variants


class Joined(list):
    """A list that a name can hold: 16-32."""

    def __format__(self, form: str) -> str:
        return "-".join(format(each, form) for each in self)


class Text(str):
    """A text that a name can hold; of a number, as ``{learning_rate:g}`` asks for one.

    ``--config`` passes numbers as text, and PyYAML takes 1e-3 for text.
    """

    def __format__(self, form: str) -> str:
        for kind in (int, float, whole) if form else ():
            with suppress(ValueError):
                return format(kind(self), form)
        return super().__format__(form)


def whole(text: str) -> int:
    """The whole number that 1e2 is. As a setting it is refused later on, with the number to write.

    Raises:
        ValueError: the text is no number, or not a whole one.
    """
    number = float(text)
    if not number.is_integer():
        raise ValueError
    return int(number)


def in_names(value: Any) -> Any:
    """Settings as the names of variants hold them."""
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, dict):
        return {key: in_names(each) for key, each in value.items()}
    if isinstance(value, list):
        return Joined(map(in_names, value))
    return "null" if value is None else value  # as the command line writes it


def is_grid(grid: Any) -> bool:
    """Whether each setting has a list of values."""
    return isinstance(grid, dict) and all(isinstance(values, list) and values for values in grid.values())
