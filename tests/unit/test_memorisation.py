"""What the figure on memorisation draws, from constructed accuracies."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np

from rethinking.analysis.statistics import mean_interval
from rethinking.figures.memorisation import LABELS, draw

from .curves import legend, make_run, note, solid_lines

NAME = "cifar10/labels_p{}/{}/none".format


def memorising(name, seed=0, **options):
    """A run that generalises in its first epoch and memorises in its second."""
    columns = {
        "unchanged_accuracy": [60.0, 100.0],
        "changed_accuracy_given": [10.0, 90.0 + seed],
        "changed_accuracy_true": [50.0, 5.0],
    }
    run = make_run(name, seed, first_epoch=1, **columns, **options)
    return replace(run, curve=run.curve[["epoch", "step"]])  # which has none of these


def test_a_row_per_network_and_a_column_per_p():
    names = [NAME(p, model) for model in ("alexnet", "mlp_1x512") for p in (0.5, 0.2)]
    figure, numbers = draw({name: [memorising(name)] for name in names}, "some scale")
    assert len(figure.axes) == 4
    assert [axes.get_title() for axes in figure.axes[:2]] == ["p = 0.2", "p = 0.5"]
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes[::2]] == ["AlexNet", "MLP 1×512"]
    for axes in figure.axes:
        unchanged, given, true = solid_lines(axes)
        np.testing.assert_allclose(unchanged.get_xydata(), [[1, 60], [2, 100]])
        np.testing.assert_allclose(given.get_ydata(), [10, 90])
        np.testing.assert_allclose(true.get_ydata(), [50, 5])
    assert legend(figure) == list(LABELS.values())  # where all is ours nothing says so
    assert note(figure).startswith("Ours: some scale.")
    assert len(numbers) == 4 * 3 * 2


def test_an_own_corruption_stands_beside_the_papers_at_the_same_p(plugin):
    plugin("@corruption('asymmetric_p{p:0.0..1.0}')\ndef noise(labels, p: float):\n    return labels\n")
    names = [f"cifar10/{part}/alexnet/none" for part in ("shuffled_pixels", "asymmetric_p0.5", "labels_p0.5")]
    figure, _ = draw({name: [memorising(name)] for name in names}, "some scale")
    assert [axes.get_title() for axes in figure.axes] == ["shuffled pixels", "asymmetric p0.5", "p = 0.5"]
    assert all(solid_lines(axes) for axes in figure.axes)
    assert "drawn from all classes" in note(figure)
    assert "Not the paper's noise: asymmetric p0.5." in note(figure)
    figure, _ = draw({name: [memorising(name)] for name in names[:2]}, "some scale")
    assert "drawn from all classes" not in note(figure)


def test_own_noise_is_not_taken_for_the_papers_by_its_name(plugin):
    plugin(
        "@corruption('labels_pairflip_p{p:0.0..1.0}')\ndef flip(labels, p: float): ...\n"
        "@corruption('labels_permuted')\ndef permute(labels): ...\n"
    )
    names = [f"cifar10/labels_{part}/alexnet/none" for part in ("permuted", "p0.4", "pairflip_p0.4")]
    figure, _ = draw({name: [memorising(name)] for name in names}, "some scale")
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert titles == ["labels permuted", "p = 0.4", "labels pairflip p0.4"]
    assert "Not the paper's noise: labels permuted, labels pairflip p0.4." in note(figure)
    figure, _ = draw({name: [memorising(name)] for name in names[::2]}, "some scale")
    assert "drawn from all classes" not in note(figure)


def test_band_over_seeds():
    name = NAME(0.5, "alexnet")
    figure, _ = draw({name: [memorising(name, seed) for seed in (0, 2)]}, "some scale")
    given = solid_lines(figure.axes[0])[1]
    np.testing.assert_allclose(given.get_ydata(), [10, 91])
    assert len(figure.axes[0].collections) == 3
    assert "ours, 95 % interval" in legend(figure)
    # No accuracy is above 100 or below 0 %.
    figure, _ = draw({name: [memorising(name, seed) for seed in (0, 10)]}, "some scale")
    band = figure.axes[0].collections[1].get_paths()[0].vertices
    assert set(band[band[:, 0] == 2, 1]) == {95 - mean_interval([90, 100])[1], 100}
    assert "Intervals are cut" not in note(figure)


def test_no_images_with_changed_labels():
    name = "cifar10/true_labels/alexnet/none"
    missing = [math.nan]
    run = make_run(
        name,
        first_epoch=1,
        unchanged_accuracy=[60.0],
        changed_accuracy_given=missing,
        changed_accuracy_true=missing,
    )
    figure, _ = draw({name: [run]}, "some scale")
    assert np.isnan(solid_lines(figure.axes[0])[1].get_ydata()).all()


def test_cells_that_are_not_there():
    names = [NAME(0.2, "alexnet"), NAME(0.5, "mlp_1x512")]
    figure, _ = draw({names[0]: [memorising(names[0])], names[1]: []}, "some scale")
    # For each network one p is not requested; the second network is not trained at all.
    assert [axes.axison for axes in figure.axes] == [True, False, False, True]
    assert [len(axes.lines) for axes in figure.axes] == [3, 0, 0, 0]
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["not trained"]
    # Each row has its name at its first panel, each column "epoch" under its last.
    assert [axes.get_ylabel().split("\n")[0] for axes in figure.axes if axes.axison] == [
        "AlexNet",
        "MLP 1×512",
    ]
    assert [axes.get_xlabel() for axes in figure.axes if axes.axison] == ["epoch", "epoch"]


def test_names_beside_the_rows_do_not_meet():
    names = [NAME(0.5, "inception_no_bn").replace("none", added) for added in ("none", "wd", "crop+wd")]
    figure, _ = draw({name: [memorising(name)] for name in names}, "some scale " * 40)
    figure.draw_without_rendering()
    labels = [axes.yaxis.label.get_window_extent() for axes in figure.axes]
    assert all(lower.y1 < upper.y0 for upper, lower in pairwise(labels))


def test_titles_above_many_columns_do_not_meet():
    names = [NAME(place / 10_000, "alexnet") for place in range(123, 9999, 333)]
    figure, _ = draw({name: [memorising(name)] for name in names}, "some scale")
    figure.draw_without_rendering()
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert len(titles) == 30
    assert all(left.x1 < right.x0 for left, right in pairwise(titles))
