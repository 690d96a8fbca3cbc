"""What figure 2b draws, from constructed accuracies."""

import numpy as np
import pytest

from rethinking import paper
from rethinking.analysis.statistics import mean_interval
from rethinking.claims.measures import NotMeasured, overfitting
from rethinking.figures.fig2b import SHADE, draw, early_stopping_gain, with_best

from .curves import dashed_lines, legend, make_run, note, solid_lines

BN, NO_BN = "cifar10/true_labels/inception/none", "cifar10/true_labels/inception_no_bn/none"


def accuracies(test, name=BN, seed=0, **options):
    """A run with these test accuracies from epoch 0 on; training accuracy over an epoch is below that at its end."""
    train = np.linspace(10, 100, len(test))
    columns = {"train_accuracy": train - 10, "train_accuracy_end": train}
    return make_run(name, seed, **columns, test_accuracy=[float(each) for each in test], **options)


def hatched(axes):
    return [each for each in axes.collections if each.get_hatch() == SHADE["hatch"]]


def test_panels_with_and_without_batch_normalisation():
    runs = {BN: [accuracies([10, 60, 80, 70])], NO_BN: [accuracies([10, 50, 60, 65], NO_BN)]}
    figure, numbers = draw(runs, "some scale")
    assert [axes.get_title() for axes in figure.axes] == ["Inception", "Inception w/o BatchNorm"]
    train, test = solid_lines(figure.axes[0])
    # The untrained network, epoch 0, has no training accuracy over batches.
    np.testing.assert_allclose(train.get_xydata(), [[1, 40], [2, 70], [3, 100]])
    np.testing.assert_allclose(test.get_xydata(), [[1, 60], [2, 80], [3, 70]])
    for axes, network in zip(figure.axes, ("inception", "inception_no_bn"), strict=True):
        published = paper.curves("fig2b")
        for line, split in zip(dashed_lines(axes), ("train", "test"), strict=True):
            np.testing.assert_allclose(line.get_xydata(), published[f"{split}_{network}"])
    best = numbers[(numbers.model == "inception") & (numbers.quantity == "best_test_accuracy")]
    assert list(best["mean"]) == [60, 80, 80]
    assert set(numbers.quantity) == {"train_accuracy_end", "test_accuracy", "best_test_accuracy"}
    assert note(figure).startswith("Ours: some scale. Training accuracy: moving average over batches at the end")
    assert paper.inconsistency("fig2b") in note(figure)
    assert "We infer that its training accuracy is such a moving average too." in note(figure)


def test_hatched_up_to_the_best_so_far():
    figure, _ = draw({BN: [accuracies([10, 60, 80, 70])]}, "some scale")
    (area,) = hatched(figure.axes[0])
    vertices = area.get_paths()[0].vertices
    at_last = vertices[vertices[:, 0] == 3, 1]
    assert (at_last.min(), at_last.max()) == (70, 80)
    assert "up to the best test accuracy so far" in legend(figure)


def test_gain_of_early_stopping_is_by_seed():
    runs = [accuracies([99, 60, 80, 70], seed=0), accuracies([10, 60, 70, 75], seed=1)]
    assert early_stopping_gain(list(map(with_best, runs))) == pytest.approx(mean_interval([10, 0]))
    figure, _ = draw({BN: runs}, "some scale")
    half_width = mean_interval([10, 0])[1]
    gain = f"Inception 5.00 ± {half_width:.2f} (not trained on after it fitted), paper 0.19"
    assert gain in note(figure)
    assert "in percentage points; the paper's over its whole curve, to epoch 51):" in note(figure)


def test_gain_of_early_stopping_is_not_that_of_runs_that_diverged():
    runs = [accuracies([10, 60, 80, 70]), accuracies([10, 90, 20], seed=1, diverged=True)]
    assert early_stopping_gain(list(map(with_best, runs))) == pytest.approx((10, np.nan), nan_ok=True)


def test_gain_of_early_stopping_is_marked_where_the_claim_refuses_it():
    def run(fitted, seed=0):
        """Ten epochs, with 99 % from this epoch on."""
        train = [50.0] * fitted + [99.0] * (11 - fitted)
        made = make_run(BN, seed, train_accuracy=train, train_accuracy_end=train, test_accuracy=[70.0] * 11)
        made.summary["provenance"]["settings"]["epochs"] = 10
        return made

    late = "not trained on after it fitted"
    for runs, said in (
        ([run(6)], "0.00, paper"),
        ([run(7)], f"0.00 ({late}), paper"),
        ([run(11)], "0.00 (did not fit), paper"),
        ([run(6), run(7, 1)], f"0.00 ± 0.00 (1 of 2 {late}), paper"),
        ([run(7), run(11, 1)], f"0.00 ± 0.00 (1 of 2 did not fit, 1 of 2 {late}), paper"),
    ):
        assert f"Inception {said}" in note(draw({BN: runs}, "some scale")[0])
    assert overfitting(run(6)) == 0
    for fitted, why in ((7, "too late"), (11, "never")):
        with pytest.raises(NotMeasured, match=why):
            overfitting(run(fitted))


