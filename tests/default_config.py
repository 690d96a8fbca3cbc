"""config.yaml as tests use it."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.config.configuration import Config
from rethinking.config.loading import load_config

FILE = Path(__file__).parents[1] / "config.yaml"
CELL = "cifar10/true_labels/alexnet/none"


def default_values() -> dict[str, Any]:
    """Its values as written; a new copy at each call."""
    return copy.deepcopy(read())


@cache
def read() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())


def default_config() -> Config:
    """The configuration that it describes."""
    return load_config(default_values(), [str(FILE)])


def load_merged(name: str) -> Config:
    """A configuration of this repository over the default one, merged as Snakemake does it."""
    from snakemake.utils import update_config  # tests that need a GPU run without Snakemake

    file, values = FILE.parent / name, default_values()
    update_config(values, yaml.safe_load(file.read_text()))
    return load_config(values, [str(FILE), str(file)])


def with_keys(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Set dotted keys in a nested dictionary, which is returned."""
    for key, value in changes.items():
        *sections, last = key.split(".")
        node = values
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
    return values


def load(**changes: Any) -> Config:
    """The default configuration with some keys changed; dots are written as two underscores."""
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return load_config(with_keys(default_values(), changes), [])


def settings(config: Config, name: str, variant: str | None = None) -> CellSettings:
    """The settings of a cell's first seed."""
    return config.settings(Cell.from_name(name, seed=0), variant)


def override(pattern: str, **values: Any) -> dict[str, Any]:
    """An entry of ``overrides``."""
    return {"cells": pattern, "set": values}


def ablation(**values: Any) -> dict[str, Any]:
    """An entry of ``ablations``, of this one cell."""
    return {"name": "x", "question": "?", "cells": [CELL], "set": values}
