"""Legends, labels and notes of figures."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rethinking import registry
from rethinking.analysis.descriptions import unbroken
from rethinking.analysis.runs import Network, Run, Runs
from rethinking.analysis.statistics import LEVEL
from rethinking.figures.style import BAND, BAND_AND_BAR, DIVERGED, GREY, OUR_LINE, PAPER_LINE, PAPER_TITLE, Colour
from rethinking.paper.titles import DATASET_TITLES, MODEL_TITLES

NOTE_WIDTH = 128  # characters of a line under a figure
LEGEND_WIDTH = 52  # characters of a line of a legend above a figure
MOST_LINES = 6  # of a legend in one column, if there is room for two
THREE_COLUMNS = 70  # characters of a line of a legend with three columns
MOST_LISTED = 6  # items of a list in a note
# Lines of a note and of a legend: their height in inches, and how many a figure has room for as it is.
NOTE_LINES, LEGEND_LINES = (0.11, 6), (0.183, 3)


def style_legend(ours: bool, several: bool, paper: bool, diverged: bool = False, bars: bool = False) -> list[Artist]:
    """Legend entries for the line styles that occur.

    ``several`` says whether means are over several seeds, ``bars`` whether their intervals are bars beside bands.
    """
    entries: list[Artist] = []
    if ours and (several or paper or diverged):  # else there is nothing to tell it from
        label = "ours, mean over seeds" if several else "ours"
        entries.append(Line2D([], [], color=GREY, marker="o", **OUR_LINE, label=label))
    if several:
        label = f"ours, {LEVEL} interval"
        band = Line2D([], [], **BAND_AND_BAR, label=label) if bars else Patch(**BAND, color=GREY, label=label)
        entries.append(band)
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


def list_diverged(runs: Runs) -> str:
    """Which cells have networks that diverged, ``labels p0.5 (1 of 3)``; empty if none has."""
    labels = short_labels(list(runs))
    counts = [(sum(run.diverged for run in some), len(some)) for some in runs.values()]
    return listed([f"{label} ({lost} of {every})" for label, (lost, every) in zip(labels, counts, strict=True) if lost])


def listed(items: Sequence[str]) -> str:
    """Items of a note. Beyond the first few it says how many there are: with a dozen networks a note is longer than its figure."""
    more = len(items) - MOST_LISTED
    return ", ".join(items[:MOST_LISTED]) + (f" and {more} more, in the CSV" if more > 0 else "")


def own_noise(corruptions: Iterable[str]) -> str:
    """A line of a note that says which corruptions are a plug-in's; empty if none is."""
    own = [each.replace("_", " ") for each in dict.fromkeys(corruptions) if registry.entry("corruption", each).own]
    return f"\nNot the paper's noise: {', '.join(own)}." if own else ""


def cut_intervals(figure: Figure) -> str:
    """A line of a note that says that an axis ends within a band or an error bar; empty if none does."""
    for axes in figure.axes:
        shown = axes.viewLim
        for path in (path for each in axes.collections for path in each.get_paths()):
            if (path.vertices < shown.min).any() or (path.vertices > shown.max).any():
                return "\nIntervals are cut where an axis ends."
    return ""


def add_note(figure: Figure, note: str) -> None:
    """Print data, scale and seeds under the finished axes, line by line, and say so if these cut intervals."""
    lines = unbroken(note + cut_intervals(figure)).splitlines()
    wrapped = "\n".join(textwrap.fill(line, NOTE_WIDTH) for line in lines)
    # The layout reserves room for a label of the whole figure.
    figure.supxlabel(wrapped, x=0.01, ha="left", fontsize="x-small", color=GREY, parse_math=False)
    make_room(figure, wrapped.count("\n") + 1, *NOTE_LINES)
