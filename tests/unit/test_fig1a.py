"""What figure 1a draws, from small constructed curves."""

import math

import matplotlib.colors
import numpy as np
import pytest

from rethinking import paper
from rethinking.analysis.statistics import mean_interval
from rethinking.figures import style
from rethinking.figures.fig1a import draw

from .curves import dashed_lines, legend, make_run, note, solid_lines
from .paper_cells import FIG1A

CELLS = [f"cifar10/{corruption}/inception/none" for corruption in FIG1A]
PAPER = paper.curves("fig1a")
MODELS, ADDED = ("inception", "inception_no_bn", "alexnet"), ("none", "crop+augment+wd")


def finished(losses, seed=0, first_epoch=1, **options):
    """A run with these losses at the ends of epochs; the means over epochs differ from them."""
    means = [loss + 0.5 for loss in losses]
    return make_run(CELLS[0], seed, first_epoch=first_epoch, train_loss=means, train_loss_end=losses, **options)


def plot(*runs, scale="some scale"):
    """A figure in which the first cells have these runs and the others none."""
    return draw({name: runs[index] if index < len(runs) else [] for index, name in enumerate(CELLS)}, scale)[0]


def test_line_is_the_mean_and_band_its_interval():
    figure = plot([finished([3.0, 2.0, 1.0], seed=0), finished([2.0, 1.0, 0.6], seed=1)])
    (line,) = solid_lines(figure.axes[0])
    np.testing.assert_allclose(line.get_xydata(), [[1, 2.5], [2, 1.5], [3, 0.8]])
    (band,) = figure.axes[0].collections
    vertices = band.get_paths()[0].vertices
    at_last = vertices[vertices[:, 0] == 3, 1]
    mean, half_width = mean_interval([1.0, 0.6])
    assert (at_last.min(), at_last.max()) == pytest.approx((mean - half_width, mean + half_width))
    left, right = figure.axes[0].get_xlim()
    assert left == 0
    assert 3 < right < 3.1  # room for the last marker
    assert "ours, 95 % interval" in legend(figure)


def test_one_seed_has_no_band():
    figure = plot([finished([3.0, 2.0])], [finished([3.0, 2.5])])
    assert not figure.axes[0].collections
    assert legend(figure) == [*(name.replace("_", " ") for name in FIG1A), "ours", style.PAPER_TITLE]


def test_paper_is_drawn_in_epochs_and_in_the_colour_of_ours():
    figure = plot([finished([2.4, 1.0])], [finished([2.4, 2.3])])
    dashed = dashed_lines(figure.axes[0])
    assert len(dashed) == len(FIG1A)
    np.testing.assert_allclose(dashed[1].get_ydata(), PAPER["random_labels"][:, 1])
    np.testing.assert_allclose(dashed[1].get_xdata()[:3], [1, 2, 3], atol=0.01)
    for ours, published in zip(solid_lines(figure.axes[0]), dashed, strict=False):
        assert matplotlib.colors.same_color(ours.get_color(), published.get_color())


def test_diverged_seed_is_marked_and_not_in_the_mean():
    figure = plot([finished([2.5, 2.0, 1.0]), finished([2.5, 900.0], seed=1, diverged=True)])
    mean, diverged = solid_lines(figure.axes[0])
    np.testing.assert_allclose(mean.get_ydata(), [2.5, 2.0, 1.0])
    (mark,) = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    top = figure.axes[0].get_ylim()[1]
    assert top < 4  # not 900
    np.testing.assert_allclose(mark.get_xydata(), [[2, top]])
    np.testing.assert_allclose(diverged.get_ydata(), [2.5, top])
    assert "ours, diverged" in legend(figure)


@pytest.mark.parametrize("classes", [2, 100])
def test_curves_start_inside_the_axes(classes):
    """A network that guesses has a loss of ln(classes), whatever the paper's have."""
    start = math.log(classes)
    run = finished([start, start / 2])
    run.summary["data"]["num_classes"] = classes
    figure, _ = draw({"cifar10/true_labels/mlp_1x512/none": [run]}, "some scale")
    assert figure.axes[0].get_ylim() == pytest.approx((0, 1.03 * start))
    assert "larger losses" not in note(figure)


