"""What all figures share: style, drawing means over seeds, writing files."""

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from rethinking import registry
from rethinking.analysis.runs import NETWORK, Network, Run, mean_curve, published_over_p
from rethinking.analysis.statistics import LEVEL
from rethinking.paper.titles import DATASET_TITLES, MODEL_TITLES
from rethinking.run.files import atomic_path
from rethinking.run.scripts import attempt

STYLE = {
    # First matplotlib's defaults, whatever a matplotlibrc in the home or the working folder says.
    **{key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"},
    **sns.axes_style("ticks"),
    **sns.plotting_context("paper"),
    # The font that matplotlib ships, so that figures are the same on every machine. The text of an SVG is drawn by the
    # browser, which may lack it; Verdana is as wide.
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "legend.frameon": False,
    "savefig.dpi": 200,
    # TrueType in PDF and text as text in SVG: both can be searched and edited.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    # Otherwise identifiers in SVG are random.
    "svg.hashsalt": "rethinking",
}
METADATA = {".svg": {"Date": None}, ".png": {}, ".pdf": {"CreationDate": None}}

Colour = tuple[float, float, float]
COLOURS: list[Colour] = sns.color_palette("colorblind")
MARKERS = "osD^vP*X<>"  # tell lines apart where the print has no colour
GREY = "0.35"
FILLS = {"true_labels": "full", "random_labels": "none"}  # of markers, by what is corrupted
# Markers are spaced along the drawn lines, so that steep parts also have some; the paper's are between ours.
OUR_LINE = {"markersize": 5, "markevery": (0.04, 0.12)}
FEW_POINTS = 10  # fewer are all marked; along a line without length no marker can be spaced
DASHED = (0, (4, 1.5))
PAPER_LINE = {
    "linestyle": DASHED,
    "linewidth": 0.9,
    "markersize": 4.5,
    "markevery": (0.1, 0.12),
    "markerfacecolor": "white",
    "markeredgewidth": 0.8,
}
BAND = {"alpha": 0.25, "linewidth": 0}
DIVERGED = {"marker": "x", "linestyle": "", "markersize": 7, "markeredgewidth": 1.5}
PAPER_TITLE = "Zhang et al. (2017)"
WIDTH = 6.5  # inches: the text of a page
NOTE_WIDTH = 128  # characters of a line under a figure
PANELS_WIDTH = 75  # characters of the titles above a row of panels
LEGEND_WIDTH = 52  # characters of a line of a legend above a figure
MOST_LINES = 6  # of a legend in one column, if there is room for two
THREE_COLUMNS = 70  # characters of a line of a legend with three columns
# Lines of a note and of a legend: their height in inches, and how many a figure has room for as it is.
NOTE_LINES, LEGEND_LINES = (0.11, 6), (0.183, 3)
MOST_LISTED = 6  # items of a list in a note
TICK_LABELS = 90  # characters of tick labels under a row of panels


def save(figure: Figure, paths: Iterable[str | Path]) -> None:
    """Write a figure in the format of each path's ending; equal figures give equal bytes.

    Some faults only show here, when a figure is drawn; then one that says why takes its place.
    """
    take_literally(figure)
    for path in map(Path, paths):
        with atomic_path(path) as temporary, mpl.rc_context(STYLE):
            how = {"fname": temporary, "metadata": METADATA[path.suffix]}
            attempt(lambda reason, how=how: not_drawn(reason).savefig(**how), figure.savefig, **how)


def take_literally(figure: Figure) -> None:
    """Show a dollar sign as it is written: in a title of a plug-in it would start mathematics, which may be none.

    Numbers at ticks stay mathematics, which powers of ten are.
    """
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    for text in texts:
        text.set_parse_math(False)


def not_drawn(reason: str) -> Figure:
    """A figure that says in its place why it could not be drawn."""
    return sentence(f"This figure could not be drawn from these numbers: {reason}")


@mpl.rc_context(STYLE)
def sentence(text: str) -> Figure:
    """A figure of words, where there is nothing to draw."""
    figure = Figure(figsize=(WIDTH, 1.5))
    wrapped = textwrap.fill(text, 80)
    figure.text(0.5, 0.5, wrapped, ha="center", va="center", color=GREY, parse_math=False)
    return figure


# ---- lines


def log_scale(axes: Axes, *which: str) -> None:
    """Logarithmic axes ``x`` or ``y``; one on which nothing is above zero stays as it is, because it would have no ticks."""
    for name in which:
        if np.isfinite(axes.dataLim.minpos["xy".index(name)]):
            axes.set(**{f"{name}scale": "log"})


def number_ticks(axes: Axes, values: Iterable[float], columns: int, form: str = "{:,}", **text: Any) -> None:
    """Ticks at these values of a logarithmic x-axis in a row of so many panels; labels that would meet are turned."""
    values = sorted(set(values))
    labels = [form.format(value) for value in values]
    spacing = np.diff(np.log(values))
    needed = [(len(one) + len(other)) / 2 for one, other in pairwise(labels)]
    crowded = any(spacing / spacing.sum() * TICK_LABELS / columns < needed)
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if crowded else {}
    axes.set_xticks(values, labels, **turned, **text)
    axes.set_xticks([], minor=True)


def epoch_axis(axes: Axes, last_epoch: float, nbins: int | str = "auto") -> None:
    """Whole epochs up to the last one, with room for its marker."""
    axes.set_xlim(0, 1.02 * max(last_epoch, 1))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=nbins, steps=[1, 2, 5, 10], integer=True))


