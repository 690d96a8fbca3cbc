"""What the paper's, the demo's and the course's configuration mean: their cells in order, and the settings of each.

``expanded.json`` holds it, settings as digests. After a change that is meant, write it again: ``make expanded``.
"""

import hashlib
import json
from pathlib import Path

import pytest

from rethinking.cells import Cell

from ..default_config import load_merged

ROOT = Path(__file__).parents[2]
FIXTURE = Path(__file__).with_name("expanded.json")
CONFIGS = ["config.yaml", "profiles/demo/experiment.yaml", "docs/examples/course.yaml"]
KEPT = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("results/reference/*/*.yaml"))
SHOWN = 20  # changes in a message


def expand(config):
    """Sections and ablations -> cells in order -> digest of the cell's settings; and all other values."""

    def digest(name, variant=None):
        settings = config.settings(Cell.from_name(name, seed=0), variant).model_dump(mode="json")
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]

    cells = {result: {name: digest(name) for name in getattr(config, result).cells} for result in config.results}
    ablations = {
        f"{each.name}: {each.question}": {name: digest(name, each.name) for name in each.cells}
        for each in config.ablations
    }
    rest = config.model_dump(mode="json", exclude={"overrides", "ablations", "plugins"})
    for result in config.results:
        del rest[result]["cells"]
    return {"cells": cells, "ablations": ablations, "rest": rest}


def changes(old, new, path=""):
    """The places in nested dictionaries at which two differ, also in the order of what both have."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [f"{path}: {old} -> {new}"]
    found = [f"{path}/{key}: gone" for key in old if key not in new]
    found += [f"{path}/{key}: new" for key in new if key not in old]
    both = [key for key in old if key in new]
    if both != [key for key in new if key in old]:
        found.append(f"{path}: in another order")
    return found + [line for key in both for line in changes(old[key], new[key], f"{path}/{key}")]


def test_cells_and_settings_are_those_of_the_fixture():
    expected, where = json.loads(FIXTURE.read_text()), {}
    for name in CONFIGS:
        for line in changes(expected.get(name), expand(load_merged(name))):
            where.setdefault(line, []).append(name)
    # The values themselves come first, then what follows from them for each cell.
    lines = [
        f"{line} ({len(where[line])} of {len(CONFIGS)} configurations, such as {where[line][0]})"
        for line in sorted(where, key=lambda line: not line.startswith("/rest"))
    ]
    if lines:
        more = [f"... and {len(lines) - SHOWN} more"] if lines[SHOWN:] else []
        pytest.fail("\n".join([*lines[:SHOWN], *more, "If all of this is meant, run 'make expanded'"]), pytrace=False)


@pytest.mark.parametrize("name", KEPT)
def test_configurations_of_kept_results_can_still_be_read(name):
    assert any(load_merged(name).cell_names(result) for result in load_merged(name).results)


if __name__ == "__main__":
    found = {name: expand(load_merged(name)) for name in CONFIGS}
    FIXTURE.write_text(json.dumps(found, indent=1) + "\n")
