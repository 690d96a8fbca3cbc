"""Rademacher complexity, stability, and the names of the cells that they are measured on."""

import math

import numpy as np
import pytest

from rethinking.analysis.statistics import mean_interval
from rethinking.cells import Cell, replaced_example, sample_size
from rethinking.config.results import CapacityConfig
from rethinking.figures.capacity import plot
from rethinking.measures.rademacher import massart_bound, rademacher_table, vc_order
from rethinking.measures.stability import MEASURED, loss_changes, stability_table
from rethinking.run.files import UserError
from rethinking.tables.beyond import note_rademacher, note_stability, present_rademacher, present_stability

from ..summaries import make_data, make_summary
from .curves import legend, note

RANDOM = "cifar10/random_signs_n500/mlp_1x512/none"
TRUE = RANDOM.replace("random", "true")
BASE = "cifar10/true_labels/mlp_1x512/none"
REPLACED = "cifar10/true_labels_replaced0/mlp_1x512/none"


def summary(name, seed=0, train=100.0, test=50.0, **values):
    given = {"train_accuracy": train, "test_accuracy": test, "test_accuracy_corrupted": test} | values
    return make_summary(f"{name}/seed{seed}", data=make_data(train=500), **given)


# --- names --------------------------------------------------------------------------------------------


def test_cells_of_capacity_are_cells():
    for name in (RANDOM, TRUE, REPLACED, REPLACED.replace("true", "random")):
        assert Cell.from_name(name, 0).name == name
    assert sample_size("random_signs_n500") == 500
    assert replaced_example("random_labels_replaced12") == 12
    assert sample_size("random_labels") is replaced_example("random_labels") is None


def test_a_replacement_has_the_draws_of_the_cell_without():
    cell = Cell.from_name(REPLACED, 4)
    assert cell.base == Cell.from_name(BASE, 4)
    assert cell.stream_key == Cell.from_name(BASE, 4).stream_key
    assert Cell.from_name(RANDOM, 4).base == Cell.from_name(RANDOM, 4)


def test_a_replacement_needs_the_cell_that_it_is_compared_with():
    CapacityConfig(cells=[RANDOM, BASE, REPLACED])
    with pytest.raises(ValueError, match=f"compared with '{BASE}'; list it too"):
        CapacityConfig(cells=[RANDOM, REPLACED])


# --- Rademacher complexity ----------------------------------------------------------------------------


def test_complexity_is_the_mean_correlation_with_the_signs():
    signs, predictions = np.array([1, 1, -1, 1, -1]), np.array([1, 1, -1, -1, -1])
    accuracy = 100 * np.mean(signs == predictions)
    table = rademacher_table([RANDOM], [summary(RANDOM, train=accuracy)], {"mlp_1x512": 2})
    assert table.rademacher[0] == pytest.approx(np.mean(signs * predictions))


def test_table_has_draws_gap_and_bound():
    summaries = [
        summary(RANDOM, 0),
        summary(RANDOM, 1, train=96.0),
        summary(RANDOM, 2, status="diverged", train=None, test=None),
        summary(TRUE, 0, test=60.0, test_accuracy_corrupted=1.0),  # against random signs
        summary(TRUE, 1, train=98.0, test=70.0),
        summary(BASE),
    ]
    table = rademacher_table([RANDOM, TRUE, BASE], summaries, {"mlp_1x512": 2})
    (row,) = (row for _, row in table.iterrows())
    assert (row.rademacher, row.rademacher_ci) == pytest.approx(mean_interval([1, 0.92]))
    assert (row.gap, row.gap_ci) == pytest.approx(mean_interval([0.4, 0.28]))
    assert (row.n, row.seeds, row.diverged) == (500, 2, 1)
    assert row.vc_order == pytest.approx(1209866 * 2 * math.log2(1209866))
    assert row.vc_bound == 1
    assert (row.gap_seeds, row.gap_diverged) == (2, 0)
    (shown,) = present_rademacher(table)
    assert shown.table["Rademacher complexity", "draws"].tolist() == ["2 (1 diverged)"]
    assert shown.table["gap", "seeds"].tolist() == ["2"]


