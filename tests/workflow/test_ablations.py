"""A variant of a cell: trained separately, with its own settings, and compared with the cell."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from .conftest import TINY, Workflow, cells_of, jobs_of

CELL = "digits/true_labels/mlp_1x512/none"
# In 6 steps a learning rate of 1e-9 leaves the weights almost unchanged.
STILL = {
    "name": "still",
    "question": "Does it learn at all?",
    "cells": [CELL],
    "set": {"learning_rate": 1e-9},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workflow that has compared one variant of one cell; the tests below do not change its results."""
    workflow = Workflow(tmp_path_factory.mktemp("ablations"), TINY | {"ablations": [STILL]})
    workflow.succeed("ablations")
    return workflow


def test_variant_is_trained_at_a_path_of_its_own_with_its_settings(finished):
    results = finished.folder / "results"
    folders = [results / "cells" / CELL / "seed0", results / "ablations/still/cells" / CELL / "seed0"]
    cell, variant = (json.loads((folder / "summary.json").read_text()) for folder in folders)
    assert cell["cell"] == variant["cell"]
    assert (
        cell["provenance"]["settings"]["learning_rate"],
        variant["provenance"]["settings"]["learning_rate"],
    ) == (0.01, 1e-9)
    # Both have the same initial weights, so they agree in epoch 0, before training.
    untrained = [pd.read_csv(folder / "curve.csv").iloc[0].drop("seconds") for folder in folders]
    assert untrained[0].equals(untrained[1])
    weights = [load_file(folder / "weights.safetensors") for folder in folders]
    assert any(not np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    for kind in ("logs", "benchmarks"):
        assert len(list((results / kind / "cells").rglob("seed0.*"))) == 1
        assert len(list((results / kind / "ablations/still/cells").rglob("seed0.*"))) == 1


def test_table_shows_the_difference(finished):
    table = pd.read_csv(finished.folder / "results/ablations.csv")
    (row,) = table.itertuples()
    assert row.changes == "learning_rate 0.01 → 1e-09"
    assert row.pairs == 1
    assert row.train_difference == pytest.approx(row.train_accuracy - row.default_train_accuracy, abs=2e-4)
    text = (finished.folder / "results/ablations.md").read_text()
    assert "**Does it learn at all?**" in text
    assert "60 of 1,437 training images" in text


def test_an_edit_of_a_variant_concerns_the_variant_alone(finished):
    finished.write_config(TINY | {"ablations": [STILL | {"set": {"learning_rate": 1e-8}}]})
    output = finished.succeed("-n", "ablations", f"results/cells/{CELL}/seed0/summary.json")
    assert cells_of(output) == [f"ablations/still/{CELL}/seed0"]
    jobs = jobs_of(output)
    assert (jobs["train_cell"], jobs["compare_ablations"], jobs["render_table"]) == (1, 1, 1)
    # Another variant does not make this one stale.
    finished.write_config(TINY | {"ablations": [STILL, STILL | {"name": "other", "set": {"epochs": 3}}]})
    assert finished.planned_cells("ablations") == [f"ablations/other/{CELL}/seed0"]


def test_the_report_has_ablations_if_the_configuration_says_so(finished):
    settings = TINY | {"ablations": [STILL]}
    finished.write_config(settings)
    assert f"ablations/still/{CELL}/seed0" not in finished.succeed("-n", "-F", "results/cells.csv")
    finished.write_config(settings | {"report_ablations": True})
    assert finished.planned_cells("-F", "results/cells.csv").count(f"ablations/still/{CELL}/seed0") == 1
    # Only finished ones where the others are not to be trained.
    finished.succeed("results/cells.csv", "--config", "finished_only=true")
    rows = pd.read_csv(finished.folder / "results/cells.csv")
    assert set(rows["ablation"].dropna()) == {"still"}
    # Without ablations there is nothing to show.
    finished.write_config(TINY | {"ablations": [], "report_ablations": True})
    finished.succeed("-n", "results/report.html")


def test_status_counts_ablations_among_the_cells_of_all_if_the_report_shows_them(finished):
    separately = "1 cell: 1 done, 0 part-trained, 0 stale, 0 to run"
    for reported in (False, True):
        finished.write_config(TINY | {"ablations": [STILL], "report_ablations": reported})
        said = finished.succeed("status")
        assert (f"In addition for the target 'ablations': {separately}" in said) != reported
        (line,) = [line for line in said.splitlines() if " cells: " in line]
        assert line.startswith("7 cells: 2 done" if reported else "6 cells: 1 done")


@pytest.mark.parametrize(
    ("ablations", "said"),
    [
        ([], "is empty"),
        ([{**STILL, "set": {}, "grid": {"learning_rate": [0.01]}}], "changes nothing of digits/true_labels"),
    ],
)
def test_nothing_to_compare_is_said(tiny_workflow, ablations, said):
    tiny_workflow.write_config(TINY | {"ablations": ablations})
    assert said in tiny_workflow.fail("-n", "ablations")
