"""The paper's values under our names."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rethinking import paper, registry
from rethinking.report.layout import sections
from rethinking.training.curves import MOVING_AVERAGE_DECAY

from ..default_config import default_config
from .paper_cells import FIG1A

KEPT = Path(__file__).parents[2] / "results" / "reference" / "cifar10"


@pytest.mark.parametrize(
    ("table", "dataset", "rows"),
    [("table1", "cifar10", 19), ("table2", "imagenet", 7), ("table4", "cifar10", 6)],
)
def test_a_table_has_a_value_for_each_default_cell(table, dataset, rows):
    names = ["/".join((dataset, *key)) for key in getattr(paper, table)()]
    assert len(names) == rows
    assert names == getattr(default_config(), table).cells, "its default cells are the paper's rows, no others"


def test_accuracies_of_both_tables_are_on_images_without_augmentation():
    assert len(paper.accuracies()) == 19 + 4
    assert paper.accuracies()["random_labels", "alexnet", "wd"]["note"] == "failed to converge"
    assert "prevent" not in registry.entry("table", "table4").title, "with AlexNet weight decay does prevent it"


def test_sizes_are_those_of_table1():
    listed = {(row["model"], row["params"]) for row in paper.read("zhang2017")["table1"]}
    sizes = paper.sizes()
    assert {(model, size["parameters"]) for (dataset, model), size in sizes.items() if dataset == "cifar10"} == listed
    assert {size["train_images"] for (dataset, _), size in sizes.items() if dataset == "cifar10"} == {50_000}
    assert sizes["imagenet", "inception_v3"] == {"parameters": 23_885_392, "train_images": 1_200_000}


def test_fig1a_points_lie_on_whole_epochs():
    assert paper.steps_per_epoch() == 391
    for corruption in FIG1A:
        curve = paper.curve(f"fig1a_{corruption}")
        assert curve.shape == (69, 2)
        epochs = curve[:-1, 0] * 1000 / paper.steps_per_epoch()  # the last point is cut off by the axes
        np.testing.assert_allclose(epochs, np.arange(1, 69), atol=0.01)


def test_fig2b_training_accuracy_is_a_moving_average():
    """After a late dip in training every batch is right again, and only the average still shows the dip."""
    x, y = paper.curve("fig2b_train_inception_wo_bn").T
    step, error = np.round(1000 * x), 1 - y
    between = np.diff(step)
    late = (step[:-1] > 9000) & (between < 16) & (error[:-1] > 0.005) & (error[1:] < error[:-1])
    per_step = (error[1:][late] / error[:-1][late]) ** (1 / between[late])
    assert len(per_step) > 5
    assert np.median(per_step) == pytest.approx(MOVING_AVERAGE_DECAY, abs=0.002)


def test_inconsistencies_are_those_of_the_papers_numbers():
    rows, curves = paper.table1(), paper.curves("fig2b")
    drawn = 100 * dict(paper.curve("fig1c_alexnet"))[0]
    listed = 100 - rows["true_labels", "alexnet", "none"]["test_accuracy"]
    assert f"{drawn:.1f} % in figure 1c and {listed:.1f} % in table 1" in paper.inconsistency("fig1c")
    drawn, listed = zip(
        *(
            (curves[f"test_{name}"][-1, 1], rows["true_labels", name, "none"]["test_accuracy"])
            for name in ("inception", "inception_no_bn")
        ),
        strict=True,
    )
    said = f"at {drawn[0]:.1f} % test accuracy with batch normalisation and {drawn[1]:.1f} % without"
    assert f"{said}, while table 1 has {listed[0]:.2f} and {listed[1]:.2f} %" in paper.inconsistency("fig2b")
    printed, drawn = paper.table2()["true_labels", "inception_v3", "wd"], paper.curves("fig2a")["train_wd"][-1, 1]
    said = f"{printed['train_accuracy']:.2f} for weight decay alone, beside a top-5 accuracy of"
    said = f"{said} {printed['train_accuracy_top5']:.1f}, is a misprint: the curve of figure 2a ends at {drawn:.1f}"
    assert said in paper.inconsistency("table2")


def test_numbers_of_figure_2b_in_the_report_are_those_of_the_papers_curves():
    (text,) = (each.note for section in sections() for each in section.shown if each.entry.name == "fig2b")
    test = [paper.curves("fig2b")[f"test_{name}"][:, 1] for name in ("inception", "inception_no_bn")]
    below = [curve.max() - curve[-1] for curve in test]
    assert f"{below[0]:.1f} points below their best test accuracy" in text
    assert f"{below[1]:.1f} without" in text
    assert f"at the end of these curves it adds {test[0][-1] - test[1][-1]:.1f}" in text


def test_numbers_of_the_evidence_are_those_of_the_paper_and_of_kept_networks():
    settings, cells = paper.read("zhang2017")["settings"], KEPT / "cells" / "cifar10"
    points = dict(paper.curve("fig1c_inception"))
    clean = 1 - (1 - points[0.5] - 0.5 / 10) / (1 - 0.5)  # a of 1 - ((1 - p) a + p / 10)
    kept = pd.read_csv(KEPT / "fig1c.csv").set_index(["corruption", "model", "test_labels"]).test_error
    ours = kept["labels_p0.5", "inception", "true"]
    said = f"0.71, where a clean test set would give {clean:.2f} (ours: {ours:.2f})"
    assert said in settings["figure1c_test_labels"]["evidence"]
    first = pd.read_csv(cells / "true_labels/inception/none/seed0/curve.csv").loc[1]
    means = f"our epoch mean {first.train_loss:.2f}, our moving average at its end {first.train_loss_end:.2f}"
    assert means in settings["training_curves"]["evidence"]
    assert f"paper {paper.curve('fig1a_true_labels')[0, 1]:.3f}" in settings["training_curves"]["evidence"]