def test_network_that_is_not_trained():
    figure, _ = draw({BN: [accuracies([10, 60])], NO_BN: []}, "some scale")
    assert "Inception w/o BatchNorm not trained, paper 0.42" in note(figure)
    assert not solid_lines(figure.axes[1])
    assert len(dashed_lines(figure.axes[1])) == 2


@pytest.mark.parametrize("epochs", [1, 2, 8])
def test_few_epochs_have_all_markers(epochs):
    """Spaced along a line, markers would be lost at its start (matplotlib 3.11) or, at one epoch, all."""
    figure, _ = draw({BN: [accuracies([10, *range(60, 60 + epochs)])]}, "some scale")
    assert [line.get_markevery() for line in solid_lines(figure.axes[0])] == [None, None]


def test_cells_of_one_network_are_told_apart_in_rows_of_three():
    names = [BN.replace("none", added) for added in ("none", "wd", "crop", "crop+wd")]
    figure, _ = draw({name: [accuracies([10, 60, 50], name)] for name in names}, "some scale")
    assert [axes.get_title() for axes in figure.axes[:4]] == ["none", "wd", "crop", "crop+wd"]
    assert [axes.axison for axes in figure.axes] == [True] * 4 + [False] * 2
    assert "none 10.00 (not trained on after it fitted), paper 0.19; wd 10.00 (not" in note(figure)


def test_diverged_before_the_first_epoch_ended_is_marked():
    figure, _ = draw({BN: [accuracies([10], diverged=True)]}, "some scale")
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    bottom = figure.axes[0].get_ylim()[0]
    assert [line.get_xydata().tolist() for line in marks] == [[[0, bottom]]] * 2
    assert "ours, diverged" in legend(figure)
    assert "Inception diverged, paper 0.19" in note(figure)


def test_an_accuracy_that_is_not_a_number_is_marked_at_the_bottom():
    figure, _ = draw({BN: [accuracies([10, 60, 80]), accuracies([10, 60, np.nan], seed=1, diverged=True)]}, "any")
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert [line.get_xydata().tolist() for line in marks] == [[[2, 100]], [[2, figure.axes[0].get_ylim()[0]]]]


def test_limits_are_those_of_what_is_drawn():
    name = "cifar10/true_labels/alexnet/none"  # not in the published figure, where accuracies begin at 51 %
    for runs, limits in (
        ([accuracies([10, 90, 80], name)], (50, 2)),
        ([accuracies([10], name, diverged=True)], (0, 1)),
        ([], (0, 1)),
    ):
        axes = draw({name: runs}, "some scale")[0].axes[0]
        bottom, last_epoch = limits
        assert axes.get_ylim() == (bottom, 103)
        assert axes.get_xlim() == pytest.approx((0, 1.02 * last_epoch))


def test_intervals_end_at_100_percent_and_are_told_where_the_axis_cuts_them():
    figure, _ = draw({BN: [accuracies([10, 60, 80]), accuracies([10, 70, 81], seed=1)]}, "some scale")
    ends = [
        area.get_paths()[0].vertices[:, 1].max()
        for area in figure.axes[0].collections
        if area not in hatched(figure.axes[0])
    ]
    assert max(ends) == 100
    assert note(figure).endswith(" Intervals are cut where an axis ends.")
    assert "Intervals are cut" not in note(draw({BN: [accuracies([10, 60, 80])] * 2}, "some scale")[0])


@pytest.mark.parametrize(
    ("name", "title"),
    [("cifar10/random_labels/inception/none", "random labels"), ("cifar10/true_labels/inception/wd", "wd")],
)
def test_other_cells_have_no_curve_of_the_paper(name, title):
    figure, _ = draw({BN: [], name: [accuracies([10, 60], name)]}, "some scale")
    assert figure.axes[1].get_title() == title
    assert not dashed_lines(figure.axes[1])
    figure, _ = draw({name: [accuracies([10, 60], name)]}, "some scale")
    assert "in percentage points):" in note(figure)
