"""Loading a configuration: its files are read, expanded and checked before any job is planned."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.checks import (
    cell_faults,
    hidden_settings,
    label,
    named,
    nothing_changed,
    unchanged_cells,
    unused_settings,
)
from rethinking.config.configuration import Config
from rethinking.config.faults import describe, describe_pattern, key_text, place_of_origin, place_of_value, value_at
from rethinking.config.fields import checked_path
from rethinking.config.image_counts import large_batches, limit_faults
from rethinking.config.patterns import Origin, Path, expand
from rethinking.config.reading import File, read
from rethinking.entries import KINDS, TITLES, Entry
from rethinking.run.files import UserError


def load_config(values: dict[str, Any], files: list[str], log: Callable[[str], None] = lambda line: None) -> Config:
    """Expand and check a merged configuration.

    Args:
        values: the merged dictionary.
        files: the files that it was merged from, later ones over earlier ones; for messages, and for the plug-ins
            and overrides of all of them.
        log: takes a line on each setting that an override of an earlier file replaces, on each of the
            user's overrides that matches no cell, or means nothing in those that it matches, and on batches above all
            training images.

    Raises:
        UserError: a plug-in cannot be used, or one message for all faults, each with its file, its key and what
            would be right.
    """
    values = with_null(values)
    read_files = {file: read(file) for file in files}
    sources = {name: file.content for name, file in read_files.items()} | {"the command line": values}
    plugins = [file for each in all_lists("plugins", sources).values() for file in each]
    if isinstance(values.get("plugins"), list) and all(isinstance(file, str) for file in plugins):
        values["plugins"] = list(dict.fromkeys(map(plugin_path, plugins)))
        registry.load(values["plugins"])
    check_own_claims()
    check_titles()
    overrides = all_lists("overrides", sources)
    origins = [Origin(("overrides", number), entry) for each in overrides.values() for number, entry in enumerate(each)]
    expanded = expand(values, origins)
    lines = [fault for file in read_files.values() for fault in file.faults]
    for name, file in read_files.items():
        lines += [
            f"{name}{file.place(path)}: {key_text(path)}: {{}} would change nothing here; write what it takes ([] for an empty list)"
            for path in empty_sections(file.content)
            if not isinstance(value_at(path, values)[1], dict)
        ]
    config, faults = None, []
    try:
        config = Config.model_validate(expanded.values)
    except ValidationError as error:
        faults = causes(error.errors())
    # A section that is none has no cells; that it is none says it all.
    sections = [fault["loc"][0] for fault in faults if fault["type"] == "model_type"]
    lines += [
        describe_pattern(origin, message, read_files)
        for origin, message in expanded.faults
        if origin.written not in sections
    ]
    if config:
        lines += lines_on_cells(config, expanded.origins, read_files, values)
        lines += [f"{place_of_value(path, read_files, values)}: {fault}" for path, fault in limit_faults(config)]
    if config and not lines:
        config, found = without_copies(config, expanded.origins, [sources[file] for file in files[:1]])
        lines += [describe_pattern(origin, message, read_files) for origin, message in found]
        if not lines:
            for line in hidden_settings(config, sources, overrides) + large_batches(config):
                log(line)
            of_default = len(overrides.get(files[0], ())) if files else 0  # made for other cells than the user's, too
            for number, path, line in unused_settings(config, of_default):
                place = place_of_origin(origins[number], read_files, path)
                log(f"{place}: {key_text((*origins[number].path, *path))}, {line}")
            return config
    lines += [describe(fault, read_files, values, Config, expanded.origins) for fault in faults]
    # A fault in a section appears in every section that takes its cells.
    lines = list(dict.fromkeys(f"  {line}" for line in lines))
    raise UserError("\n".join(["the configuration is not valid:", *lines]))


def check_own_claims() -> None:
    """Refuse a claim of a plug-in that has the name of one of this workflow's, or a cell that cannot be.

    Raises:
        UserError: there is one; the message has file and line.
    """
    for entry in registry.entries("claim"):
        # Only here, because their measures import pandas.
        from rethinking.claims import CLAIMS
        from rethinking.claims.imagenet import IMAGENET
        from rethinking.claims.theory import THEORY_CLAIMS

        if taken := [each for each in CLAIMS + IMAGENET + THEORY_CLAIMS if each.name == entry.name]:
            raise UserError(
                f"{entry.place}: the claim '{entry.name}' is taken by this workflow's '{taken[0].statement}'; give it "
                "another name"
            )
        for name in entry.options["cells"]:
            try:
                Cell.from_name(name, seed=0)
            except UserError as error:
                raise UserError(f"{entry.place}: {error}") from None


def check_titles() -> None:
    """Refuse two entries of a kind that tables and figures would not tell apart, such as networks of one title.

    Raises:
        UserError: there are two; the message has file and line of both.
    """
    for kind in KINDS:
        found: dict[str, Entry] = {}
        for entry in registry.entries(kind):
            if kind == "corruption":
                part, text = "name", re.sub(r"\{[^}]*\}", "{}", entry.name).removesuffix("_labels")
            elif "heading" in entry.options:
                part, text = "heading", " ".join(entry.options["heading"])
            else:
                part, text = "title", entry.title
            other = found.setdefault(" ".join(text.split()), entry)
            if other is not entry:
                raise UserError(
                    f"{entry.place}: the {part} of the {TITLES.get(kind, kind)} '{entry.name}' looks in tables like that of "
                    f"'{other.name}' ({other.place}); give it another {part}"
                )


def without_copies(
    config: Config, origins: dict[Path, Origin], default: list[Any]
) -> tuple[Config, list[tuple[Origin, str]]]:
    """The configuration without cells that an ablation leaves as they are; and each 'set' of the user's with some.

    One variant of a grid can leave a cell as it is, and an ablation of the default file can be what the user's settings are.
    """
    same = [unchanged_cells(config, ablation) for ablation in config.ablations]
    written = [origins["ablations", number] for number in range(len(same))]
    found = []
    for origin, ablation in zip(written, config.ablations, strict=True):
        if not any(value_at(origin.path, each) == (True, origin.written) for each in default):
            grid = [cells for cells, other in zip(same, written, strict=True) if other is origin]
            cells = [name for name in ablation.cells if all(name in each for each in grid)]
            found += [(origin, line) for line in nothing_changed(config, ablation, cells)]
    ablations = [
        ablation.model_copy(update={"cells": [name for name in ablation.cells if name not in cells]})
        for ablation, cells in zip(config.ablations, same, strict=True)
    ]
    return config.model_copy(update={"ablations": ablations}), found


def lines_on_cells(
    config: Config, origins: dict[Path, Origin], files: dict[str, File], values: dict[str, Any]
) -> list[str]:
    """A line for each fault of cells; one for each ablation if variants alone have it."""
    entries = {ablation.name: origins["ablations", number] for number, ablation in enumerate(config.ablations)}
    lines = []
    for fault, some in cell_faults(config).items():
        found: dict[str, list[str]] = {}
        for cell, variant in some:
            place = place_of_value((), files, values)
            if all(variant for _, variant in some):
                place = f"{place_of_origin(entries[variant], files)}: {key_text(entries[variant].path)}"
            found.setdefault(place, []).append(label(cell, variant))
        lines += [f"{place}: {named(labels)}: {fault}" for place, labels in found.items()]
    return lines


def causes(faults: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The faults that pydantic found, without the keys that it misses in a section whose name is unknown."""
    unknown = [fault["loc"][:-1] for fault in faults if fault["loc"][-1:] == ("[key]",)]
    return [fault for fault in faults if fault["type"] != "missing" or fault["loc"][:-1] not in unknown]


def empty_sections(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where a file has ``{}``, which Snakemake merges with a list or number by keeping that."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from empty_sections(each, (*path, key))
        if not value:
            yield path


def with_null(value: Any) -> Any:
    """A configuration with None for each null: Snakemake reads all words of --config as text.

    Options of networks stay as they are: only the network knows whether it takes text.
    """
    if isinstance(value, dict):
        return {
            key: each if key == "architecture" and isinstance(each, dict | list) else with_null(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [with_null(each) for each in value]
    return None if value == "null" else value


def plugin_path(text: str) -> str:
    """A path as all others of a configuration; its plug-in is needed before they are checked."""
    try:
        return checked_path(text)
    except ValueError as error:
        raise UserError(f"plugins: '{text}': {error}") from None


def all_lists(key: str, sources: dict[str, Any]) -> dict[str, list[Any]]:
    """The lists of a key in all sources in order, by source; a merge would keep only the last.

    What the command line does not set is the last file's.
    """
    *files, (command_line, values) = sources.items()
    lists = {name: each[key] for name, each in files if isinstance(each, dict) and key in each}
    if values.get(key) not in list(lists.values())[-1:]:
        lists[command_line] = values.get(key)
    return {name: each for name, each in lists.items() if isinstance(each, list)}
