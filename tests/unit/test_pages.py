"""What the pages say of the code and of the kept results is so: configurations, links, counts, table 1 of README.md."""

import re
from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from rethinking.claims import CLAIMS
from rethinking.claims.imagenet import IMAGENET
from rethinking.claims.theory import THEORY_CLAIMS
from rethinking.config.loading import load_config
from rethinking.figures.fig1b import SHOWN

from ..default_config import default_config, default_values, load_merged

ROOT = Path(__file__).parents[2]
README, RESULTS, KEPT = (ROOT / name for name in ("README.md", "docs/results.md", "results/reference/README.md"))
PAGES = [README, KEPT, *sorted(RESULTS.parent.glob("*.md"))]
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
BLOCKS = {
    f"{page.relative_to(ROOT)} {number}": block
    for page in PAGES
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL))
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.usefixtures("plugins")  # which some load
def test_configurations_are_valid(tmp_path, monkeypatch, block):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / "my_study.py").symlink_to(ROOT / "docs/examples/l1_norm.py")
    values = default_values()
    update_config(values, yaml.safe_load(block))
    load_config(values, [])


@EACH_PAGE
def test_links_lead_to_files_and_headings(page):
    for link in re.findall(r"\]\((?!http)(.*?)\)", page.read_text()):
        file, _, heading = link.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), link
        if heading:
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            assert heading in [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings], link


@EACH_PAGE
def test_commands_name_targets_and_files_that_there_are(page):
    commands = re.findall(r"(?:^ {4}|`)snakemake ([^`\n#]*)", page.read_text(), re.MULTILINE)
    words = {word for command in commands for word in command.split()}
    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    rules = {rule for file in files for rule in re.findall(r"^ *rule (\w+):", file.read_text(), re.MULTILINE)}
    assert {word for word in words if word.isidentifier()} <= rules
    here = {word for word in words if word.startswith(("docs/", "profiles/", "results/reference/"))}
    assert [word for word in here if not (ROOT / word).exists()] == []


def test_networks_and_claims_are_counted_right():
    full, demo = default_config(), load_merged("profiles/demo/experiment.yaml")
    one_seed = len(full.cells(*full.results)) // len(full.seeds)
    assert f"{one_seed} networks for each of three seeds" in README.read_text()
    trained = len({*demo.cells(*demo.results), *demo.ablated_cells()}) + len(demo.variants())
    assert f"trains {trained} networks" in README.read_text()
    sources = [claim.source for claim in (*CLAIMS, *IMAGENET, *THEORY_CLAIMS)]
    findings, beyond = (
        sum(source.startswith(word) for source in sources) for word in ("finding on", "beyond the paper")
    )
    of_paper = len(sources) - findings - beyond
    for count in (
        f"{len(sources)} statements, {of_paper} of the paper, {findings} on its own numbers and {beyond} beyond it,",
        f"{len(THEORY_CLAIMS)} statements on",
        f"{len(CLAIMS)} on CIFAR-10",
    ):
        assert count in RESULTS.read_text()


def test_readme_has_table1_as_it_was_measured():
    def rows(page):
        lines = re.findall(r"^\| (.*) \|$", page.read_text(), re.MULTILINE)
        return [[field.strip() for field in line.split("|")] for line in lines]

    (_, *shown) = (row for row in rows(README) if len(row) == 8)  # a heading in other words
    (_, *measured) = rows(KEPT.parent / "cifar10/table1.md")
    assert shown[1:] == [[model, *rest] for model, _parameters, *rest in measured]


def test_the_course_names_a_row_of_figure_1b():
    rows = re.findall(r"`threshold` `(.*?)`", (ROOT / "docs/course.md").read_text())
    assert rows
    assert {*rows} <= {*SHOWN}
