"""Figures: one style, one way to write them, and a function for each of the paper's."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

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

from rethinking.files import UserError, atomic_path

STYLE = {
    **sns.axes_style("ticks"),
    **sns.plotting_context("paper"),
    # The font that matplotlib ships, so that figures are the same on every machine.
    "font.family": "DejaVu Sans",
    "legend.frameon": False,
    "savefig.dpi": 200,
    # TrueType in PDF and text as text in SVG: both can be searched and edited.
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    # Without it, identifiers in SVG are random.
    "svg.hashsalt": "rethinking",
}
METADATA = {".svg": {"Date": None}, ".png": {}, ".pdf": {"CreationDate": None}}

Colour = tuple[float, float, float]
COLOURS: list[Colour] = sns.color_palette("colorblind")
MARKERS = "osD^vP*X<>"  # tell lines apart where the print has no colour
GREY = "0.35"
# Markers are spaced along lines as drawn, so that steep parts have some too; the paper's lie between ours.
OUR_LINE = {"markersize": 5, "markevery": (0.04, 0.12)}
PAPER_LINE = {
    "linestyle": (0, (4, 1.5)),
    "linewidth": 0.9,
    "markersize": 4.5,
    "markevery": (0.1, 0.12),
    "markerfacecolor": "white",
    "markeredgewidth": 0.8,
}
BAND = {"alpha": 0.25, "linewidth": 0}
DIVERGED = {"marker": "x", "linestyle": "", "markersize": 7, "markeredgewidth": 1.5}
PAPER_TITLE = "Zhang et al. (2017)"
NOTE_WIDTH = 140  # characters of a line under a figure

CURVE_COLUMNS = {"epoch": "int64", "step": "int64", "train_loss": "float64"}  # those plotted, of curve.csv


@dataclass(frozen=True)
class Run:
    """One seed of a cell: ``curve`` has at least ``CURVE_COLUMNS`` and ends early if the seed diverged."""

    curve: pd.DataFrame
    diverged: bool


def save(figure: Figure, paths: Iterable[str | Path]) -> None:
    """Write a figure in the format of each path's ending; equal figures give equal bytes.

    Raises:
        UserError: an ending is not ``.svg``, ``.png`` or ``.pdf``; the message names the path.
    """
    for path in map(Path, paths):
        if path.suffix not in METADATA:
            raise UserError(f"{path}: a figure's name ends with {', '.join(METADATA)}, not '{path.suffix}'")
        with atomic_path(path) as temporary, mpl.rc_context(STYLE):
            figure.savefig(temporary, metadata=METADATA[path.suffix])


@mpl.rc_context(STYLE)
def plot_fig1a(
    cells: Sequence[tuple[str, Sequence[Run]]],
    paper: Mapping[str, np.ndarray],
    steps_per_epoch: int,
    note: str,
) -> Figure:
    """Figure 1a: training loss over epochs, one colour per cell, the paper's curve dashed beneath ours.

    Args:
        cells: (name without seed, its runs) in the order of the legend; a cell may have no runs.
        paper: corruption -> (n, 2) thousand steps and training loss in nats, at least one.
        steps_per_epoch: of the paper's runs. Where ours have as many, an axis on top counts steps.
        note: data, scale and seeds of our runs, printed under the axes.
    """
    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.subplots()
    all_runs = [run for _, runs in cells for run in runs]
    thousand_steps = steps_per_epoch / 1000

    last_epoch = max((run.curve.epoch.max() for run in all_runs), default=0)
    paper_epochs = max(curve[:, 0].max() for curve in paper.values()) / thousand_steps
    paper_loss = max(curve[:, 1].max() for curve in paper.values())
    loss = max([paper_loss, *(run.curve.train_loss.max() for run in all_runs)])
    axes.set(xlabel="epoch", ylabel="training loss (nats)", xlim=(0, last_epoch or paper_epochs))
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True))
    # A run that is about to diverge must not flatten the others.
    axes.set_ylim(0, 1.03 * min(loss, 1.5 * paper_loss))

    lines = []
    labels = short_labels([name for name, _ in cells])
    for (name, runs), label, colour, marker in zip(cells, labels, cycle(COLOURS), cycle(MARKERS)):
        published = paper.get(name.split("/")[1])
        if published is not None:
            axes.plot(
                published[:, 0] / thousand_steps, published[:, 1], color=colour, marker=marker, **PAPER_LINE
            )
        plot_runs(axes, runs, "train_loss", colour, marker)
        lines.append(Line2D([], [], color=colour, marker=marker, label=label))

    on_top = {steps_in_epoch(run.curve) for run in all_runs} - {None} == {steps_per_epoch}
    if on_top:
        convert = (lambda epochs: epochs * thousand_steps, lambda steps: steps / thousand_steps)
        axes.secondary_xaxis("top", functions=convert).set_xlabel("thousand steps")
    sns.despine(figure, top=not on_top)
    figure.legend(handles=lines + style_legend(cells), loc="outside right upper")
    # A label of the whole figure is something that the layout keeps room for.
    wrapped = "\n".join(textwrap.fill(line, NOTE_WIDTH) for line in note.splitlines())
    figure.supxlabel(wrapped, x=0.01, ha="left", fontsize="x-small", color=GREY, parse_math=False)
    return figure


def plot_runs(axes: Axes, runs: Sequence[Run], column: str, colour: Colour, marker: str) -> None:
    """Draw a column of the curves of one cell: mean and range of the finished seeds, each diverged seed by itself."""
    finished = [run.curve for run in runs if not run.diverged]
    if finished:
        values = pd.concat(finished).groupby("epoch")[column]
        mean = values.mean()
        axes.plot(mean.index, mean, color=colour, marker=marker, **OUR_LINE)
        if len(finished) > 1:
            axes.fill_between(mean.index, values.min(), values.max(), color=colour, **BAND)
    for run in runs:
        if run.diverged:
            # Values above the axes are drawn on their edge, where the last of them can be marked.
            values = run.curve[column].clip(upper=axes.get_ylim()[1])
            axes.plot(run.curve.epoch, values, color=colour)
            axes.plot(run.curve.epoch.iloc[-1], values.iloc[-1], color=colour, **DIVERGED, clip_on=False)


def style_legend(cells: Sequence[tuple[str, Sequence[Run]]]) -> list[Artist]:
    """What line styles mean, as far as they occur."""
    finished = [sum(not run.diverged for run in runs) for _, runs in cells]
    several = max(finished) > 1
    entries: list[Artist] = []
    if any(finished):
        label = "ours, mean over seeds" if several else "ours"
        entries.append(Line2D([], [], color=GREY, marker="o", **OUR_LINE, label=label))
    if several:
        entries.append(Patch(**BAND, color=GREY, label="ours, lowest to highest"))
    if any(run.diverged for _, runs in cells for run in runs):
        entries.append(Line2D([], [], color=GREY, **DIVERGED, label="ours, diverged"))
    return [*entries, Line2D([], [], color=GREY, marker="o", **PAPER_LINE, label=PAPER_TITLE)]


def short_labels(names: Sequence[str]) -> list[str]:
    """The parts in which cell names differ, as text for a legend; the corruption if they differ in none."""
    parts = [name.split("/") for name in names]
    varying = [i for i, values in enumerate(zip(*parts, strict=True)) if len(set(values)) > 1] or [1]
    return [", ".join(part[i].replace("_", " ") for i in varying) for part in parts]


def steps_in_epoch(curve: pd.DataFrame) -> float | None:
    """Steps of one epoch of a run; None if it did not get through one."""
    last = curve.iloc[-1]
    return last.step / last.epoch if last.epoch else None
