"""The paper's values under our names."""

import numpy as np
import pytest

from rethinking import paper
from rethinking.training.curves import MOVING_AVERAGE_DECAY

from ..default_config import default_config
from .paper_cells import FIG1A


@pytest.mark.parametrize(
    ("table", "dataset", "rows"),
    [("table1", "cifar10", 19), ("table2", "imagenet", 7), ("table4", "cifar10", 6)],
)
def test_a_table_has_a_value_for_each_default_cell(table, dataset, rows):
    names = ["/".join((dataset, *key)) for key in getattr(paper, table)()]
    assert len(names) == rows
    assert names == getattr(default_config(), table).cells, (
        "its default cells are the paper's rows, no others"
    )


def test_accuracies_of_both_tables_are_on_images_without_augmentation():
    assert len(paper.accuracies()) == 19 + 4
    assert paper.accuracies()["random_labels", "alexnet", "wd"]["note"] == "failed to converge"


def test_sizes_are_those_of_table1():
    listed = {(row["model"], row["params"]) for row in paper.read("zhang2017")["table1"]}
    sizes = paper.sizes()
    assert {
        (model, size["parameters"]) for (dataset, model), size in sizes.items() if dataset == "cifar10"
    } == listed
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
