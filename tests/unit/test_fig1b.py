"""What figure 1b draws, from constructed times to overfit."""

import matplotlib.colors
import numpy as np
import pytest

from rethinking import paper
from rethinking.figures.fig1b import ARROWS, NOT_REACHED, PANEL, draw

from .curves import dashed_lines, legend, note, solid_lines
from .test_overfitting import HALF, RANDOM, TRUE, fitted_after

ALEXNET = [name.replace("mlp_1x512", "alexnet") for name in (TRUE, HALF, RANDOM)]


def figure_of(times, names=(TRUE, HALF, RANDOM)):
    """Of a network fitted after these epochs, by p = 0, 0.5, 1 and seed."""
    return {
        name: [fitted_after(epochs, name, seed) for seed, epochs in enumerate(seeds)]
        for name, seeds in zip(names, times, strict=True)
    }


def arrows(axes):
    return [line for line in axes.lines if line.get_marker() == NOT_REACHED["marker"]]


def test_a_panel_per_threshold_with_ours_and_the_papers():
    figure, _ = draw(figure_of([[10, 10], [18, 16], [20, 20]]), "some scale")
    titles = [axes.get_title().split("\n")[0] for axes in figure.axes]
    assert titles[0].startswith("end-of-epoch accuracy ≥ 100 %")
    assert titles[3].startswith("end-of-epoch loss ≤ 0.1 nats")
    assert sum("nearest" in title for title in titles) == 1
    for axes in figure.axes:
        (ours,), (published,) = solid_lines(axes), dashed_lines(axes)
        np.testing.assert_allclose(ours.get_xydata(), [[0, 1], [0.5, 1.7], [1, 2]])
        # All of the paper's points, whatever p ours have.
        np.testing.assert_allclose(published.get_xydata(), paper.curves("fig1b")["mlp_1x512"])
        assert matplotlib.colors.same_color(ours.get_color(), published.get_color())
        assert not arrows(axes)
        # |1.7 - 1.786| and |2 - 1.964|; p = 0 does not count.
        assert "0.06, 2 points" in axes.get_title()
    assert "not reached" not in " ".join(legend(figure))
    assert note(figure).startswith("Ours: some scale. Time to overfit: whole epochs")
    assert "paper| 0.06 over 2 points at p > 0. Epochs at p = 0 by it: MLP 1×512 10;" in note(figure)
    assert note(figure).endswith("the paper's ratios are multiples of 1/28 (MLP 1×512).")


def test_not_reached_is_an_arrow_and_a_gap():
    figure, table = draw(figure_of([[10, 10], [18, None], [20, 20]]), "some scale")
    axes = figure.axes[0]
    (line,) = solid_lines(axes)
    np.testing.assert_allclose(line.get_ydata(), [1, np.nan, 2])
    (arrow,) = arrows(axes)
    assert list(arrow.get_xdata()) == [0.5]
    assert 0.9 < arrow.get_ydata()[0] < 1  # of the axes' height
    assert "not reached by every seed" in legend(figure)
    assert "Arrows, whose height means nothing: not every seed" in note(figure)
    assert axes.get_yticks().max() < arrow.get_ydata()[0] * axes.get_ylim()[1]
    assert "reached it: 100 %: 1 of 2; 99.9 %: 1 of 2;" in note(figure)
    assert list(table[table.p == 0.5].reached) == [1] * 8


def test_what_diverged_is_said():
    """Its arrows look like those of a network that only needs more epochs."""
    runs = figure_of([[10, 10], [18, 18]], (TRUE, HALF)) | {RANDOM: [fitted_after(9, RANDOM, diverged=True)]}
    figure, _ = draw(runs, "some scale")
    assert "Diverged, so that they reach no threshold: random labels (1 of 1)." in note(figure)
    assert "Diverged" not in note(draw(figure_of([[10], [None], [20]]), "some scale")[0])


def test_panels_show_the_ends_of_epochs_and_the_csv_both():
    runs = {TRUE: [fitted_after(10, lag=2)], HALF: [fitted_after(15, HALF, lag=6)]}
    figure, table = draw(runs, "some scale")
    for axes in figure.axes:
        np.testing.assert_allclose(solid_lines(axes)[0].get_ydata(), [1, 1.5])
    assert set(table[table.p == 0.5].ratio) == {1.5, 1.75}
    # 1.786 in the paper: a threshold that no panel shows is nearest.
    assert not any("nearest" in axes.get_title() for axes in figure.axes)
    nearest = "whole-epoch accuracy ≥ 100 % is nearest to the paper: mean |ours − paper| 0.04 over 1 point at p > 0."
    assert f"{nearest} Epochs at p = 0 by it: MLP 1×512 12;" in note(figure)


