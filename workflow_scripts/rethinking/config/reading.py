"""Configuration files as they are written: their contents, and the line of each key."""

import json
import re
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import yaml

from rethinking.config.patterns import Path

# Ten times as fast where PyYAML was built with libyaml, as it is on PyPI
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What YAML takes for octal or for hours, minutes and seconds.
ODD_NUMBER = re.compile(r"[-+]?(0[0-7_]+|[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")


class File(NamedTuple):
    """A configuration file: its content, the line of each key and entry, and the faults in how it is written."""

    content: Any
    lines: dict[Path, int]
    faults: list[str]

    def place(self, path: Path) -> str:
        """The line of a value, or of the section around it, as ``:12``; empty if it is unknown."""
        known = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self.lines), None)
        return f":{self.lines[known]}" if known else ""


def read(file: str) -> File:
    """Read a configuration file. One that is missing or not YAML is empty; Snakemake has refused it already."""
    try:
        text = FilePath(file).read_text(encoding="utf-8")
        # As Snakemake reads it: JSON, which can contain tabs, then YAML.
        try:
            content = json.loads(text)
        except ValueError:
            content = yaml.load(text, LOADER)
        node = yaml.compose(text.expandtabs(), LOADER)
    except (OSError, ValueError, yaml.YAMLError):
        return File({}, {}, [])
    lines: dict[Path, int] = {}
    faults: list[str] = []

    def walk(node: yaml.Node | None, path: Path) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                place, line = (*path, key.value), key.start_mark.line + 1
                if place in lines and key.value != "<<":
                    text = ".".join(map(str, place))
                    faults.append(
                        f"{file}:{line}: {text} stands a second time, first in line {lines[place]}; the first would "
                        "not count: put all its keys into one"
                    )
                lines[place] = line
                walk(value, place)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                lines[(*path, number)] = value.start_mark.line + 1
                walk(value, (*path, number))
        elif isinstance(node, yaml.ScalarNode) and ODD_NUMBER.fullmatch(node.value) and not node.style:
            value = yaml.safe_load(node.value)
            faults.append(
                f"{file}:{node.start_mark.line + 1}: {'.'.join(map(str, path))}: {node.value} is {value!r} in YAML, which counts "
                f"by 8 or 60 here; write {value!r}, or the number that you mean"
            )

    walk(node, ())
    return File(content if content is not None else {}, lines, faults)
