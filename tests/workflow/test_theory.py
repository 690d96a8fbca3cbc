"""The theory's targets on digits."""

import time
from contextlib import suppress

import pandas as pd
import psutil
import pytest

from .conftest import TINY, Workflow

THEORY = {
    **TINY,
    **{
        name: {"cells": []}
        for name in ("table1", "table4", "fig1a", "fig1b", "fig1c", "fig2b", "memorisation")
    },
    "datasets": {"digits": {"train_limit": 120, "test_limit": 60}},
    "expressivity": {"dataset": "digits", "depths": [2, 4], "sizes": [10, 120], "precisions": ["float64"]},
    "linear_models": {
        "models": [
            {
                "name": "pixels",
                "dataset": "digits",
                "preprocessing": "none",
                "kernel": "gaussian",
                "gamma": "validated",
                "gammas": [0.1, 0.3],
                "penalties": [0],
            }
        ],
        "solver": {"tile": 32},
        "validation": {"train": 60, "test": 60, "penalties": [0]},
        "counterexamples": {"models": ["pixels"], "train": 60, "test": 60},
        "descent": {"dataset": "digits", "images": 20, "epochs": 5},
    },
    "ablations": [],
}
KILLED = "results/linear_models/killed/seed0/summary.json"
IMAGES = 400  # that are fitted there


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workflow that has made all of the theory; the tests below do not change its results."""
    workflow = Workflow(tmp_path_factory.mktemp("theory"), THEORY)
    workflow.succeed("all")
    return workflow


def test_all_makes_tables_claims_and_a_report_with_them(finished):
    results = finished.folder / "results"
    table = pd.read_csv(results / "table3.csv")
    assert table.preprocessing.tolist() == ["none"] or table.preprocessing.isna().all()
    assert table.train_error.tolist() == [0]
    claims = pd.read_csv(results / "claims.csv").set_index("claim")
    assert claims.verdict["finite_sample_expressivity"] == "supported"
    assert claims.verdict["mnist_pixels_error"] == "undecided"
    assert "not run" in claims.reason["mnist_pixels_error"]
    report = (results / "report.html").read_text()
    assert "Theorem 1: 2n + d weights fit any labels" in report
    # There are no networks; the page only says how many claims wait for them.
    text = (results / "claims.md").read_text()
    assert "on networks, because none is trained" in text
    assert "not trained:" not in text
    assert claims.reason["random_labels_at_chance"].startswith("not trained:")
    assert not list((results / "scratch").rglob("*.npy"))


def test_finished_theory_has_nothing_to_do(finished):
    assert finished.plan("all") == {}


def test_an_edit_reruns_what_it_touches(finished):
    descent = {**THEORY["linear_models"]["descent"], "epochs": 6}
    finished.write_config({**THEORY, "linear_models": {**THEORY["linear_models"], "descent": descent}})
    jobs = finished.plan("expressivity", "linear_models")
    finished.write_config(THEORY)
    assert set(jobs) == {"run_descent", "plot_theory", "linear_models", "total"}


@pytest.mark.slow
def test_several_numbers_of_filters_have_a_figure(tiny_workflow):
    convnets = [
        {"name": f"convnet_{count}", "dataset": "digits", **CONVNET, "filters": count} for count in (5, 20)
    ]
    linear_models = THEORY["linear_models"] | {"counterexamples": {"models": []}}
    tiny_workflow.write_config(THEORY | {"linear_models": linear_models | {"models": convnets[:1]}})
    assert "filters has nothing to show" in tiny_workflow.fail("-n", "results/filters.csv")
    tiny_workflow.write_config(THEORY | {"linear_models": linear_models | {"models": convnets}})
    unfinished = tiny_workflow.fail("-n", "results/table3.csv", "--config", "finished_only=true")
    assert "table3 has nothing to show with this configuration; none of its results is finished" in unfinished
    tiny_workflow.succeed("results/filters.csv")
    numbers = pd.read_csv(tiny_workflow.folder / "results/filters.csv")
    assert numbers.filters.tolist() == [5, 20]
    assert numbers.features.tolist() == [41, 161]


PIXELS = {"preprocessing": "none", "kernel": "gaussian", "gamma": 0.1, "penalties": [0]}
CONVNET = {"preprocessing": "random_convnet", "kernel": "linear", "filters": 100, "penalties": [0.1]}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "shares"), [(PIXELS, (0.2, 0.8)), (CONVNET, (0.5,))])
def test_killed_fit_ends_as_an_undisturbed_one(tmp_path, model, shares):
    """SIGKILL at several moments; tiles on disk are not computed again."""
    linear_models = THEORY["linear_models"] | {
        "models": [{"name": "killed", "dataset": "digits", **model}],
        "solver": {"tile": 16},
        "counterexamples": {"models": []},
    }
    config = {**THEORY, "datasets": {"digits": {"train_limit": IMAGES}}, "linear_models": linear_models}
    outputs = []
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
        workflow = Workflow(tmp_path / name, config)
        if name == "killed":
            for share in shares:
                kill_fit(workflow, share)
        workflow.succeed(KILLED, "--cores", "1")
        log = (workflow.folder / "results/logs/linear_models/killed/seed0.log").read_text()
        assert ("resuming" in log) == (name == "killed")
        outputs.append((workflow.folder / KILLED).with_name("outputs.npz").read_bytes())
    assert outputs[0] == outputs[1]
    assert not list(tmp_path.rglob("tile*"))


def kill_fit(workflow, share):
    """Kill the fitting process when this share of the factor's tiles exists."""
    rows = IMAGES // 16 + 1
    snakemake = workflow.start(KILLED, "--cores", "1")
    scratch = workflow.folder / "results/scratch"
    while len(list(scratch.rglob("factor*/tile*.npy"))) < share * rows * (rows + 1) / 2:
        assert snakemake.poll() is None, snakemake.stdout.read()
        time.sleep(0.01)
    for process in psutil.Process(snakemake.pid).children(recursive=True):
        with suppress(psutil.Error):  # one that has just ended
            if "fit_linear_model" in process.cmdline():
                process.kill()
    snakemake.communicate()
