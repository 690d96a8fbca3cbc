"""What figures share: their style, their labels and the files that they are written to."""

import math
import re
from itertools import pairwise

import pandas as pd
import pytest
from matplotlib.figure import Figure

from rethinking import registry
from rethinking.analysis.finding import measure
from rethinking.figures import complexity, drawing, fig1a, fig1b, fig1c, fig2b, finding, legends, memorisation, style
from rethinking.figures.legends import network_titles, short_labels
from rethinking.figures.style import line_styles, model_styles, network_styles, save

from ..summaries import make_summary
from .curves import legend, make_run, note
from .test_fig1a import CELLS, plot


def measured(values=(1.0, 2.0), **columns):
    """A network for each of these values, which all measures have."""
    given = {"gap": [50.0, 60.0], "model": "alexnet", "corruption": "true_labels", "regularisers": "none"}
    return pd.DataFrame(dict.fromkeys(registry.names("measure"), values)).assign(**given | columns)


def plot_measures(networks, tau=1.0):
    ranks = pd.DataFrame({"measure": registry.names("measure"), "tau_all": tau, "tau_data": 0.5})
    return complexity.plot(networks, ranks, "some scale")


def test_labels_name_what_differs():
    names = ["digits/true_labels/mlp_1x512/none", "digits/random_labels/mlp_1x512/wd"]
    assert short_labels(names) == ["true labels, none", "random labels, wd"]
    others = ["cifar10/true_labels/mlp_1x512/none", "digits/true_labels/inception_no_bn/none"]
    assert short_labels(others) == ["CIFAR-10, MLP 1×512", "digits, Inception w/o BatchNorm"]
    assert short_labels(names[:1]) == ["true labels"]


def test_networks_are_called_by_what_they_are():
    networks = [("cifar10", "mlp_1x512", "none"), ("cifar10", "alexnet", "crop+wd")]
    assert list(network_titles(networks).values()) == ["MLP 1×512", "AlexNet, crop+wd"]
    networks.append(("digits", "alexnet", "none"))
    assert network_titles(networks)["digits", "alexnet", "none"] == "AlexNet, digits"


def test_lines_differ():
    markers = [marker for _, marker in line_styles(range(10)).values()]
    assert len(set(markers)) == 10
    assert len(set(line_styles(range(30)).values())) == 30


def test_a_model_has_one_colour_in_all_figures():
    alexnet, mlp = ("cifar10", "alexnet", "none"), ("digits", "mlp_1x512", "none")
    both = network_styles([alexnet, mlp])
    assert network_styles([mlp]) == {mlp: both[mlp]} == {mlp: model_styles(["mlp_1x512"])["mlp_1x512"]}
    again = ("cifar10", "alexnet", "wd")
    assert len(set(network_styles([alexnet, again]).values())) == 2


def test_files(tmp_path):
    paths = [tmp_path / f"fig1a.{ending}" for ending in ("svg", "png", "pdf")]
    again = [path.with_stem("again") for path in paths]
    runs = [make_run(CELLS[0], seed, train_loss_end=[2.5, 1.0 + seed]) for seed in (0, 1)]
    for targets in (paths, again):
        save(plot(runs, scale="Data that cost $5, not $6"), targets)
    for first, second in zip(paths, again, strict=True):
        assert first.stat().st_size > 5000
        assert first.read_bytes() == second.read_bytes()
    svg = paths[0].read_text()
    assert ">training loss (nats)</text>" in svg
    assert "font-family: 'DejaVu Sans', 'Verdana', sans-serif" in svg
    assert ">Ours: Data that cost $5, not $6.</text>" in svg
    assert b"/FontFile2" in paths[2].read_bytes()


@pytest.mark.parametrize(
    ("model", "number", "columns"),
    [("mlp_1x512", 6, 2), ("mlp_1x512", 12, 3), ("inception_no_bn", 12, 2)],
)
def test_many_lines_stand_in_two_columns_of_the_legend_where_they_fit(model, number, columns):
    networks = [("cifar10", model, f"augment+wd{index}") for index in range(number)]
    figure = Figure(figsize=(style.WIDTH, 3), layout="constrained")
    figure.subplots()
    lines = legends.line_entries(network_styles(networks), network_titles(networks))
    styles = legends.style_legend(ours=True, several=True, paper=True)
    legends.finish(figure, lines, styles, "A note.")
    figure.draw_without_rendering()
    shown = figure.legends[0].get_window_extent()
    assert 0 <= shown.x0 < shown.x1 <= figure.bbox.x1
    assert figure.legends[0]._ncols == columns
    assert len(legend(figure)) == len(lines) + len(styles)


def test_long_notes_are_wrapped():
    figure = plot(scale="word " * 100)
    lines = figure.get_supxlabel().splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= legends.NOTE_WIDTH


def test_a_note_breaks_no_line_between_a_number_and_its_sign():
    figure = plot(scale=f"{'x' * (legends.NOTE_WIDTH - 10)} p > 0 and 95 %")
    assert figure.get_supxlabel().split("\n")[1] == "p\N{NO-BREAK SPACE}>\N{NO-BREAK SPACE}0 and 95\N{NO-BREAK SPACE}%."


@pytest.mark.parametrize(
    ("values", "turned"),
    [([500, 5000, 50_000], False), ([16_000], False), ([1000, 2000, 16_000, 20_000, 24_000], True)],
)
def test_numbers_under_an_axis_do_not_meet(values, turned):
    figure = Figure(figsize=(style.WIDTH, 3), layout="constrained")
    axes, _ = figure.subplots(1, 2)
    axes.set_xscale("log")
    drawing.number_ticks(axes, values, 2)
    figure.draw_without_rendering()
    labels = axes.get_xticklabels()
    assert [label.get_text() for label in labels] == [f"{value:,}" for value in values]
    assert {label.get_rotation() for label in labels} == {45 if turned else 0}