def empty_panel(axes: Axes, why: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", color=GREY)


def plot_runs(axes: Axes, runs: Sequence[Run], column: str, colour: Colour, marker: str) -> None:
    """Draw a column of the curves of one cell: mean and interval of the finished seeds, and each diverged seed."""
    curve = mean_curve(runs, column)
    if len(curve):
        plot_mean(axes, curve.epoch, curve["mean"], curve.ci, color=colour, marker=marker, **OUR_LINE)
    for run in runs:
        if run.diverged:
            left, (bottom, top) = axes.get_xlim()[0], axes.get_ylim()
            # Values above the axes are drawn at the edge, so that the last of them can be marked.
            values = run.curve[column].clip(upper=top)
            axes.plot(run.curve.epoch, values, color=colour)
            # A value that is not a number is marked as the worst, which an accuracy has at the bottom.
            worst = top if "loss" in column else bottom
            end = (run.curve.epoch.iloc[-1], values.fillna(worst).iloc[-1]) if len(values) else (left, worst)
            axes.plot(*end, color=colour, **DIVERGED, clip_on=False)


def plot_mean(axes: Axes, x: pd.Series, mean: pd.Series, half_width: pd.Series, **line: object) -> None:
    """A line of means and, where they have half widths, a band of intervals."""
    if np.isfinite(mean).sum() < FEW_POINTS:
        line = line | {"markevery": None}
    axes.plot(x, mean, **line)
    if half_width.notna().any():
        axes.fill_between(x, mean - half_width, mean + half_width, color=line["color"], **BAND)


def paper_curves(table: pd.DataFrame, published: Mapping[str, np.ndarray]) -> Iterator[tuple[Network, np.ndarray]]:
    """The paper's curves over p of the networks of a table that it has, whatever p ours have."""
    for network, points in table.groupby(NETWORK, sort=False):
        curve = published_over_p(published, network, points.corruption)
        if len(curve):
            yield network, curve


def plot_over_p(
    axes: Axes,
    table: pd.DataFrame,
    column: str,
    styles: Mapping[Network, tuple[Colour, str]],
    published: Mapping[str, np.ndarray],
) -> None:
    """The values of networks over the label corruption p, the paper's dashed beneath.

    Args:
        axes: where to draw.
        table: one row per network and ``p`` with ``column`` and ``{column}_ci``; a line breaks where its value is missing.
        column: what to draw.
        styles: colour and marker of each network.
        published: the paper's curves by model, as :func:`rethinking.paper.curves` has them.
    """
    axes.set_xlim(-0.03, 1.03)
    for network, curve in paper_curves(table, published):
        colour, marker = styles[network]
        axes.plot(*curve.T, color=colour, marker=marker, **PAPER_LINE | {"markevery": None})
    size = marker_sizes(styles)
    for network, points in table.groupby(NETWORK, sort=False):
        colour, marker = styles[network]
        line = {"color": colour, "marker": marker, "markersize": size[network]}
        mean, half_width = points[column], points[f"{column}_ci"]
        plot_mean(axes, points.p, mean, half_width, **line)
        # A band needs two neighbouring points; error bars are also visible at a single one.
        axes.vlines(points.p, mean - half_width, mean + half_width, color=colour, linewidth=0.8)


# ---- legends, labels and notes


def style_legend(ours: bool, several: bool, paper: bool, diverged: bool = False) -> list[Artist]:
    """Legend entries for the line styles that occur; ``several`` says whether means are over several seeds."""
    entries: list[Artist] = []
    if ours and (several or paper or diverged):  # else there is nothing to tell it from
        label = "ours, mean over seeds" if several else "ours"
        entries.append(Line2D([], [], color=GREY, marker="o", **OUR_LINE, label=label))
    if several:
        entries.append(Patch(**BAND, color=GREY, label=f"ours, {LEVEL} interval"))
    if diverged:
        entries.append(Line2D([], [], color=GREY, **DIVERGED, label="ours, diverged"))
    if paper:
        entries.append(Line2D([], [], color=GREY, marker="o", **PAPER_LINE, label=PAPER_TITLE))
    return entries


def runs_legend(runs: Mapping[str, Sequence[Run]], paper: bool) -> list[Artist]:
    """:func:`style_legend` of figures drawn by :func:`plot_runs`."""
    finished = [sum(not run.diverged for run in some) for some in runs.values()]
    diverged = any(run.diverged for some in runs.values() for run in some)
    return style_legend(any(finished), max(finished, default=0) > 1, paper, diverged)


def legend_above(figure: Figure, lines: Sequence[Artist], styles: Sequence[Artist]) -> None:
    """A legend above all panels: the lines in its first column, or two if many, the meaning of their styles in the last."""
    half = math.ceil(len(lines) / 2)
    columns = [lines[:half], lines[half:], styles]
    width = sum(max((len(each.get_label()) for each in column), default=0) for column in columns)
    if len(lines) <= MOST_LINES or width > THREE_COLUMNS:
        columns = [lines, styles]
    columns = list(filter(None, columns))
    height = max(map(len, columns))
    blank = [Line2D([], [], linestyle="", label="")] * height
    handles = [handle for column in columns for handle in [*column, *blank][:height]]
    add_legend(figure, handles, LEGEND_WIDTH, loc="outside upper center", ncols=len(columns))
    make_room(figure, sum(each.get_label().count("\n") for each in lines) + height, *LEGEND_LINES)


def finish(figure: Figure, lines: Sequence[Artist], styles: Sequence[Artist], note: str) -> None:
    """Open the frames at the top and on the right, and put the legend above the panels and the note below."""
    sns.despine(figure)
    legend_above(figure, lines, styles)
    add_note(figure, note)


def add_legend(figure: Figure, handles: Sequence[Artist], width: int, **where: Any) -> None:
    """A legend with lines of at most this many characters."""
    for handle in handles:
        handle.set_label(wrap(handle.get_label(), width))
    figure.legend(handles=handles, **where)


def wrap(text: str, width: int) -> str:
    """Text in lines of at most this many characters, unless a word is longer."""
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def make_room(figure: Figure, lines: int, height: float, planned: int) -> None:
    """Make a figure taller by the lines beyond those that it has room for, so that its panels keep their size."""
    figure.set_figheight(figure.get_figheight() + height * max(0, lines - planned))


def line_styles(names: Iterable[Any]) -> dict[Any, tuple[Colour, str]]:
    """Colour and marker of each name, in order; where colours repeat, they come with other markers."""
    return {
        name: (COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)])
        for i, name in enumerate(names)
    }


