"""Real runs of a tiny configuration."""

import json
import os

import pandas as pd
import pytest

from .conftest import TINY, Workflow

CELL = "results/cells/digits/random_labels/mlp_1x512/none"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workflow that has run to its end; the tests below do not change its results."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"), TINY)
    workflow.succeed("all")
    return workflow


def test_everything_is_made(finished):
    results = finished.folder / "results"
    table = pd.read_csv(results / "table1.csv")
    assert list(table.seeds) == [1, 1, 1]
    # 1x512 on 7x7 digits: (49 + 1) x 512 + (512 + 1) x 10
    assert list(table.parameters) == [30730] * 3
    for name in ("table1.md", "table1.tex", "fig1a.svg", "fig1a.png", "fig1a.pdf", "report.html"):
        assert (results / name).stat().st_size > 0
    assert {path.name for path in (finished.folder / CELL / "seed0").iterdir()} == {
        ".identity",
        "curve.csv",
        "memorisation.csv",
        "predictions.npz",
        "summary.json",
        "weights.safetensors",
    }
    summary = json.loads((finished.folder / CELL / "seed0/summary.json").read_text())
    assert summary["provenance"]["settings"]["epochs"] == 2
    assert summary["data"]["train"]["count"] == 60


def test_same_cell_twice_is_the_same_to_the_bit(finished):
    weights = finished.folder / CELL / "seed0/weights.safetensors"
    before = weights.read_bytes()
    finished.succeed(f"{CELL}/seed0/weights.safetensors", "--forcerun", "train_cell")
    assert weights.read_bytes() == before


def test_table_from_the_cells_that_are_there(tiny_workflow):
    tiny_workflow.succeed(f"{CELL}/seed0/summary.json", f"{CELL}/seed5/summary.json")
    tiny_workflow.succeed("results/table1.md", "--config", "finished_only=true", "seeds=[0,1,5]")
    table = pd.read_csv(tiny_workflow.folder / "results/table1.csv")
    assert list(table.seeds) == [0, 0, 2]
    assert not os.path.exists(tiny_workflow.folder / "results/cells/digits/true_labels")


def test_divergence_is_a_result(tiny_workflow):
    # Weights of 1e30 and more overflow in the next step.
    tiny_workflow.write_config({**TINY, "models": {"mlp_1x512": {"learning_rate": 1e30}}})
    tiny_workflow.succeed("results/table1.md")
    assert "diverged" in (tiny_workflow.folder / "results/table1.md").read_text()
    summary = json.loads((tiny_workflow.folder / CELL / "seed0/summary.json").read_text())
    assert summary["status"] == "diverged"
    assert summary["diverged_step"] >= 1


def test_damaged_archive_says_what_to_do(tiny_workflow):
    (tiny_workflow.folder / "cifar.tar.gz").write_bytes(b"cut short")
    source = {"source": "archive", "path": "cifar.tar.gz"}
    tiny_workflow.write_config({**TINY, "datasets": {"cifar10": source}})
    output = tiny_workflow.fail("results/cells/cifar10/true_labels/mlp_1x512/none/seed0/summary.json")
    assert "error: cifar.tar.gz is damaged or cut short" in output
