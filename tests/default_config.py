"""config.yaml as tests use it."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rethinking.config.configuration import Config
from rethinking.config.loading import load_config

FILE = Path(__file__).parents[1] / "config.yaml"


def default_values() -> dict[str, Any]:
    """Its values as written; a new copy at each call."""
    return copy.deepcopy(read())


@cache
def read() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())


def default_config() -> Config:
    """The configuration that it describes."""
    return load_config(default_values(), [str(FILE)])