def marker_sizes(styles: Mapping[Any, tuple[Colour, str]]) -> dict[Any, float]:
    """Sizes of markers, in points, drawn in this order: where values are equal, none covers the others."""
    # A diamond is longer than its size.
    return {
        name: extent / (1.2 if marker == "D" else 1)
        for (name, (_, marker)), extent in zip(styles.items(), np.linspace(7.5, 3.5, len(styles)), strict=True)
    }


def model_styles(models: Iterable[str]) -> dict[str, tuple[Colour, str]]:
    """Colour and marker of each of these models, in the order of their titles and the same in all figures."""
    models = set(models)
    # Inception V3 comes last, because no figure shows it beside the paper's other networks.
    styles = line_styles(sorted(MODEL_TITLES, key="inception_v3".__eq__))
    return {name: style for name, style in styles.items() if name in models}


def network_styles(networks: Iterable[Network]) -> dict[Network, tuple[Colour, str]]:
    """Colour and marker of each network: its model's, unless two networks have the same model."""
    networks = list(networks)
    styles = model_styles(model for _, model, _ in networks)
    if len(styles) < len(networks):
        return line_styles(networks)
    return {network: styles[network[1]] for network in networks}


def line_entries(styles: Mapping[Any, tuple[Colour, str]], titles: Mapping[Any, str], **line: object) -> list[Line2D]:
    """Entries for a legend: each name of :func:`line_styles` by its title."""
    return [
        Line2D([], [], color=colour, marker=marker, label=titles[name], **line)
        for name, (colour, marker) in styles.items()
    ]