def test_networks_on_true_signs_that_diverged_are_mentioned():
    made = [summary(RANDOM, seed, settings={"epochs": 200}) for seed in range(2)]
    made += [summary(TRUE, seed, settings={"epochs": 60}, status="diverged") for seed in (0, 2)]
    made.append(summary(TRUE, 1, settings={"epochs": 60}))
    table = rademacher_table([RANDOM, TRUE], made, {})
    assert table.loc[0, ["seeds", "diverged", "epochs"]].tolist() == [2, 0, 200]
    assert table.loc[0, ["gap_seeds", "gap_diverged", "gap_epochs"]].tolist() == [1, 2, 60]
    (shown,) = present_rademacher(table)
    assert shown.table["gap", "seeds"].tolist() == ["1 (2 diverged)"]
    assert "60 to 200 epochs; 2 to 3 seeds.\n" in note_rademacher(table)
    figure = plot(table, stability_table([], [], {}))
    assert note(figure).endswith("60 to 200 epochs; 2 to 3 seeds; without 2 of 5 networks, which diverged.")


def test_cells_that_are_not_there_have_a_row():
    table = rademacher_table([TRUE, RANDOM], [], {})
    assert len(table) == 1
    assert table[["rademacher", "gap", "vc_bound"]].isna().all(axis=None)
    (row,) = rademacher_table([TRUE, RANDOM], [summary(TRUE)], {"mlp_1x512": 2}).itertuples()
    assert (row.seeds, row.gap, row.parameters, row.vc_bound) == (0, 0.5, 1209866, 1)


def test_massart_bound_is_that_of_the_growth_function():
    """Sauer's lemma with the sum of binomials in place of its bound is a little smaller; random signs smaller still."""
    d, n = 3, 400
    growth = sum(math.comb(n, k) for k in range(d + 1))
    assert math.sqrt(2 * math.log(growth) / n) < massart_bound(d, n) < 1.1 * math.sqrt(2 * math.log(growth) / n)
    rng = np.random.default_rng(0)
    # Thresholds on a line have VC dimension 1.
    partial = np.cumsum(rng.choice([-1, 1], (300, n)), axis=1)
    largest = (2 * np.maximum(partial.max(1), 0) - partial[:, -1]) / n
    assert largest.mean() < massart_bound(1, n) < 1
    assert massart_bound(n, n) == massart_bound(10 * n, n) == 1
    assert vc_order(1024, 3) == 1024 * 3 * 10


# --- stability ----------------------------------------------------------------------------------------


def predictions(train, test, classes):
    return {
        "train_confidence": np.array(train, dtype=np.float32),
        "test_confidence": np.array(test, dtype=np.float32),
        "test_prediction": np.array(classes),
    }


def test_changes_leave_out_what_was_exchanged_and_take_it_from_beside():
    before = predictions([0.9, 0.8, 0.7], [0.5, 0.5, 0.5, 0.5], [1, 2, 3, 4])
    after = predictions([0.9, 0.0, 0.6], [0.6, 1.0, 0.5, 0.3], [1, 0, 0, 4])
    found = loss_changes(before, after, places=(1, 1), exchanged=[-0.05, 0.1])
    assert found["test_change"] == pytest.approx(0.2)
    assert found["mean_change"] == pytest.approx(0.1)
    assert found["all_change"] == pytest.approx(0.2)
    assert found["changed_predictions"] == pytest.approx(100 / 3)
    assert loss_changes(before, after, (1, 1), [-0.95, 0.1])["all_change"] == pytest.approx(0.95)
    after["train_confidence"][2] = 0.1
    assert loss_changes(before, after, (1, 1), [-0.05, 0.1])["all_change"] == pytest.approx(0.6)


def test_without_other_test_images_there_is_no_stability():
    only = predictions([0.9], [0.5], [1])
    with pytest.raises(UserError, match="give at least two"):
        loss_changes(only, only, (0, 0), [0.1, 0.2])
    two = predictions([0.9], [0.5, 0.5], [1, 2])  # no other training image: only the exchanged ones and a test image
    assert loss_changes(two, two, (0, 0), [0.1, -0.2])["all_change"] == pytest.approx(0.2)


