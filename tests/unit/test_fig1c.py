"""What figure 1c draws and its table of test errors, from constructed test accuracies."""

import itertools

import numpy as np
import pytest

from rethinking import paper
from rethinking.analysis.statistics import mean_interval
from rethinking.figures.fig1c import draw

from .curves import dashed_lines, make_run, note, painted, solid_lines, write_run

TRUE, HALF = "cifar10/true_labels/alexnet/none", "cifar10/labels_p0.5/alexnet/none"


def accuracies(name, corrupted, true, seed=0, **options):
    """A run that ends at these test accuracies and was better before."""
    return make_run(name, seed, test_accuracy_corrupted=[80, corrupted], test_accuracy=[90, true], **options)


def test_own_noise_is_named(plugin):
    plugin("@corruption('flips_p{p:0.0..1.0}')\ndef flips(labels, p: float): ...\n")
    runs = {name: [accuracies(name, 70, 70)] for name in (TRUE, HALF.replace("labels", "flips"))}
    figure, table = draw(runs, "some scale")
    assert "Not the paper's noise: flips p0.5." in note(figure)
    assert table.paper_test_error.notna().sum() == 1  # at p = 0
    assert not dashed_lines(figure.axes[0])


def test_both_kinds_of_test_labels_and_the_paper_under_corrupted_ones():
    runs = {
        TRUE: [accuracies(TRUE, 70, 70)],
        HALF: [accuracies(HALF, 30, 50, 0), accuracies(HALF, 20, 60, 1)],
    }
    figure, table = draw(runs, "some scale")
    corrupted, true = figure.axes
    assert corrupted.get_title() == "test labels corrupted at the same p"
    np.testing.assert_allclose(solid_lines(corrupted)[0].get_xydata(), [[0, 0.3], [0.5, 0.75]])
    np.testing.assert_allclose(solid_lines(true)[0].get_xydata(), [[0, 0.3], [0.5, 0.45]])
    # All of the paper's points, whatever p ours have.
    np.testing.assert_allclose(dashed_lines(corrupted)[0].get_xydata(), paper.curves("fig1c")["alexnet"])
    assert not dashed_lines(true)
    assert corrupted.get_ylim() == true.get_ylim() == (0, 1)
    # Where a band has no neighbour, a bar shows the interval.
    bars = [segments for each in corrupted.collections if (segments := each.get_paths())][-1]
    mean, half_width = mean_interval([0.7, 0.8])
    low, high = bars[-1].vertices[:, 1]
    assert (low, high) == pytest.approx((mean - half_width, 1))  # no error is larger
    assert "Intervals are cut" not in note(figure)
    (entry,) = (each for each in figure.legends[0].legend_handles if each.get_label() == "ours, 95 % interval")
    assert entry.get_marker() == "|"
    # The paper tested on corrupted labels alone.
    assert table.paper_test_error.tolist() == pytest.approx([0.3011, np.nan, 0.7634, np.nan], nan_ok=True)
    assert table.test_error.tolist() == pytest.approx([0.3, 0.3, 0.75, 0.45])
    assert table.test_error_ci[2:].tolist() == pytest.approx([half_width, half_width])
    assert note(figure).startswith("Ours: some scale; test error after the last epoch.")
    assert paper.inconsistency("fig1c") in note(figure)
    assert "so we infer that its test labels are corrupted too." in note(figure)


@pytest.mark.parametrize("models", [*itertools.permutations(("inception", "alexnet", "mlp_1x512"))])
def test_equal_points_of_all_networks_are_seen(models):
    names = [TRUE.replace("alexnet", model) for model in models]
    figure, _ = draw({name: [accuracies(name, 80, 80)] for name in names}, "some scale")
    lines = solid_lines(figure.axes[1])
    assert len(lines) == len(models)
    assert all(painted(figure.axes[1], line.get_color()) > 40 for line in lines)


def test_no_mean_without_runs_and_no_number_of_the_paper_with_regularisers():
    _, table = draw({HALF.replace("none", "wd"): []}, "some scale")
    assert table.p.tolist() == [0.5, 0.5]
    assert table[["test_error", "paper_test_error"]].isna().all(axis=None)


def test_diverged_is_said_and_not_in_the_mean():
    runs = {TRUE: [accuracies(TRUE, 70, 70), accuracies(TRUE, 10, 10, 1, diverged=True)]}
    figure, table = draw(runs, "some scale")
    assert table.test_error.tolist() == pytest.approx([0.3, 0.3])
    assert "Diverged and not in the means: true labels (1 of 2)." in note(figure)


def test_note_does_not_grow_with_what_diverged():
    names = [TRUE, *(f"cifar10/labels_p0.{tenth}/alexnet/none" for tenth in range(1, 10))]
    runs = {name: [accuracies(name, 10, 10, diverged=True)] for name in names}
    figure, _ = draw(runs, "some scale")
    assert "labels p0.5 (1 of 1) and 4 more, in the CSV." in note(figure)
    assert "p0.6" not in note(figure)


def test_scale_counts_cells_that_are_not_trained(script, tmp_path):
    write_run(tmp_path, accuracies(TRUE, 60, 80))
    images, numbers = tmp_path / "figure.svg", tmp_path / "figure.csv"
    networks = {"root": tmp_path, "cells": [TRUE, HALF], "seeds": 0}
    script("plot_figure", figure="fig1c", **networks, images=images, numbers=numbers)
    assert "1 epoch; 1 seed; 1 of 2 cells not trained;" in images.read_text()
