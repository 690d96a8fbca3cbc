"""Tables and figures are registered once, and each can be shown."""

import re
from pathlib import Path

import pytest

import aggregate_table
from rethinking import registry
from rethinking.analysis import theory_results
from rethinking.claims import CLAIMS, REGULARISERS
from rethinking.claims.theory import THEORY_CLAIMS
from rethinking.entries import ARTEFACTS
from rethinking.report.layout import FINDING, section_of_claim, sections
from rethinking.run.code import SCRIPTS
from rethinking.tables.presentation import View
from rethinking.training.results import MEMORISATION_COLUMNS

from ..default_config import default_config
from .tiny import COLUMNS as CURVE_COLUMNS

ROOT = Path(__file__).parents[2]
CONFIG = default_config()
ENTRIES = [entry for kind in ARTEFACTS for entry in registry.entries(kind)]


def test_names_are_unique_and_each_has_its_place_in_the_report():
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    places = [FINDING, *(each.entry.name for section in sections() for each in section.shown)]
    assert len(set(places)) == len(places)
    assert set(names) - set(places) == set(), "give it a place in report/layout.yaml"


def test_claims_stand_in_the_section_of_their_source():
    headings = {section_of_claim(claim.source) for claim in (*CLAIMS, *THEORY_CLAIMS)}
    assert headings == {section.heading for section in sections()} - {"ImageNet"}
    assert section_of_claim("section 3, table 1").startswith("Section 3")
    misplaced = [claim.name for claim in REGULARISERS if not section_of_claim(claim.source).startswith("Section 3")]
    assert misplaced == []
    assert section_of_claim("own") == "Own claims"


def test_what_is_said_of_measures_cites_where_the_paper_names_norms():
    cited = [entry.name for entry in registry.entries("measure") if entry.options["source"] == "Neyshabur et al. 2015"]
    assert cited == ["frobenius_product", "path_norm"]
    (source,) = (claim.source for claim in CLAIMS if claim.name == "no_measure_explains_the_gap")
    (note,) = (each.note for part in sections() for each in part.shown if each.entry.name == "complexity")
    assert all("section 2.2" in text for text in (source, note))


@pytest.mark.parametrize("script", ["aggregate_table", "plot_figure"])
def test_cells_of_tables_and_figures_are_a_section_of_the_configuration(script):
    missing = set(registry.made_by(script)) - set(CONFIG.results)
    assert missing == set(), "give it a section in config/configuration.py and config.yaml"


@pytest.mark.parametrize(
    ("script", "tables"),
    [("aggregate_table", aggregate_table.TABLES), ("tabulate_theory", theory_results.TABLES)],
)
def test_a_script_can_make_the_tables_that_name_it(script, tables):
    missing = set(registry.made_by(script)) - set(tables)
    assert missing == set(), f"give it an entry in TABLES, from which {script}.py makes its numbers"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_a_script_makes_each(entry):
    assert (SCRIPTS / f"{entry.options['script']}.py").exists()
    assert callable(entry.resolve())
    if entry.kind == "table":
        assert isinstance(entry.call(), View)


@pytest.mark.parametrize("kind", ["dataset", "corruption", "model", "regulariser"])
def test_every_part_of_a_cell_is_named_in_the_settings_or_the_data(kind):
    named = re.findall(
        r"`([^`\n]+)`", "".join((ROOT / "docs" / page).read_text() for page in ("settings.md", "data.md"))
    )
    missing = [entry.name for entry in registry.entries(kind) if not any(map(entry.form.fullmatch, named))]
    assert missing == [], "name it in docs/settings.md or docs/data.md"


def test_every_table_and_figure_is_named_in_the_results():
    page = (ROOT / "docs/results.md").read_text()
    missing = [entry.name for entry in ENTRIES if f"`{entry.name}`" not in page]
    assert missing == [], "name it in docs/results.md"


def test_every_column_of_a_table_is_explained():
    """In docs/results.md, where the table is or in one that it refers to.

    Intervals, the paper's numbers and the parts of a cell are explained for all; measures have their titles.
    """
    parts = re.split(r"\n(?=\*\*|## )", (ROOT / "docs/results.md").read_text())

    def words(beginnings, names=()):
        chosen = [each for each in parts if each.startswith(beginnings) or any(f"`{name}`" in each for name in names)]
        return set(re.findall(r"`([\w.]+)`", "\n".join(chosen)))

    general = words(("## Columns", "**Tables of accuracies**")) | set(registry.names("measure"))
    tables = [(f"{entry.name}.csv", entry.call().columns) for entry in registry.entries("table")]
    for file in (ROOT / "results/reference").glob("*/*.csv"):
        tables.append((file.name, file.read_text().partition("\n")[0].split(",")))
    tables += [("curve.csv", CURVE_COLUMNS.split(",")), ("memorisation.csv", MEMORISATION_COLUMNS)]
    unexplained = {}
    for name, columns in tables:
        files = {each for each in words((), [name]) if each.endswith(".csv")}
        explained = general | words((), files)
        stems = {each: re.sub(r"^(paper_|default_)|(_(ci|low|high|pairs|top5))+$", "", each) for each in columns}
        if missing := [each for each, stem in stems.items() if not {each, stem} & explained]:
            unexplained[name] = missing
    assert unexplained == {}, "explain them in docs/results.md"
