"""Differences of constructed curves are exact."""

import math

import numpy as np
import pandas as pd
import pytest

from rethinking import paper, registry
from rethinking.analysis.differences import (
    COLUMNS,
    compare,
    mean_and_largest,
    nearest_threshold,
    over_epochs,
    over_p,
)
from rethinking.tables.differences import note, present

SCALE = {"seeds": 3, "diverged": 0, "epochs": 9, "data": "some data"}


def epochs_table(corruption, model, quantity, means, regularisers="none"):
    """Rows of the CSV of a figure over epochs."""
    cell = {"dataset": "cifar10", "corruption": corruption, "model": model, "regularisers": regularisers}
    table = pd.DataFrame({"epoch": range(len(means)), "mean": means}).assign(**cell, quantity=quantity, ci=0.1, **SCALE)
    return table.astype({"epoch": "Int64"})


def ratios(model, threshold, ratios, published, regularisers="none"):
    """Rows of the CSV of figure 1b, at p = 0, 0.5, 1."""
    table = pd.DataFrame({"p": [0.0, 0.5, 1.0], "ratio": ratios, "paper_ratio": published})
    return table.assign(
        dataset="cifar10",
        corruption=["true_labels", "labels_p0.5", "random_labels"],
        model=model,
        regularisers=regularisers,
        threshold=threshold,
        **SCALE,
    )


def test_mean_and_largest():
    assert mean_and_largest(pd.Series([-0.5, 0, 2], [10, 20, 30])) == {
        "points": 3,
        "mean_difference": pytest.approx(2.5 / 3),
        "largest_difference": 2.0,
        "largest_at": 30.0,
    }


def test_nothing_to_compare():
    found = mean_and_largest(pd.Series(dtype=float))
    assert found["points"] == 0
    assert math.isnan(found["mean_difference"])


def test_ours_is_interpolated_at_the_papers_points():
    ours = pd.DataFrame({"epoch": [0, 1, 2, 3], "mean": [100.0, 10.0, 20.0, 10.0]})
    published = np.array([[0.998, 9.0], [1.5, 15.0], [2.25, 20.5]])
    found = over_epochs(ours, published)
    # 10 - 9, 15 - 15 and 17.5 - 20.5
    assert found["points"] == 3
    assert found["mean_difference"] == pytest.approx(4 / 3)
    assert (found["largest_difference"], found["largest_at"]) == pytest.approx((3.0, 2.25))


def test_compared_from_our_first_whole_epoch_to_our_last():
    ours = pd.DataFrame({"epoch": [0, 1, 2], "mean": [100.0, 1.0, 1.0]})
    published = np.array([[0.5, 7.0], [1.0, 2.0], [2.0, 3.0], [3.0, 9.0]])
    found = over_epochs(ours, published)
    assert (found["points"], found["largest_difference"]) == (2, 2.0)


def test_only_where_both_have_a_point():
    points = pd.DataFrame({"p": [0.1, 0.2, 0.3], "ratio": [1.0, math.nan, 2.0], "paper_ratio": [1.5, 9.0, math.nan]})
    found = over_p(points, "ratio")
    assert (found["points"], found["mean_difference"], found["largest_at"]) == (1, 0.5, 0.1)


def test_figure_1a_is_compared_for_the_inception():
    table = pd.concat(
        [
            epochs_table("gaussian", "inception", "train_loss_end", [3.0, 2.0]),
            epochs_table("gaussian", "inception", "train_loss", [3.5, 2.4]),
            epochs_table("gaussian", "alexnet", "train_loss_end", [3.0, 2.0]),
            epochs_table("gaussian", "inception", "train_loss_end", [3.0, 2.0], regularisers="wd"),
        ]
    )
    (row,) = compare({"fig1a": table}, {"fig1a": {"gaussian": np.array([[1.0, 2.5]])}}).itertuples()
    assert (row.curve, row.unit, row.points, row.mean_difference) == ("gaussian", "nats", 1, 0.5)
    assert row.scale == "some data; 9 epochs; 3 seeds"


def test_figure_2b_is_compared_by_network_and_split():
    table = pd.concat(
        epochs_table(corruption, "inception_no_bn", quantity, [10.0, value])
        for corruption, quantity, value in (
            ("true_labels", "train_accuracy_end", 80.0),
            ("true_labels", "train_accuracy", 75.0),
            ("true_labels", "test_accuracy", 70.0),
            ("true_labels", "best_test_accuracy", 70.0),
            ("random_labels", "test_accuracy", 70.0),
        )
    )
    published = {
        f"{split}_inception_no_bn": np.array([[1.0, value]]) for split, value in (("train", 81.0), ("test", 72.0))
    }
    found = compare({"fig2b": table}, {"fig2b": published})
    assert list(found.curve) == ["train_inception_no_bn", "test_inception_no_bn"]
    assert list(found.mean_difference) == [1.0, 2.0]


def test_cell_that_is_not_there_has_no_points():
    table = epochs_table("gaussian", "inception", "train_loss_end", [math.nan]).assign(epoch=pd.NA, data=None)
    found = compare({"fig1a": table.astype({"epoch": "Int64"})}, {"fig1a": {"gaussian": np.ones((4, 2))}})
    assert (found.points[0], found.paper_points[0]) == (0, 4)
    assert "0 of 4" in str(registry.entry("table", "curve_differences").call().present(found)[0].table)


