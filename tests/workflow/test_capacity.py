"""The targets ``capacity`` and ``complexity``: what they train and measure."""

import json

import pandas as pd
import pytest

from .conftest import TINY, Workflow

BASE = "digits/random_labels/mlp_1x512/none"
REPLACED = "digits/random_labels_replaced0/mlp_1x512/none"
SIGNS = "digits/random_signs_n40/mlp_1x512/none"
MEASURED = TINY | {
    "capacity": {"cells": [SIGNS, BASE, REPLACED]},
    "complexity": {"cells": [BASE, "digits/true_labels/mlp_1x512/none"], "images": 20, "draws": 1},
}


def test_cells_are_shared_and_measured(tmp_path):
    workflow = Workflow(tmp_path, MEASURED)
    jobs = workflow.plan("capacity", "complexity")
    assert jobs["draw_sample"] == 1
    assert (jobs["train_cell"], jobs["measure_stability"], jobs["measure_complexity"]) == (4, 1, 2)
    assert jobs["render_table"] == 3
    # Without a replacement there is nothing to compare.
    assert "no rule makes" in workflow.fail("-n", f"results/cells/{BASE}/seed0/stability.json")
    # Tables and measurements without cells are left out.
    workflow.write_config(MEASURED | {"capacity": {"cells": [BASE, REPLACED]}})
    assert (workflow.plan("capacity")["train_cell"], workflow.plan("capacity")["render_table"]) == (2, 1)
    workflow.write_config(MEASURED | {"capacity": {"cells": [SIGNS]}, "complexity": {"cells": []}})
    jobs = workflow.plan("capacity", "complexity")
    assert (jobs["train_cell"], jobs["render_table"]) == (1, 1)
    assert "measure_complexity" not in jobs


@pytest.mark.slow
def test_complexity_of_signs_and_stability_are_measured(tmp_path):
    workflow, results = Workflow(tmp_path, MEASURED), tmp_path / "results"
    stability = f"cells/{REPLACED}/seed0/stability.json"
    workflow.succeed("results/rademacher.md", f"results/{stability}")
    assert json.loads((results / stability).read_text())["all_change"] > 0
    summary = json.loads((results / "cells" / SIGNS / "seed0/summary.json").read_text())
    assert summary["data"]["num_classes"] == 2
    assert summary["data"]["train"]["count"] == 40
    (row,) = (row for _, row in pd.read_csv(results / "rademacher.csv").iterrows())
    assert abs(row.rademacher - (summary["train_accuracy"] / 50 - 1)) < 1e-5
    assert "40 of 1,437 training images" in (results / "rademacher.md").read_text()
    # The settings of the measurement are not settings of the cells.
    changed = MEASURED | {"complexity": MEASURED["complexity"] | {"images": 30}}
    workflow.write_config(changed)
    assert workflow.planned_cells("capacity") == []
