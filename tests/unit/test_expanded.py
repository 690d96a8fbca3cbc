"""What the configurations of this repository mean: their cells in order, and the settings of each.

``expanded.json`` holds it as it was when cells were still listed one by one, settings as digests. After a change that
is meant, write it again with ``python tests/unit/test_expanded.py``.
"""

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from rethinking.cells import Cell
from rethinking.config.loading import load_config

ROOT = Path(__file__).parents[2]
FIXTURE = Path(__file__).with_name("expanded.json")
CONFIGS = [
    "config.yaml",
    "profiles/demo/experiment.yaml",
    "docs/examples/course.yaml",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("results/reference/*/*.yaml")),
]


def load_merged(name):
    """A configuration over config.yaml, merged as Snakemake does it."""
    files = [ROOT / "config.yaml", *([ROOT / name] if name != "config.yaml" else [])]
    values = {}
    for file in files:
        update_config(values, yaml.safe_load(file.read_text()))
    return load_config(values, [str(file) for file in files])


def expand(config):
    """Sections and ablations -> cells in order -> digest of the cell's settings; and all other values."""

    def digest(name, variant=None):
        settings = config.settings(Cell.from_name(name, seed=0), variant).model_dump(mode="json")
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]

    cells = {
        result: {name: digest(name) for name in getattr(config, result).cells} for result in config.results
    }
    ablations = {
        f"{each.name}: {each.question}": {name: digest(name, each.name) for name in each.cells}
        for each in config.ablations
    }
    rest = config.model_dump(mode="json", exclude={"overrides", "ablations", "plugins"})
    for result in config.results:
        del rest[result]["cells"]
    return {"cells": cells, "ablations": ablations, "rest": rest}


@pytest.mark.parametrize("name", CONFIGS)
def test_cells_and_settings_are_those_of_the_fixture(name):
    expected = json.loads(FIXTURE.read_text())[name]
    found = expand(load_merged(name))
    assert found == expected
    for part in ("cells", "ablations"):  # the order counts too, which == ignores
        assert json.dumps(found[part]) == json.dumps(expected[part])


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(expand(load_merged(name)))}" for name in CONFIGS]
    FIXTURE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
