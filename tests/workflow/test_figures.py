"""Figures of a tiny configuration, made by the workflow."""

import pandas as pd
import pytest

from .conftest import TINY, Workflow

FIGURES = ("fig1a", "fig1b", "fig1c", "fig2b", "memorisation")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workflow that has made all figures; the tests below do not change its results."""
    workflow = Workflow(tmp_path_factory.mktemp("figures"), TINY)
    workflow.succeed(*(f"results/{name}.svg" for name in FIGURES), "results/curve_differences.md")
    return workflow


def test_figures_have_images_and_numbers_with_their_scale(finished):
    results = finished.folder / "results"
    scale = "digits (scikit-learn), 60 of 1,437 training images, 20 of 360 test images"
    for name in FIGURES:
        for ending in ("png", "pdf"):
            assert (results / f"{name}.{ending}").stat().st_size > 5000
        assert "Ours: MLP 1×512, digits (scikit-learn), 60 of" in (results / f"{name}.svg").read_text()
        assert set(pd.read_csv(results / f"{name}.csv").data) == {scale}


def test_ratios_and_errors_are_those_of_the_curves(finished):
    results = finished.folder / "results"
    ratios = pd.read_csv(results / "fig1b.csv")
    assert list(ratios.p.unique()) == [0, 0.5, 1]
    errors = pd.read_csv(results / "fig1c.csv").set_index(["corruption", "test_labels"]).test_error
    curve = pd.read_csv(results / "cells/digits/labels_p0.5/mlp_1x512/none/seed0/curve.csv")
    last = curve.iloc[-1]
    assert errors["labels_p0.5", "true"] == pytest.approx(1 - last.test_accuracy / 100)
    assert errors["labels_p0.5", "corrupted"] == pytest.approx(1 - last.test_accuracy_corrupted / 100)


def test_curves_of_the_paper_are_compared(finished):
    table = pd.read_csv(finished.folder / "results/curve_differences.csv")
    # Figures 1a and 2b show the Inception in the paper and the MLP here.
    assert set(table.figure) == {"fig1b", "fig1c"}
    (points,) = table[table.figure == "fig1c"].points
    assert points == 3


def test_figure_without_cells_is_left_out(finished):
    finished.write_config(TINY | {"fig1b": {"cells": []}})
    jobs = finished.plan("cifar10", "--forcerun", "plot_figure")
    finished.write_config(TINY)
    assert jobs["plot_figure"] == len(FIGURES) - 1
    finished.write_config(TINY | {"fig1b": {"cells": []}})
    assert "fig1b.cells is empty" in finished.fail("-n", "results/fig1b.svg")
    finished.write_config(TINY)


def test_other_cells_of_a_figure_replot_that_figure_alone(finished):
    finished.write_config(TINY | {"fig1c": {"cells": TINY["fig1c"]["cells"][:2]}})
    jobs = finished.plan(*(f"results/{name}.svg" for name in FIGURES))
    finished.write_config(TINY)
    assert (jobs["plot_figure"], jobs["total"]) == (1, 1)


def test_figure_from_the_cells_that_are_there(tiny_workflow):
    cell = "results/cells/digits/labels_p0.5/mlp_1x512/none/seed0"
    tiny_workflow.succeed(f"{cell}/summary.json")
    tiny_workflow.succeed("results/fig1b.svg", "results/fig1c.svg", "--config", "finished_only=true")
    ratios = pd.read_csv(tiny_workflow.folder / "results/fig1b.csv")
    assert ratios.ratio.isna().all()
    errors = pd.read_csv(tiny_workflow.folder / "results/fig1c.csv")
    assert list(errors.test_error.notna()) == [False, False, True, True, False, False]