def test_a_share_among_the_measures_has_no_unit_prefix(plugin):
    plugin("@measure('critical', title='critical samples', logarithmic=False)\ndef critical(network): ...\n")
    figure = plot_measures(measured([0.9, 0.95], parameters=[2e6, 3e6]))
    figure.draw_without_rendering()
    labels = {
        axes.get_title().split("\n")[0]: [tick.get_text() for tick in axes.get_xticklabels()] for axes in figure.axes
    }
    assert "0.90" in labels["critical samples"]
    assert "2M" in labels["number of parameters"]


def test_each_panel_has_its_measure_over_the_gap():
    names = registry.names("measure")
    networks = measured(**{name: [number + 0.5, number] for number, name in enumerate(names)})
    for number, axes in enumerate(plot_measures(networks, -0.25).axes[: len(names)]):
        (line,) = axes.lines
        assert line.get_xydata().tolist() == [[number + 0.5, 50], [number, 60]]
        assert axes.get_title().endswith("\nτ = −0.25")


def test_networks_with_regularisers_look_different():
    drawn = {}
    for regularisers in (["none", "wd"], ["none", "none"]):
        figure = plot_measures(measured(regularisers=regularisers))
        drawn[regularisers[1]] = {line.get_markeredgecolor() for line in figure.axes[0].lines}
        assert ("with regularisers" in legend(figure)) == (regularisers[1] == "wd")
    assert drawn["none"] < drawn["wd"]


def test_a_measure_that_no_network_has_says_so():
    """Networks that do not fit their labels have no margin."""
    figure = plot_measures(measured(inverse_margin=math.nan), math.nan)
    texts = {axes.get_title(): axes.texts for axes in figure.axes}
    (said,) = texts.pop("inverse margin\nno τ")
    assert said.get_text() == "not defined"
    assert not any(texts.values())


def test_long_titles_of_measures_have_room(plugin):
    title = "mean margin of the training examples at the end"
    plugin("".join(f"@measure('own{i}', title='{title}')\ndef own{i}(network): ...\n" for i in range(4)))
    figure = plot_measures(measured())
    figure.draw_without_rendering()
    places = [axes.title.get_window_extent() for axes in figure.axes]
    assert max(place.x1 for place in places) < figure.bbox.x1
    for left, right in pairwise(places[12:15]):
        assert left.x1 < right.x0


def test_size_of_a_figure_of_many_networks_does_not_grow_with_them(tmp_path, monkeypatch):
    monkeypatch.setattr(complexity, "MOST_VECTORS", 20)
    markers = {}
    for number in (20, 120):
        values = [float(1 + i) for i in range(number)]
        save(plot_measures(measured(values, gap=values)), [tmp_path / "figure.svg"])
        svg = (tmp_path / "figure.svg").read_text()
        markers[number] = svg.count("<use ")
        assert ("<image " in svg) == (number > 20)
    assert markers[120] < 120 < 20 * len(registry.names("measure")) < markers[20]


def test_a_dollar_sign_in_a_title_is_no_mathematics(plugin, tmp_path):
    r"""Of $x^2$ an x² would be left, and \foo ends the figure."""
    title = r"$x^2$ $\foo$"
    plugin(
        f"@model('net', title=r'{title}')\ndef net(shape, classes): ...\n"
        f"@measure('own', title=r'{title}')\ndef own(network): ...\n"
    )
    name = "digits/labels_p0.5/net/none"
    columns = ("unchanged_accuracy", "changed_accuracy_given", "changed_accuracy_true")
    runs = {name: [make_run(name, test_accuracy=[50.0], test_accuracy_corrupted=[50.0])]}
    memorised = {name: [make_run(name, first_epoch=1, **{key: [50.0] for key in columns})]}
    cells = [f"digits/{labels}_labels/net/none" for labels in ("true", "random")]
    found = measure(cells, [make_summary(f"{cell}/seed0", train_accuracy=1.0) for cell in cells])
    drawn = {
        "legend": fig1c.draw(runs, "some scale")[0],
        "beside": memorisation.draw(memorised, "some scale")[0],
        "ticks": finding.plot(found, "some scale"),
        "above": plot_measures(measured([1e-3, 1e5], gap=1.0, model="net")),
    }
    for place, figure in drawn.items():
        save(figure, [tmp_path / f"{place}.svg"])
        assert f">{title}" in (tmp_path / f"{place}.svg").read_text(), place
    ticks = Figure()
    axes = ticks.subplots()
    axes.plot([1, 1e6])
    drawing.log_scale(axes, "y")
    save(ticks, [tmp_path / "powers.svg"])
    assert "mathdefault" not in re.sub("<!--.*?-->", "", (tmp_path / "powers.svg").read_text())


@pytest.mark.parametrize("figure", [fig1a, fig1b, fig1c, fig2b])
def test_the_paper_is_named_where_it_is_drawn(plugin, figure):
    plugin("@dataset('shapes')\ndef shapes(path): ...\n")
    columns = (
        "train_loss_end",
        "train_accuracy",
        "train_accuracy_end",
        "test_accuracy",
        "test_accuracy_corrupted",
    )
    values = {key: [10.0, 90.0, 100.0] for key in columns} | {"train_loss": [2.3, 1.0, 0.01]}
    for dataset, shown in (("cifar10", True), ("shapes", False)):
        name = f"{dataset}/true_labels/inception/none"
        drawn, _ = figure.draw({name: [make_run(name, **values)]}, "some scale")
        assert (style.PAPER_TITLE in legend(drawn)) == shown
        assert (style.PAPER_TITLE in note(drawn)) == shown
