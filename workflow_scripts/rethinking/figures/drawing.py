"""Axes and lines that figures share: curves of networks, means over seeds, values over the label corruption."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rethinking.analysis.runs import NETWORK, Network, Run, mean_curve, published_over_p
from rethinking.analysis.statistics import interval_ends
from rethinking.figures.style import BAND, DIVERGED, GREY, OUR_LINE, PAPER_LINE, Colour, marker_sizes

TICK_LABELS = 90  # characters of tick labels under a row of panels
FEW_POINTS = 10  # fewer are all marked; along a line without length no marker can be spaced
ANY, PERCENT = (-math.inf, math.inf), (0, 100)  # lowest and highest value that can be


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
    loss = "loss" in column
    if len(curve):
        possible = ANY if loss else PERCENT
        plot_mean(axes, curve.epoch, curve["mean"], curve.ci, possible, color=colour, marker=marker, **OUR_LINE)
    for run in runs:
        if run.diverged:
            left, (bottom, top) = axes.get_xlim()[0], axes.get_ylim()
            # Values above the axes are drawn at the edge, so that the last of them can be marked.
            values = run.curve[column].clip(upper=top)
            axes.plot(run.curve.epoch, values, color=colour)
            # A value that is not a number is marked as the worst, which an accuracy has at the bottom.
            worst = top if loss else bottom
            end = (run.curve.epoch.iloc[-1], values.fillna(worst).iloc[-1]) if len(values) else (left, worst)
            axes.plot(*end, color=colour, **DIVERGED, clip_on=False)


def plot_mean(
    axes: Axes, x: pd.Series, mean: pd.Series, half_width: pd.Series, possible: tuple[float, float], **line: object
) -> tuple[np.ndarray, np.ndarray]:
    """A line of means and, where they have half widths, a band of intervals.

    Returns:
        The lower and upper ends of the intervals, without what is below or above the values that are possible.
    """
    if np.isfinite(mean).sum() < FEW_POINTS:
        line = line | {"markevery": None}
    axes.plot(x, mean, **line)
    low, high = interval_ends(mean, half_width, *possible)
    if half_width.notna().any():
        axes.fill_between(x, low, high, color=line["color"], **BAND)
    return low, high


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
    possible: tuple[float, float] = ANY,
) -> None:
    """The values of networks over the label corruption p, the paper's dashed beneath.

    Args:
        axes: where to draw.
        table: one row per network and ``p`` with ``column`` and ``{column}_ci``; a line breaks where its value is missing.
        column: what to draw.
        styles: colour and marker of each network.
        published: the paper's curves by model, as :func:`rethinking.paper.curves` has them.
        possible: the lowest and the highest value that can be; intervals end there.
    """
    axes.set_xlim(-0.03, 1.03)
    for network, curve in paper_curves(table, published):
        colour, marker = styles[network]
        axes.plot(*curve.T, color=colour, marker=marker, **PAPER_LINE | {"markevery": None})
    size = marker_sizes(styles)
    for network, points in table.groupby(NETWORK, sort=False):
        colour, marker = styles[network]
        line = {"color": colour, "marker": marker, "markersize": size[network]}
        ends = plot_mean(axes, points.p, points[column], points[f"{column}_ci"], possible, **line)
        # A band needs two neighbouring points; error bars are also visible at a single one.
        axes.vlines(points.p, *ends, color=colour, linewidth=0.8)
