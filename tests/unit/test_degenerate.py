"""Every table, figure and verdict is made of any numbers: diverged in the first epoch, not a number, one epoch, one cell, no seed in common."""

import json
import math

import pandas as pd
import pytest

from rethinking import registry
from rethinking.analysis.runs import TABLES

from .curves import make_run, write_run

NAME = "cifar10/{}/{}/none".format
FIGURES = {
    "fig1a": ("curve", ("train_loss_end",), ["true_labels", "random_labels"]),
    "fig1b": ("curve", ("train_loss", "train_accuracy", "train_loss_end", "train_accuracy_end"),
              ["true_labels", "random_labels"]),
    "fig1c": ("curve", ("test_accuracy", "test_accuracy_corrupted"), ["true_labels", "random_labels"]),
    "fig2b": ("curve", ("train_accuracy_end", "test_accuracy"), ["true_labels", "random_labels"]),
    "memorisation": (
        "memorisation",
        ("unchanged_accuracy", "changed_accuracy_given", "changed_accuracy_true"),
        ["labels_p0.2", "labels_p0.5"],
    ),
}  # fmt: skip
# The rows of each run's table: (seed, values, diverged) of the first and of the second cell.
CASES = {
    "one network diverged in its first epoch": ([(0, [], True)], [(0, [1.0, 2.0], False)]),
    "all networks diverged in their first epoch": ([(0, [], True)], [(0, [], True)]),
    "diverged after one row": ([(0, [1.0], True)], [(0, [1.0], True)]),
    "not a number": ([(0, [math.nan, math.nan], False)], [(0, [math.nan, math.nan], False)]),
    "diverged, not a number": ([(0, [math.nan], True)], [(0, [math.inf], True)]),
    "infinite": ([(0, [math.inf, -math.inf], False)], [(0, [math.inf, 1.0], False)]),
    "one epoch": ([(0, [50.0], False)], [(0, [50.0], False)]),
    "all equal to zero": ([(0, [0.0, 0.0], False)], [(0, [0.0, 0.0], False)]),
    "one cell": ([(0, [1.0, 2.0], False)], None),
    "a cell without runs": ([(0, [1.0, 2.0], False)], []),
    "no cell has runs": ([], []),
    "no seed in common": ([(0, [1.0, 99.0], False)], [(1, [1.0, 99.0], False)]),
}


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # infinite accuracies have no difference
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("figure", FIGURES)
def test_figures(script, tmp_path, figure, case):
    table, columns, corruptions = FIGURES[figure]
    names = write_case(tmp_path, case, table, columns, corruptions)
    networks = {"root": tmp_path, "cells": names, "seeds": [0, 1]}
    script("plot_figure", figure=figure, **networks, **drawn(tmp_path))
    assert len(pd.read_csv(tmp_path / "figure.csv")) >= len(names)
    assert "could not be drawn" not in (tmp_path / "figure.svg").read_text()


def drawn(folder):
    """Where a figure and its numbers go."""
    return {"images": folder / "figure.svg", "numbers": folder / "figure.csv"}


def write_case(root, case, table, columns, corruptions):
    """Write the networks of a case, and return the names of their cells."""
    names = []
    for corruption, runs in zip(corruptions, CASES[case], strict=True):
        if runs is None:
            continue
        names.append(NAME(corruption, "inception"))
        for seed, values, diverged in runs:
            run = make_run(names[-1], seed, diverged, **dict.fromkeys(columns, pd.Series(values, dtype=float)))
            write_run(root, run, table)
    return names


@pytest.mark.parametrize("case", CASES)
def test_tables_and_claims(script, render, tmp_path, case):
    table, columns, corruptions = FIGURES["fig2b"]
    names = write_case(tmp_path, case, table, columns, corruptions)
    for summary in tmp_path.rglob("summary.json"):
        # No label is changed.
        rows = {"epoch": [1], **{key: [math.nan] for key in list(TABLES["memorisation"])[1:]}}
        pd.DataFrame(rows).to_csv(summary.with_name("memorisation.csv"), index=False)
    networks = {"root": tmp_path, "cells": names, "seeds": [0, 1]}
    for table in ("table1", "table4"):
        csv = tmp_path / f"{table}.csv"
        script("aggregate_table", table=table, **networks, output=csv)
        assert len(pd.read_csv(csv)) == len(names)
        assert "nan" not in render(table, csv)[0]
    markdown = tmp_path / "claims.md"
    script("check_claims", **networks, csv=tmp_path / "claims.csv", markdown=markdown)
    assert "nan" not in markdown.read_text()


@pytest.mark.parametrize("case", CASES)
def test_finding_complexity_and_ablations(script, render, tmp_path, case):
    table, columns, corruptions = FIGURES["fig2b"]
    names = write_case(tmp_path / "cells", case, table, columns, corruptions)
    write_case(tmp_path / "ablations" / "x" / "cells", case, table, columns, corruptions)
    for file in (tmp_path / "cells").rglob("summary.json"):
        summary = json.loads(file.read_text())
        file.write_text(json.dumps(summary | {"test_accuracy_corrupted": summary["test_accuracy"]}))
        measures = dict.fromkeys(registry.names("measure"))
        (file.parent / "complexity.json").write_text(json.dumps(measures | {"images": 10}))
    networks = {"root": tmp_path / "cells", "cells": names, "seeds": [0, 1]}
    csv, svg = tmp_path / "result.csv", tmp_path / "figure.svg"
    script("plot_finding", **networks, **drawn(tmp_path), text=tmp_path / "finding.txt")
    # The finding is about pairs of cells.
    assert ("could not be drawn" in svg.read_text()) <= (case == "one cell")
    script("compare_complexity", **networks, ranks=csv, networks=tmp_path / "all.csv", images=svg)
    assert "could not be drawn" not in svg.read_text()
    assert "could not be made" not in render("complexity", csv)[0]
    ablations = json.dumps([{"name": "x", "question": "?", "cells": names}])
    script("compare_ablations", ablations=ablations, results=tmp_path, seeds=[0, 1], output=csv)
    assert "could not be made" not in render("ablations", csv)[0]


ONE = NAME("true_labels", "inception")


def test_table_that_cannot_be_made_says_why(script, render, tmp_path, monkeypatch):
    def present(table):
        raise ValueError("no such number")

    monkeypatch.setattr("rethinking.tables.accuracies.present_table1", present)
    write_run(tmp_path, make_run(ONE, test_accuracy=[1.0]))
    csv = tmp_path / "table1.csv"
    script("aggregate_table", table="table1", root=tmp_path, cells=ONE, seeds=0, output=csv)
    for text in render("table1", csv):
        assert "could not be made from table1.csv: no such number" in text


@pytest.mark.parametrize("figure", ["fig1a", "fig1b", "fig1c", "fig2b"])
def test_figure_that_cannot_be_drawn_says_why_and_stops_nothing_else(script, tmp_path, monkeypatch, figure):
    def draw(runs, scale):
        raise ValueError("no such number")

    monkeypatch.setattr(f"rethinking.figures.{figure}.draw", draw)
    table, columns, _ = FIGURES[figure]
    write_run(tmp_path, make_run(ONE, **{key: [1.0, 2.0] for key in columns}), table)
    script("plot_figure", figure=figure, root=tmp_path, cells=ONE, seeds=0, **drawn(tmp_path))
    assert "could not be drawn from these numbers: no such number" in (tmp_path / "figure.svg").read_text()
    numbers = {figure: tmp_path / "figure.csv"}
    script("compare_curves", **numbers, output=tmp_path / "differences.csv")