def test_what_is_not_shown_has_no_arrows():
    runs = {TRUE: [fitted_after(10, lag=2)], HALF: [fitted_after(15, HALF, lag=30)]}
    figure, table = draw(runs, "some scale")
    assert table.ratio.isna().sum() == 4
    assert not any(arrows(axes) for axes in figure.axes)
    assert "Arrows" not in note(figure)


def test_start_not_reached_leaves_arrows_alone():
    figure, _ = draw(figure_of([[None], [18], [20]]), "some scale")
    (arrow,) = arrows(figure.axes[2])
    assert list(arrow.get_xdata()) == [0, 0.5, 1]
    assert np.isnan(solid_lines(figure.axes[2])[0].get_ydata()).all()
    assert "nearest" not in note(figure)
    assert "reached it: 100 %: 2 of 3;" in note(figure)


def test_networks_have_rows_of_arrows_of_their_own():
    runs = figure_of([[10], [None], [20]]) | figure_of([[10], [None], [20]], ALEXNET)
    figure, _ = draw(runs, "some scale")
    heights = [line.get_ydata()[0] for line in arrows(figure.axes[0])]
    assert heights[0] - heights[1] == pytest.approx(ARROWS / PANEL)


def test_many_networks_have_room():
    runs = {}
    for model in ("inception", "inception_no_bn", "alexnet", "mlp_3x512", "mlp_1x512"):
        for added in ("none", "wd", "crop+augment+wd"):
            names = [name.replace("mlp_1x512/none", f"{model}/{added}") for name in (TRUE, HALF, RANDOM)]
            runs |= figure_of([[10], [None], [20]], names)
    figure, _ = draw(runs, "some scale")
    figure.draw_without_rendering()
    assert figure.axes[0].get_ylim()[1] > 4
    heights = np.array([line.get_ydata()[0] for line in arrows(figure.axes[0])])
    apart = -np.diff(heights) * figure.axes[0].get_window_extent().height / figure.dpi
    assert apart.min() > 0.2  # inches, which a marker and its arrow take
    assert heights.max() < 1
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert max(title.y1 for title in titles) < figure.legends[0].get_window_extent().y0
    assert min(axes.get_window_extent().y0 for axes in figure.axes) > figure._supxlabel.get_window_extent().y1


def test_arrows_are_above_the_curves():
    figure, table = draw(figure_of([[2], [None], [30]]), "some scale")
    axes = figure.axes[0]
    to_height = axes.get_ylim()[1] * (1 - ARROWS / PANEL)
    assert table.ratio.max() == 15 < to_height


def test_intervals_are_inside_the_axes_or_said_to_be_cut():
    figure, table = draw(figure_of([[10, 10, 10], [18, 16, 20], [20, 22, 24]]), "some scale")
    assert (table.ratio + table.ratio_ci).max() < figure.axes[0].get_ylim()[1] < 3
    assert "Intervals are cut" not in note(figure)
    figure, table = draw(figure_of([[10, 10], [18, 16], [20, 30]]), "some scale")
    assert (table.ratio + table.ratio_ci).max() > 8
    assert figure.axes[0].get_ylim() == pytest.approx((0, 1.08 * 1.5 * 2.5))
    assert note(figure).endswith("Intervals are cut where an axis ends.")


def test_cells_that_are_not_there_are_neither_points_nor_arrows():
    figure, _ = draw({TRUE: [fitted_after(10)], HALF: [], RANDOM: [fitted_after(20, RANDOM)]}, "some scale")
    assert not arrows(figure.axes[0])
    np.testing.assert_allclose(solid_lines(figure.axes[0])[0].get_ydata(), [1, np.nan, 2])


def test_unpaired_seed_is_mentioned():
    runs = {TRUE: [fitted_after(10)], HALF: [fitted_after(20, HALF, 0), fitted_after(20, HALF, 1)]}
    figure, _ = draw(runs, "some scale")
    assert "without a run of their seed at p = 0 are left out" in note(figure)


def test_nothing_trained_shows_the_paper_alone():
    figure, table = draw({TRUE: [], RANDOM: []}, "none of these networks is trained yet")
    assert len(dashed_lines(figure.axes[0])) == 1
    assert "nothing to compare" in figure.axes[0].get_title()
    assert table.ratio.isna().all()
