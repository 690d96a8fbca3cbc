"""The theory's targets on digits."""

import re
from contextlib import suppress

import pandas as pd
import psutil
import pytest

from ..waiting import wait_for
from .conftest import TINY, Workflow

PIXELS = {"dataset": "digits", "preprocessing": "none", "kernel": "gaussian", "penalties": [0]}
CONVNET = {"dataset": "digits", "preprocessing": "random_convnet", "kernel": "linear", "penalties": [0.1]}
CONVNETS = [CONVNET | {"name": f"convnet_{count}", "filters": count} for count in (5, 20)]
LINEAR_MODELS = {
    "models": [PIXELS | {"name": "pixels", "gamma": "validated", "gammas": [0.1, 0.3]}, *CONVNETS],
    "solver": {"tile": 32},
    "validation": {"train": 60, "test": 60, "penalties": [0]},
    "counterexamples": {"models": ["pixels"], "train": 60, "test": 60},
    "descent": {"dataset": "digits", "images": 20, "epochs": 5},
}
THEORY = {
    **TINY,
    **{name: {"cells": []} for name in ("table1", "table4", "fig1a", "fig1b", "fig1c", "fig2b", "memorisation")},
    "datasets": {"digits": {"train_limit": 120, "test_limit": 60}},
    "expressivity": {"dataset": "digits", "depths": [2, 4], "sizes": [10, 120], "precisions": ["float64"]},
    "linear_models": LINEAR_MODELS,
    "ablations": [],
}


def with_linear_models(**changes):
    """The configuration with other keys of the section on linear models."""
    return THEORY | {"linear_models": LINEAR_MODELS | changes}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workflow that has made all of the theory; the tests below do not change its results."""
    workflow = Workflow(tmp_path_factory.mktemp("theory"), THEORY)
    workflow.succeed("all")
    return workflow


def test_all_makes_tables_claims_and_a_report_with_them(finished):
    results = finished.folder / "results"
    table = pd.read_csv(results / "table3.csv")
    assert table.filters.fillna(0).tolist() == [0, 5, 20]
    assert table.train_error[0] == 0
    numbers = pd.read_csv(results / "filters.csv")
    assert numbers.filters.tolist() == [5, 20]
    assert numbers.features.tolist() == [41, 161]
    claims = pd.read_csv(results / "claims.csv").set_index("claim")
    assert claims.verdict["finite_sample_expressivity"] == "supported"
    assert claims.verdict["mnist_pixels_error"] == "undecided"
    assert "missing" in claims.reason["mnist_pixels_error"]
    report = (results / "report.html").read_text()
    assert "Theorem 1: 2n + d weights fit any labels" in report
    # There are no networks; the page only says how many claims wait for them.
    text = (results / "claims.md").read_text()
    assert text.startswith("**On CIFAR-10: 45 not run**: none of the networks that these claims need is trained.")
    assert claims.statement["random_labels_at_chance"] not in text
    assert not list((results / "scratch").rglob("*.npy"))


def test_finished_theory_has_nothing_to_do(finished):
    assert finished.plan("all") == {}


def test_an_edit_reruns_what_it_touches(finished):
    finished.write_config(with_linear_models(descent=LINEAR_MODELS["descent"] | {"epochs": 6}))
    jobs = finished.plan("expressivity", "linear_models")
    said = finished.succeed("-n", "linear_models", "--config", "finished_only=true")
    status = finished.succeed("status")
    finished.write_config(THEORY)
    assert set(jobs) == {"run_descent", "plot_theory", "linear_models", "total"}
    assert re.search(r"finished_only: 1 of \d+ finished measures and fits are stale and used as they are", said)
    assert "stale\n  reason: epochs 5 -> 6\n    run_descent  1\n" in status


def test_what_has_nothing_to_show_says_so(tiny_workflow):
    tiny_workflow.write_config(with_linear_models(models=CONVNETS[:1], counterexamples={"models": []}))
    assert "filters has nothing to show" in tiny_workflow.fail("-n", "results/filters.csv")
    unfinished = tiny_workflow.fail("-n", "results/table3.csv", "--config", "finished_only=true")
    assert "table3 has nothing to show with this configuration; none of its results is finished" in unfinished
    for file in ("results/sizes.csv", "results/sizes.md"):
        said = tiny_workflow.fail("-n", file, "--config", "finished_only=true")
        assert (
            "sizes has nothing to show with this configuration; it is counted from prepared data: ask without" in said
        )


def test_claims_of_theory_are_listed_before_there_are_fits(tiny_workflow):
    finished_only = ("results/claims.csv", "--config", "finished_only=true")
    tiny_workflow.succeed(*finished_only)
    tiny_workflow.write_config(TINY | {"expressivity": THEORY["expressivity"]})
    assert tiny_workflow.plan(*finished_only) == {"check_claims": 1, "total": 1}


KILLED = {"pixels": (PIXELS | {"gamma": 0.1}, (0.2, 0.8)), "convnet": (CONVNET | {"filters": 100}, (0.5,))}
IMAGES = 400  # that are fitted there
SUMMARY = "results/linear_models/{}/seed0/summary.json"


@pytest.mark.slow
def test_killed_fits_end_as_undisturbed_ones(tiny_workflow):
    """SIGKILL at several moments; tiles on disk are not computed again."""
    kinds = ("undisturbed", "killed")
    models = [model | {"name": f"{name}_{kind}"} for name, (model, _) in KILLED.items() for kind in kinds]
    config = with_linear_models(models=models, solver={"tile": 16}, counterexamples={"models": []})
    tiny_workflow.write_config(config | {"datasets": {"digits": {"train_limit": IMAGES}}})
    results = tiny_workflow.folder / "results"
    for kind in kinds:
        for name, (_, shares) in KILLED.items():
            for share in shares if kind == "killed" else ():
                kill_fit(tiny_workflow, f"{name}_{kind}", share)
        tiny_workflow.succeed(*(SUMMARY.format(f"{name}_{kind}") for name in KILLED), "--cores", "1")
        logs = [results / f"logs/linear_models/{name}_{kind}/seed0.log" for name in KILLED]
        assert ["resuming" in log.read_text() for log in logs] == [kind == "killed"] * 2
    for name in KILLED:
        made = [results / f"linear_models/{name}_{kind}/seed0/outputs.npz" for kind in kinds]
        assert made[0].read_bytes() == made[1].read_bytes()
    assert not list(results.rglob("tile*"))


def kill_fit(workflow, name, share):
    """Kill the fitting process when this share of the factor's tiles exists."""
    rows = IMAGES // 16 + 1
    snakemake = workflow.start(SUMMARY.format(name), "--cores", "1")
    scratch = workflow.folder / "results/scratch/linear_models" / name
    tiles = share * rows * (rows + 1) / 2
    # Not by rglob, which stumbles over the temporary folders of tiles that are being written.
    wait_for(lambda: len(list(scratch.glob("seed0/*/factor*/tile*.npy"))) >= tiles, snakemake)
    for process in psutil.Process(snakemake.pid).children(recursive=True):
        with suppress(psutil.Error):  # one that has just ended
            if "fit_linear_model" in process.cmdline():
                process.kill()
    snakemake.communicate()
