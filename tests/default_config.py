"""config.yaml as tests use it."""

from pathlib import Path
from typing import Any

import yaml

from rethinking.config.loading import Config, load_config

FILE = Path(__file__).parents[1] / "config.yaml"


def default_values() -> dict[str, Any]:
    """Its values as written; a new copy at each call."""
    return yaml.safe_load(FILE.read_text())


def default_config() -> Config:
    """The configuration that it describes."""
    return load_config(default_values(), [str(FILE)])