def test_the_largest_over_replacements_is_averaged_over_seeds():
    cells = [BASE, REPLACED, REPLACED.replace("replaced0", "replaced1")]
    values = {(0, 0): 0.1, (0, 1): 0.3, (1, 0): 0.2, (1, 1): 0.0}
    changes = {
        Cell.from_name(cells[1 + number], seed): dict.fromkeys(
            ("test_change", "all_change", "mean_change", "changed_predictions"), value
        )
        for (seed, number), value in values.items()
    }
    # The gap is on test labels corrupted like the training labels.
    summaries = [summary(name, seed, test=50.0 + seed, test_accuracy=1.0) for name in cells for seed in (0, 1)]
    (row,) = (row for _, row in stability_table(cells, summaries, changes).iterrows())
    assert (row.test_change, row.test_change_ci) == pytest.approx(mean_interval([0.3, 0.2]))
    assert (row.gap, row.gap_ci) == pytest.approx(mean_interval([0.5, 0.49]))
    assert (row.corruption, row.pairs, row.seeds) == ("true_labels", 4, 2)
    assert row.needed == pytest.approx(1 / math.sqrt(500))


def test_replacements_that_are_not_trained_have_a_row():
    table = stability_table([BASE, REPLACED], [summary(BASE)], {})
    assert (table.pairs[0], table.gap[0]) == (0, 0.5)
    (shown,) = present_stability(table)
    assert shown.table["gap", "seeds"].tolist() == ["1"]
    assert "100 epochs; 1 seed.\n" in note_stability(table)
    assert "100 epochs; 1 seed." in note(plot(rademacher_table([], [], {}), table))
    assert math.isnan(table.all_change[0])


def test_replacements_that_diverged_are_counted():
    """One of seed 0's two; both of seed 1, as the network without a replacement diverged; seed 2 is not trained."""
    cells = [BASE, REPLACED, REPLACED.replace("replaced0", "replaced1")]
    summaries = [summary(name, seed) for name in cells for seed in (0, 1)]
    for each in summaries:
        if each["cell"] in (f"{cells[2]}/seed0", f"{BASE}/seed1"):
            each["status"] = "diverged"
    values = dict.fromkeys(("test_change", "all_change", "mean_change", "changed_predictions"), 0.1)
    table = stability_table(cells, summaries, {Cell.from_name(REPLACED, 0): values})
    assert table.loc[0, ["seeds", "pairs", "diverged", "pairs_diverged"]].tolist() == [1, 1, 1, 3]
    assert table.loc[0, ["gap_seeds", "gap_diverged"]].tolist() == [1, 1]
    (shown,) = present_stability(table)
    assert shown.table["", "replaced"].tolist() == ["1 (3 diverged)"]
    assert "; without 3 of 4 replacements, which diverged." in note(plot(rademacher_table([], [], {}), table))


def test_bars_are_in_the_legend_where_there_are_any():
    cells, seeds = [RANDOM, TRUE], (0, 1)
    for some, shown in ((seeds[:1], 0), (seeds, 1)):
        made = [summary(cell, seed, test=50.0 + seed) for cell in cells for seed in some]
        figure = plot(rademacher_table(cells, made, {}), stability_table(cells, made, {}))
        assert legend(figure).count("95 % interval over seeds") == shown


def test_axes_and_note_say_what_gap_and_loss_are():
    """In the figure of complexity measures the gap is in points, and elsewhere a loss is a cross-entropy."""
    left, right = rademacher_table([RANDOM], [], {}), stability_table([BASE, REPLACED], [], {})
    figure = plot(left, right)
    assert [figure.axes[0].get_ylabel(), figure.axes[1].get_xlabel()] == [
        "complexity, gap (fraction)",
        "generalisation gap (fraction)",
    ]
    assert "Loss: one minus the probability" in note(figure)
    assert "Loss" not in note(plot(left, right[:0]))


def test_negative_values_are_inside_the_axes():
    """Fits worse than chance, and test errors below those of training."""
    made = [summary(RANDOM, train=45.0), summary(TRUE, train=50.0, test=59.0), summary(BASE, train=40.0, test=70.0)]
    changes = {Cell.from_name(REPLACED, 0): dict.fromkeys(MEASURED, 0.1)}
    figure = plot(rademacher_table([RANDOM, TRUE], made, {}), stability_table([BASE, REPLACED], made, changes))
    left, right = figure.axes
    assert left.get_ylim() == pytest.approx((-0.15, 1.05))
    assert right.get_xlim() == pytest.approx((-0.35, 1.05))
    assert right.get_ylim() == pytest.approx((-0.05, 1.05))


