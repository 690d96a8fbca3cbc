"""Tables and figures are registered once, and each can be shown."""

import pytest

from rethinking import registry
from rethinking.registrations import SHOWN
from rethinking.report.page import known_artefacts
from rethinking.run.code import SCRIPTS
from rethinking.run.files import UserError
from rethinking.tables.presentation import View

from ..default_config import default_config

CONFIG = default_config()
ENTRIES = [entry for kind in SHOWN for entry in registry.entries(kind)]


def test_names_are_unique_and_each_has_a_caption():
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    assert {each.name for each in known_artefacts()} == {*names, "claims"}


@pytest.mark.parametrize("script", ["aggregate_table", "plot_figure"])
def test_cells_of_tables_and_figures_are_a_section_of_the_configuration(script):
    assert set(registry.made_by(script)) <= set(CONFIG.results)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_script_makes_each(entry):
    assert (SCRIPTS / f"{entry.options['script']}.py").exists()
    assert callable(entry.resolve())
    if entry.kind == "table":
        assert isinstance(entry.call(), View)


def test_a_plug_in_has_no_tables(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "from rethinking.registry import table\n\n\n@table('mine', title='Mine')\ndef mine():\n    pass\n"
    )
    with pytest.raises(UserError, match=r"own.py:5: a plug-in cannot register a table"):
        registry.load([file])
    registry.load([])
