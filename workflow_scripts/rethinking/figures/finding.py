"""The paper's finding in one picture: training and test accuracy of each network on true and on random labels."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rethinking import registry
from rethinking.analysis.finding import LABELS
from rethinking.analysis.runs import NETWORK, networks_of
from rethinking.analysis.statistics import LEVEL, interval_ends
from rethinking.figures import legends, style
from rethinking.figures.drawing import PERCENT

# The test accuracy is drawn over the training accuracy and is smaller, so that both are visible where they are equal.
SPLITS = {
    "train": ({"color": style.COLOURS[0], "marker": "o", "markersize": 7.5}, "training accuracy"),
    "test": ({"color": style.COLOURS[1], "marker": "D", "markersize": 5.5}, "test accuracy"),
}
INTERVAL = {"linewidth": 1.2}
TITLES = {"true_labels": "true labels", "random_labels": "random labels"}


@registry.figure("finding", title="The finding: the same networks fit random labels", script="plot_finding")
def plot(table: pd.DataFrame, note: str) -> Figure:
    """A panel for true and one for random labels, a row per network: both accuracies, and the gap as a line.

    Args:
        table: as :func:`rethinking.analysis.finding.measure` has it.
        note: data, scale and seeds, printed under the axes.
    """
    networks = networks_of(table)
    titles = legends.network_titles(networks)
    labels = [legends.wrap(titles[network], 30) for network in networks]
    row = max([2, *(label.count("\n") + 1 for label in labels)]) * 0.16
    figure = Figure(figsize=(style.WIDTH, 1.5 + row * len(networks)), layout="constrained")
    panels = figure.subplots(1, len(LABELS), sharex=True, sharey=True)
    for axes, corruption in zip(panels, LABELS, strict=True):
        some = table[table.corruption == corruption]
        # They differ where data sets have other numbers of classes.
        chances = some.groupby("dataset").chance.first()
        for place, network in enumerate(networks):
            rows = some[(some[NETWORK] == list(network)).all(axis=1)]
            plot_network(axes, place, rows.iloc[0])
            line = {"color": style.GREY, "linewidth": 0.9, "linestyle": style.DASHED, "zorder": 0}
            axes.vlines(chances[network[0]], place - 0.5, place + 0.5, **line)
        axes.set_title(TITLES[corruption], fontsize="medium")
        axes.set(xlim=(-3, 103), ylim=(len(networks) - 0.5, -0.5), xlabel="accuracy (%)")
    panels[0].set_yticks(range(len(networks)), labels, parse_math=False)
    sns.despine(figure, left=True)
    for axes in panels:
        axes.tick_params("y", length=0)
    intervals = table[[f"{split}_accuracy_ci" for split in SPLITS]].notna().any(axis=None)
    line, what = ("-", f", {LEVEL} interval over seeds") if intervals else ("", "")
    marks = [Line2D([], [], **mark, **INTERVAL, linestyle=line, label=title + what) for mark, title in SPLITS.values()]
    legends.legend_above(figure, marks, [Line2D([], [], color=style.GREY, linestyle=style.DASHED, label="chance")])
    legends.add_note(figure, note)
    return figure


def plot_network(axes: Axes, place: int, row: pd.Series) -> None:
    """One network: a marker for each accuracy with its interval over seeds, and a line between them."""
    ends = [row[f"{split}_accuracy"] for split in SPLITS]
    if not row.seeds:
        why = "diverged" if row.diverged else "not trained"
        axes.text(50, place, why, ha="center", va="center", color=style.GREY)
    axes.plot(ends, [place, place], color="0.75", linewidth=2, zorder=1)
    # An interval can hold the other.
    for (split, (mark, _)), value, beside in zip(SPLITS.items(), ends, (-0.1, 0.1), strict=True):
        half_width = row[f"{split}_accuracy_ci"]
        if pd.notna(half_width):
            shown = interval_ends(value, half_width, *PERCENT)
            axes.hlines(place + beside, *shown, color=mark["color"], **INTERVAL, zorder=2)
        axes.plot(value, place, **mark, linestyle="", zorder=3, clip_on=False)