def network_titles(networks: Iterable[Network]) -> dict[Network, str]:
    """Titles of networks, (data set, model, regularisers) -> title; data sets are named if there are several."""
    networks = list(dict.fromkeys(networks))
    several = len({dataset for dataset, _, _ in networks}) > 1
    titles = {}
    for dataset, model, regularisers in networks:
        parts = [MODEL_TITLES[model]]
        parts += [regularisers] if regularisers != "none" else []
        parts += [DATASET_TITLES[dataset]] if several else []
        titles[dataset, model, regularisers] = ", ".join(parts)
    return titles


def short_labels(names: Sequence[str]) -> list[str]:
    """The parts in which cell names differ, as text for a legend; the corruption if they differ in none."""
    parts = [
        (DATASET_TITLES[dataset], corruption.replace("_", " "), MODEL_TITLES[model], regularisers)
        for dataset, corruption, model, regularisers in (name.split("/") for name in names)
    ]
    varying = [i for i, values in enumerate(zip(*parts, strict=True)) if len(set(values)) > 1] or [1]
    return [", ".join(part[i] for i in varying) for part in parts]


def listed(items: Sequence[str]) -> str:
    """Items of a note. Beyond the first few it says how many there are: with a dozen networks a note is longer than its figure."""
    more = len(items) - MOST_LISTED
    return ", ".join(items[:MOST_LISTED]) + (f" and {more} more, in the CSV" if more > 0 else "")


def own_noise(corruptions: Iterable[str]) -> str:
    """A line of a note that says which corruptions are a plug-in's; empty if none is."""
    own = [each.replace("_", " ") for each in dict.fromkeys(corruptions) if registry.entry("corruption", each).own]
    return f"\nNot the paper's noise: {', '.join(own)}." if own else ""


def add_note(figure: Figure, note: str) -> None:
    """Print data, scale and seeds under the axes, line by line."""
    # No line ends between a number and its sign.
    note = re.sub(r" (?=[=<>≤≥±%])|(?<=[=<>≤≥±]) ", "\N{NO-BREAK SPACE}", note)
    wrapped = "\n".join(textwrap.fill(line, NOTE_WIDTH) for line in note.splitlines())
    # The layout reserves room for a label of the whole figure.
    figure.supxlabel(wrapped, x=0.01, ha="left", fontsize="x-small", color=GREY, parse_math=False)
    make_room(figure, wrapped.count("\n") + 1, *NOTE_LINES)
