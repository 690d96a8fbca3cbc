"""How many cells the workflow trains at a time on pretended GPUs; the cells actually run on the CPU."""

import re

import pytest

from .conftest import TINY


@pytest.mark.parametrize(
    ("gpus", "hardware", "options", "limit"),
    [
        ("0,1", {"cells_per_gpu": 3}, [], ["6"]),
        ("0,1", {"cells_per_gpu": 3}, ["--resources", "gpu=2"], ["2"]),
        # It may be a cluster's login node.
        ("", {"device": "cuda"}, [], ["1"]),
        ("0,1", {"device": "cpu"}, [], []),
    ],
)
def test_limit_is_cells_per_gpu_times_gpus(tiny_workflow, monkeypatch, gpus, hardware, options, limit):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    tiny_workflow.write_config({**TINY, "hardware": {"device": "auto", **hardware}})
    output = tiny_workflow.succeed("status", *options)
    assert re.findall(r"Provided resources: gpu=\D*(\d+)", output) == limit


@pytest.mark.slow
def test_sharing_a_gpu_makes_no_cell_stale(tiny_workflow, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    summaries = [f"results/cells/digits/true_labels/mlp_1x512/{r}/seed0/summary.json" for r in ("none", "wd")]
    tiny_workflow.write_config({**TINY, "hardware": {"device": "auto", "cells_per_gpu": 2}})
    tiny_workflow.succeed(*summaries, "--cores", "2")
    (folder,) = tmp_path.glob("rethinking-gpu-slots-*")
    assert len(list(folder.glob("*-GPU-a-0.lock"))) == 1
    tiny_workflow.write_config({**TINY, "hardware": {"device": "auto", "cells_per_gpu": 1}})
    assert tiny_workflow.planned_cells(*summaries) == []
