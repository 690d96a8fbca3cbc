"""The kept results are those that the code makes of the networks beside them; if not, they are to be made again."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from rethinking import registry
from rethinking.analysis.rank_correlations import correlate
from rethinking.figures import capacity, complexity
from rethinking.figures.style import draw, save
from rethinking.run.commit import git_commit

from ..default_config import load_merged
from .test_degenerate_theory import RESULTS

FOLDER = Path(__file__).parents[2] / "results" / "reference"


def networks(name, *sections):
    """Options of scripts for the networks of some sections of a kept configuration, or of all."""
    config = load_merged(f"results/reference/{name}/config.yaml")
    cells = dict.fromkeys(cell.name for cell in config.cells(*(sections or config.results)))
    return {"root": FOLDER / name / "cells", "cells": list(cells), "seeds": config.seeds}


def records(result):
    """The kept fits of the theory that a result is made of, in the order of their configuration."""
    models = [each.name for each in load_merged("results/reference/theory/config.yaml").linear_models.models]

    def place(file):
        return [models.index(part) for part in file.parts if part in models], file

    return [file for pattern in RESULTS[result] for file in sorted((FOLDER / "theory").glob(pattern), key=place)]


def assert_kept(name, *made):
    for file in made:
        kept = FOLDER / name / file.name
        assert file.read_text() == kept.read_text(), f"{kept} should now be {file}"


@pytest.mark.parametrize(("name", "table"), [("cifar10", "table1"), ("cifar10", "table4"), ("imagenette", "table2")])
def test_tables_of_networks(script, tmp_path, name, table):
    csv = tmp_path / f"{table}.csv"
    script("aggregate_table", table=table, **networks(name, table), output=csv)
    assert_kept(name, csv)


def test_ablations(script, tmp_path):
    config = load_merged("results/reference/cifar10/config.yaml")
    ablations = json.dumps([each.model_dump(include={"name", "question", "cells"}) for each in config.ablations])
    csv = tmp_path / "ablations.csv"
    script("compare_ablations", ablations=ablations, results=FOLDER / "cifar10", seeds=config.seeds, output=csv)
    assert_kept("cifar10", csv)


@pytest.mark.parametrize("table", ["table3", "norms", "expressivity"])
def test_tables_of_the_theory(script, tmp_path, table):
    csv = tmp_path / f"{table}.csv"
    script("tabulate_theory", table=table, records=records(table), output=csv)
    assert_kept("theory", csv)


def assert_figure_kept(name, svg, *csv):
    """The same numbers and words; lines and places are not compared."""
    assert_kept(name, *csv)
    kept = FOLDER / name / svg.name
    made, shown = (re.findall(r">([^<>]+)</text>", file.read_text()) for file in (svg, kept))
    assert made == shown, f"{kept} should now be {svg}"


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        *(("cifar10", figure) for figure in ("fig1a", "fig1b", "fig1c", "fig2b", "memorisation")),
        ("imagenette", "fig2a"),
    ],
)
def test_figures_of_networks(script, tmp_path, name, figure):
    svg, csv = tmp_path / f"{figure}.svg", tmp_path / f"{figure}.csv"
    script("plot_figure", figure=figure, **networks(name, figure), images=svg, numbers=csv)
    assert_figure_kept(name, svg, csv)


@pytest.mark.parametrize(("name", "table"), [("cifar10", "table1"), ("imagenette", "table2")])
def test_findings(script, tmp_path, name, table):
    svg, csv, text = (tmp_path / f"finding.{ending}" for ending in ("svg", "csv", "txt"))
    given = networks(name, table)
    given["cells"] = [cell for cell in given["cells"] if cell.endswith("/none")]
    script("plot_finding", **given, images=svg, numbers=csv, text=text)
    assert_kept(name, text)
    assert_figure_kept(name, svg, csv)


@pytest.mark.parametrize("figure", ["expressivity_precision", "filters", "kernel_sensitivity", "descent"])
def test_figures_of_the_theory(script, tmp_path, figure):
    models = load_merged("results/reference/theory/config.yaml").linear_models.models
    files = {"records": ".json", "tables": ".csv"}
    given = {key: [file for file in records(figure) if file.suffix == end] for key, end in files.items()}
    svg, csv = tmp_path / f"{figure}.svg", tmp_path / f"{figure}.csv"
    settings = json.dumps([each.model_dump(mode="json") for each in models])
    script("plot_theory", figure=figure, **given, models=settings, images=svg, numbers=csv)
    assert_figure_kept("theory", svg, csv)


def test_capacity(tmp_path):
    """The figure of the kept tables; the losses that stability was measured on are not kept."""
    kept = FOLDER / "cifar10_capacity"
    tables = [pd.read_csv(kept / f"{table}.csv") for table in ("rademacher", "stability")]
    save(draw(capacity.plot, *tables), [tmp_path / "capacity.svg"])
    assert_figure_kept(kept.name, tmp_path / "capacity.svg")


def test_complexity(tmp_path):
    """Rank correlations and figure of the kept measures; the weights that these were taken of are not kept."""
    kept = FOLDER / "cifar10_capacity"
    networks = pd.read_csv(kept / "complexity_measures.csv")
    scale = pd.read_csv(kept / "complexity.csv").data[0]
    ranks = correlate(networks, scale)
    assert ranks.to_csv(index=False, float_format="%.4f") == (kept / "complexity.csv").read_text()
    svg = tmp_path / "complexity_measures.svg"
    save(draw(complexity.plot, networks, ranks, scale), [svg])
    assert_figure_kept(kept.name, svg)


TEXTS = [file for file in sorted(FOLDER.glob("*/*.md")) if file.stem in registry.names("table")]


@pytest.mark.parametrize("kept", TEXTS, ids=lambda kept: f"{kept.parent.name}/{kept.stem}")
def test_texts_of_tables(render, tmp_path, kept):
    csv = Path(shutil.copy(kept.with_suffix(".csv"), tmp_path))
    render(kept.stem, csv)
    endings = [ending for ending in (".md", ".tex") if kept.with_suffix(ending).exists()]
    assert_kept(kept.parent.name, *(csv.with_suffix(ending) for ending in endings))


@pytest.mark.parametrize(
    ("name", "imagenet", "theory"),
    [
        ("cifar10", "imagenet", ["--theory"]),
        ("imagenette", "imagenette", []),
        ("theory", "imagenet", ["--theory"]),
    ],
)
def test_claims(script, tmp_path, name, imagenet, theory):
    csv, markdown = tmp_path / "claims.csv", tmp_path / "claims.md"
    given = records("claims") if name == "theory" else []
    script(
        "check_claims",
        *theory,
        imagenet=imagenet,
        records=given,
        **networks(name),
        csv=csv,
        markdown=markdown,
    )
    assert_kept(name, csv, markdown)


# The same code as 9fbdda9, before that was put on top of other commits.
ELSEWHERE = {"e0ca4105fa63fa72e627b6953b97eb27bec022ce"}


def test_commits_are_in_this_history():
    """So that readers can look up the code that made a result."""
    git = ["git", "-C", str(FOLDER)]
    shallow = git_commit() and subprocess.check_output([*git, "rev-parse", "--is-shallow-repository"], text=True)
    if shallow != "false\n":
        pytest.skip("needs the whole history of git")
    history = subprocess.check_output([*git, "rev-list", "HEAD"], text=True).split()
    named = set(re.findall(r"\b(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{7,40}\b", (FOLDER / "README.md").read_text()))
    for file in FOLDER.glob("**/*.json"):
        named.update(re.findall(r'"git_commit": "([0-9a-f]+)', file.read_text()))
    assert {commit for commit in named if not any(each.startswith(commit) for each in history)} == ELSEWHERE