def test_figure_1b_leaves_out_the_start():
    points = [1.0, 1.5, 3.0], [1.0, 1.4, 2.7]
    table = pd.concat(ratios("alexnet", "99 %", *points, regularisers) for regularisers in ("none", "wd"))
    (row,) = compare({"fig1b": table}, {"fig1b": {"alexnet": np.ones((3, 2))}}).itertuples()
    assert (row.variant, row.points, row.largest_at) == ("99 %", 2, 1.0)
    assert row.mean_difference == pytest.approx(0.2)


def test_figure_1c_is_compared_on_corrupted_test_labels():
    columns = {"threshold": "test_labels", "ratio": "test_error", "paper_ratio": "paper_test_error"}
    both = [ratios("alexnet", labels, [0.2, 0.5, 0.9], [0.25, 0.5, 0.9]) for labels in ("true", "corrupted")]
    table = pd.concat(both).rename(columns=columns)
    (row,) = compare({"fig1c": table}, {"fig1c": {"alexnet": np.ones((3, 2))}}).itertuples()
    assert (row.variant, row.points, row.largest_at) == ("corrupted", 3, 0.0)


def test_curves_on_several_data_sets_are_told_apart():
    one = ratios("mlp_1x512", "99 %", [1, 1.5, 1.9], [1, 1.6, 1.8])
    found = compare({"fig1b": pd.concat([one, one.assign(dataset="mnist")])}, {"fig1b": {"mlp_1x512": np.ones((3, 2))}})
    assert list(found.dataset) == ["cifar10", "mnist"]
    title = "MLP 1×512, whole-epoch accuracy ≥ 99 %"
    assert list(present(found)[0].table["", "curve"]) == [f"{title}, CIFAR-10", f"{title}, MNIST"]
    assert list(present(found[:1])[0].table["", "curve"]) == [title]


def test_nearest_threshold_is_over_all_networks():
    table = pd.concat(
        [
            # The means are 0.3 and 0.2; for AlexNet alone it is the other way round.
            ratios("alexnet", "99.9 %", [1, 1.1, 1.1], [1, 1, 1]),
            ratios("inception", "99.9 %", [1, 1.5, 1.5], [1, 1, 1]),
            ratios("alexnet", "99 %", [1, 1.2, 1.2], [1, 1, 1]),
            ratios("inception", "99 %", [1, 1.2, 1.2], [1, 1, 1]),
            # Reached only at small p, where all ratios are near 1.
            ratios("alexnet", "100 %", [1, 1.01, math.nan], [1, 1, 1]),
            # Reached only at p = 0, where every ratio is 1.
            ratios("alexnet", "loss 0.1", [1, math.nan, math.nan], [1, 1, 1]),
        ]
    )
    nearest, measured = nearest_threshold(table)
    assert nearest == "99 %"
    points = {"99.9 %": 4, "99 %": 4, "100 %": 1, "loss 0.1": 0}
    assert {key: each["points"] for key, each in measured.items()} == points
    assert nearest_threshold(table[table.threshold == "loss 0.1"])[0] is None


def test_numbers_have_three_digits_and_epochs_are_whole():
    table = pd.DataFrame({
        "figure": ["fig1a", "fig2b", "fig1c"],
        "dataset": "cifar10",
        "curve": ["gaussian", "train_inception", "alexnet"],
        "unit": "any",
        "mean_difference": [0.46, 123.0, 0.5],
        "largest_difference": [1.0, math.nan, 0.75],
        "largest_at": [20.004, 1.23, 0.3],
        "points": 1,
        "paper_points": 2,
        "scale": "any",
    })  # fmt: skip
    ((_, shown),) = present(table)
    assert shown["mean", "difference"].tolist() == ["0.460", "123", "0.500"]
    assert shown["largest", "difference"].tolist() == ["1.00", "—", "0.750"]
    assert shown["", "at"].tolist() == ["epoch 20", "epoch 1.2", "p = 0.3"]
    assert shown["", "curve"].tolist() == ["gaussian", "Inception, training", "AlexNet"]
    assert ("", "our scale") not in shown
    scales = ["any", "any", "other"]
    assert present(table.assign(scale=scales))[0].table["", "our scale"].tolist() == scales
    assert note(table.assign(scale=scales)).startswith("Absolute")
    table["scale"] = ["any; 1 seed", "any; 2 seeds", "any; 1 seed"]
    assert present(table)[0].table["", "our scale"].tolist() == ["1 seed", "2 seeds", "1 seed"]
    assert note(table).startswith("Ours: any.\n")


def test_script(script, render, tmp_path):
    loss = epochs_table("random_labels", "inception", "train_loss_end", [2.5, 2.3034, 3.3047])
    loss.to_csv(tmp_path / "a.csv", index=False)
    times = ratios("mlp_1x512", "99 %", [1.0, 1.886, math.nan], [1.0, 1.786, 1.964])
    times.to_csv(tmp_path / "b.csv", index=False)
    csv = tmp_path / "curve_differences.csv"
    script("compare_curves", fig1a=tmp_path / "a.csv", fig1b=tmp_path / "b.csv", output=csv)
    table = pd.read_csv(csv)
    assert list(table) == list(COLUMNS)
    assert list(table.figure) == ["fig1a", "fig1b"]
    assert list(table.paper_points) == [len(paper.curve("fig1a_random_labels")), 10]
    assert list(table.mean_difference) == pytest.approx([0.5, 0.1], abs=1e-3)
    markdown, latex = render("curve_differences", csv)
    assert "MLP 1×512, whole-epoch accuracy ≥ 99 %" in markdown
    assert "Ours: some data; 9 epochs; 3 seeds." in markdown
    assert "moving averages over batches at the end of each epoch, which we infer the paper's to be" in markdown
    assert r"\toprule" in latex
