"""Several processes train a network of the workflow."""

import pytest

from .conftest import TINY


@pytest.mark.slow
def test_workers_train_what_has_micro_batches_and_their_number_makes_nothing_stale(tiny_workflow):
    folder = "results/cells/digits/true_labels/mlp_1x512"
    summaries = [f"{folder}/{each}/seed0/summary.json" for each in ("none", "wd")]
    parts = {"cells": "digits/*/*/wd", "set": {"micro_batch": 10}}
    config = {**TINY, "overrides": [parts], "training": {"batch_size": 20, "epochs": 2}}
    tiny_workflow.write_config({**config, "hardware": {"device": "cpu", "workers": 2}})
    tiny_workflow.succeed(*summaries, "--cores", "2")
    logs = [
        (
            tiny_workflow.folder / "results/logs/cells/digits/true_labels/mlp_1x512" / each / "seed0.log"
        ).read_text()
        for each in ("none", "wd")
    ]
    assert [", 2 workers" in log for log in logs] == [False, True]
    tiny_workflow.write_config({**config, "hardware": {"device": "cpu", "workers": 3}})
    assert tiny_workflow.planned_cells(*summaries) == []