def test_means_and_intervals_are_drawn():
    more = [name.replace("n500", "n1000") for name in (RANDOM, TRUE)]
    cells = [*more, RANDOM, TRUE, BASE, REPLACED]  # from the larger n to the smaller
    made = [summary(more[0], train=80.0), summary(more[1], test=90.0)]
    for seed in (0, 1):
        made += [summary(RANDOM, seed, train=100.0 - 4 * seed), summary(TRUE, seed, test=60.0 + 10 * seed)]
        made.append(summary(BASE, seed, test=80.0 + 10 * seed))
    changes = {
        Cell.from_name(REPLACED, seed): dict.fromkeys(MEASURED, 0.1) | {"all_change": 0.2 + 0.4 * seed}
        for seed in (0, 1)
    }
    figure = plot(rademacher_table(cells, made, {}), stability_table(cells, made, changes))
    left, right = figure.axes
    for drawn, first, second in zip(left.containers, ([1, 0.92], [0.4, 0.3]), (0.6, 0.1), strict=True):
        mean, half_width = mean_interval(first)
        assert drawn.lines[0].get_xydata() == pytest.approx(np.array([[500, mean], [1000, second]]))
        assert drawn.lines[2][0].get_segments()[0][:, 1] == pytest.approx([mean - half_width, mean + half_width])
    (drawn,) = right.containers
    gap, change = mean_interval([0.2, 0.1]), mean_interval([0.2, 0.6])
    assert drawn.lines[0].get_xydata()[0] == pytest.approx([gap[0], change[0]])
    bars = [bar.get_segments()[0] for bar in drawn.lines[2]]
    assert bars[0][:, 0] == pytest.approx([gap[0] - gap[1], gap[0] + gap[1]])
    assert bars[1][:, 1] == pytest.approx([change[0] - change[1], change[0] + change[1]])
    assert [line.get_ydata()[0] for line in right.lines if line.get_linestyle() == ":"] == pytest.approx([500**-0.5])
    assert note(figure).endswith(" Intervals are cut where an axis ends.")


def test_an_empty_panel_says_why():
    def said(*made):
        figure = plot(rademacher_table([RANDOM, TRUE], made, {}), stability_table([BASE, REPLACED], made, {}))
        return [axes.texts[0].get_text() if axes.texts else "" for axes in figure.axes]

    cells = (RANDOM, TRUE, BASE, REPLACED)
    assert said() == ["not trained", "not trained"]
    assert said(*(summary(cell, status="diverged") for cell in cells)) == ["diverged", "diverged"]
    assert said(summary(TRUE)) == ["", "not trained"]  # its gap is drawn
    rademacher, stability = rademacher_table([RANDOM], [], {}), stability_table([BASE, REPLACED], [], {})
    for tables in ((rademacher, stability[:0]), (rademacher[:0], stability)):
        texts = [axes.texts[0].get_text() for axes in plot(*tables).axes]
        assert texts == ["not asked for" if table.empty else "not trained" for table in tables]
    (text,) = plot(rademacher[:0], stability[:0]).texts
    assert "asked for" in text.get_text()


def test_legend_has_what_is_drawn():
    made = [summary(cell) for cell in (RANDOM, BASE)]
    changes = {Cell.from_name(REPLACED, 0): dict.fromkeys(MEASURED, 0.1)}
    cells = [BASE, REPLACED, BASE.replace("true", "random"), REPLACED.replace("true", "random")]
    figure = plot(rademacher_table([RANDOM], made, {}), stability_table(cells, made, changes))
    assert legend(figure) == ["MLP 1×512", "left: Rademacher complexity", "right: true labels"]


def test_networks_that_differ_in_regularisers_have_lines_of_their_own():
    cells = [name for cell in (RANDOM, TRUE, BASE, REPLACED) for name in (cell, cell.replace("none", "wd"))]
    made = [summary(cell) for cell in cells]
    rademacher, stability = rademacher_table(cells, made, {}), stability_table(cells, made, {})
    figure = plot(rademacher, stability)
    assert legend(figure)[:2] == ["MLP 1×512", "MLP 1×512, wd"]
    for (shown,) in (present_rademacher(rademacher), present_stability(stability)):
        assert shown.table["", "regularisers"].tolist() == ["none", "wd"]
    assert len({line.get_color() for line in figure.axes[0].get_lines()[1:]}) == 2
