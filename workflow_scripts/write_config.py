"""Write config.yaml and its JSON schema from the typed models and the default values."""

import argparse
import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from rethinking.config.defaults import default_values, evidence
from rethinking.config.loading import Config
from rethinking.run import scripts
from rethinking.run.files import write_text

HEADER = """\
# yaml-language-server: $schema=rules/config.schema.json
# The paper's experiments at full scale. Other configurations state what they change:
#     snakemake --configfile mine.yaml
# Labels: stated = in the paper's text, inferred = follows from its figures, counts or software,
# guessed = left open by the paper.
"""


def annotated_yaml() -> str:
    """The default configuration with each key's description and evidence as comments."""
    lines: list[str] = [HEADER]
    write_section(lines, Config, default_values(), (), set())
    return "\n".join(lines) + "\n"


def write_section(
    lines: list[str],
    model: type[BaseModel],
    values: dict[str, Any],
    path: tuple[str | int, ...],
    seen: set[str],
) -> None:
    """Append the lines of one section; a description stands at the first place that shows it."""
    indent = "  " * len(path)
    for key, value in values.items():
        field = model.model_fields[key]
        if (mark := f"{model.__name__}.{key}") not in seen and field.description:
            seen.add(mark)
            lines.append(f"{indent}# {field.description}")
        if isinstance(value, dict):
            lines.append(f"{indent}{key}:")
            inner = element_model(field.annotation)
            if inner is field.annotation:
                write_section(lines, inner, value, (*path, key), seen)
            else:  # a section of named entries of one kind
                for name, entry in value.items():
                    if isinstance(entry, dict):
                        lines.append(f"{indent}  {name}:")
                        write_section(lines, inner, entry, (*path, key, name), seen)
                    else:
                        lines.append(scalar_line((*path, key, name), entry))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines.append(f"{indent}{key}:")
            for number, entry in enumerate(value):
                start = len(lines)
                write_section(lines, element_model(field.annotation), entry, (*path, key, number), seen)
                # The dash belongs to the entry's first key; that key's description stands above it.
                first = next(i for i in range(start, len(lines)) if lines[i].strip()[0] != "#")
                lines[start:first] = [line.removeprefix("  ") for line in lines[start:first]]
                lines[first] = f"{indent}  - {lines[first].lstrip()}"
        elif isinstance(value, list) and value and isinstance(value[0], str):
            lines.append(f"{indent}{key}:")
            lines += [f"{indent}  - {item}" for item in value]
        else:
            lines.append(scalar_line((*path, key), value))
    for key, field in model.model_fields.items():
        if key not in values and (mark := f"{model.__name__}.{key}") not in seen and field.description:
            seen.add(mark)
            lines += [
                f"{indent}# {field.description}",
                f"{indent}# {key}: {yaml.safe_dump(field.default).split()[0]}",
            ]


def scalar_line(path: tuple[str | int, ...], value: Any) -> str:
    """The line of one value, with the evidence for it."""
    label = evidence().get(path)
    note = f"  # {label.status}: {label.evidence}" if label else ""
    scalar = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return f"{'  ' * (len(path) - 1)}{path[-1]}: {scalar}{note}"


def element_model(annotation: Any) -> type[BaseModel]:
    """A section's model itself, or the model of a dictionary's or a list's entries."""
    return annotation.__args__[-1] if hasattr(annotation, "__args__") else annotation


def schema_json() -> str:
    """The JSON schema of the configuration."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("config.yaml"))
    parser.add_argument("--schema", type=Path, default=Path("rules/config.schema.json"))
    args = parser.parse_args()
    write_text(args.config, annotated_yaml())
    write_text(args.schema, schema_json())


if __name__ == "__main__":
    scripts.run(main)