def test_losses_above_the_axes_are_told():
    figure = plot([finished([2.4, 900.0, 1.0])])
    top = figure.axes[0].get_ylim()[1]
    assert top < 4
    assert note(figure).endswith(f" The axis ends at {top:.1f} nats; larger losses are not shown.")
    assert "larger losses" not in note(plot([finished([2.4, 1.0])]))


def test_intervals_above_or_below_the_axes_are_told():
    figure = plot([finished([2.0, 1.2, 0.1]), finished([1.8, 0.8, 0.3], seed=1)])
    assert note(figure).endswith(" Intervals are cut where an axis ends.")
    figure = plot([finished([2.0, 1.2, 0.1]), finished([2.0, 1.2, 0.3], seed=1)])
    assert note(figure).endswith(" Intervals are cut where an axis ends.")
    assert "Intervals are cut" not in note(plot([finished([2.0, 1.0]), finished([2.01, 1.01], seed=1)]))


def test_all_diverged_in_the_first_epoch():
    figure = plot([finished([], diverged=True)])
    assert figure.axes[0].get_xlim()[1] == pytest.approx(1.02 * 68.5, abs=0.1)
    assert "ours" not in legend(figure)


def test_many_cells_with_long_names_have_room():
    names = [
        name.replace("inception/none", f"{model}/{added}") for name in CELLS for model in MODELS for added in ADDED
    ]
    figure, _ = draw({name: [finished([2.4, 1.0])] for name in names}, "some scale")
    figure.draw_without_rendering()
    shown = figure.legends[0].get_window_extent()
    assert shown.y0 >= 0
    assert figure.axes[0].get_window_extent().x1 <= shown.x0
    assert len({(line.get_color(), line.get_marker()) for line in solid_lines(figure.axes[0])}) == len(names)


def test_nothing_trained_shows_the_paper_alone():
    figure = plot()
    assert not solid_lines(figure.axes[0])
    assert legend(figure)[-1] == style.PAPER_TITLE


@pytest.mark.parametrize(("ours", "shown"), [(391, True), (16, False)])
def test_steps_are_shown_where_they_are_the_papers(ours, shown):
    figure = plot([finished([2.4, 1.0, 0.5], steps_per_epoch=ours)])
    assert bool(figure.axes[0].child_axes) == shown
    assert not plot().axes[0].child_axes


def test_numbers_are_those_drawn():
    """Not that of the untrained network, which is no average over batches."""
    figure, numbers = draw({CELLS[0]: [finished([4.8, 2.2, 1.0], first_epoch=0)]}, "some scale")
    assert list(numbers["mean"]) == list(solid_lines(figure.axes[0])[0].get_ydata()) == [2.2, 1.0]
    assert list(numbers.epoch) == [1, 2]
    assert "larger losses" not in note(figure)
    assert set(numbers.quantity) == {"train_loss_end"}
    assert note(figure).startswith("Ours: some scale. Training loss: moving average over batches at the end of")
    assert "We infer that its average_loss is such a moving average too." in note(figure)


def test_the_papers_curves_are_those_of_its_network_alone():
    runs = {f"cifar10/true_labels/{model}/none": [finished([2.0, 1.0])] for model in MODELS}
    runs["cifar10/true_labels/inception/wd"] = [finished([2.0, 1.0])]
    figure, _ = draw(runs, "some scale")
    (published,) = dashed_lines(figure.axes[0])
    np.testing.assert_allclose(published.get_ydata(), PAPER["true_labels"][:, 1])
    others = {name: some for name, some in runs.items() if name != CELLS[0]}
    figure, _ = draw(others, "some scale")
    assert not dashed_lines(figure.axes[0])
    assert style.PAPER_TITLE not in " ".join([*legend(figure), note(figure)])
