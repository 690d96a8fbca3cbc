"""What all figures look like, which colour and marker means what, and how they are written."""

import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from rethinking.analysis.runs import Network
from rethinking.paper.titles import MODEL_TITLES
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
# In a legend, a band with an error bar across.
BAND_AND_BAR = {
    "color": (GREY, BAND["alpha"]),
    "linewidth": 6,
    "solid_capstyle": "butt",
    "marker": "|",
    "markersize": 10,
    "markeredgecolor": GREY,
    "markeredgewidth": 0.8,
}
DIVERGED = {"marker": "x", "linestyle": "", "markersize": 7, "markeredgewidth": 1.5}
PAPER_TITLE = "Zhang et al. (2017)"
WIDTH = 6.5  # inches: the text of a page
PANELS_WIDTH = 75  # characters of the titles above a row of panels


def not_drawn(reason: str) -> Figure:
    """A figure that says in its place why it could not be drawn."""
    return sentence(f"This figure could not be drawn from these numbers: {reason}")


def sentence(text: str) -> Figure:
    """A figure of words, where there is nothing to draw."""
    figure = Figure(figsize=(WIDTH, 1.5))
    wrapped = textwrap.fill(text, 80)
    figure.text(0.5, 0.5, wrapped, ha="center", va="center", color=GREY, parse_math=False)
    return figure


def draw(plot: Callable[..., Any], *given: Any, instead: Callable[[str], Any] = not_drawn, **named: Any) -> Any:
    """What a function draws, in this style; where it fails, what ``instead`` makes of the reason."""
    with mpl.rc_context(STYLE):
        return attempt(instead, plot, *given, **named)


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
