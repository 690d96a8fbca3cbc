"""Figure 1b: relative time to overfit over the label corruption, under several thresholds."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rethinking import paper, registry
from rethinking.analysis.descriptions import span
from rethinking.analysis.differences import nearest_threshold
from rethinking.analysis.runs import NETWORK, Runs, networks_of
from rethinking.analysis.time_to_fit import TITLES, times_to_overfit
from rethinking.figures import drawing, legends, style
from rethinking.paper.titles import MODEL_TITLES

# What the figure shows; its CSV has all thresholds.
SHOWN = ("100 % at end", "99.9 % at end", "99 % at end", "loss 0.1 at end")
# Epochs at p = 0, of which the published ratios are multiples.
EPOCHS_OF_PAPER = {"inception": 10, "alexnet": 31, "mlp_1x512": 28}
# Inches: height of a panel, and of a network's row of arrows in it; a panel grows with the rows beyond the fourth.
PANEL, ARROWS, PLANNED = 2.4, 0.264, 4
NOT_REACHED = {"marker": "$\\uparrow$", "linestyle": "", "markersize": 7, "markeredgewidth": 0.3}


@registry.figure(
    "fig1b",
    title="Figure 1b: relative time to overfit over the label corruption",
    script="plot_figure",
    unit="ratio",
    reads="curve",
)
def draw(runs: Runs, scale: str) -> tuple[Figure, pd.DataFrame]:
    """One panel per threshold of :data:`SHOWN`: ratios over p, one colour per network, the paper's dashed beneath ours.

    ``scale`` describes our networks, data and seeds. The numbers are those of
    :func:`rethinking.analysis.time_to_fit.times_to_overfit`.
    """
    published = paper.curves("fig1b")
    table = times_to_overfit(runs, published)
    note = describe(runs, table, published, scale)
    figure = Figure(figsize=(style.WIDTH, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True).flat
    titles = legends.network_titles(networks_of(table))
    styles = style.network_styles(titles)
    nearest, measured = nearest_threshold(table)
    shown = table[table.threshold.isin(SHOWN)]
    missing = not_reached(shown)
    rows_of_arrows = {network: row for row, network in enumerate(networks_of(missing))}
    legends.make_room(figure, 2 * len(rows_of_arrows), ARROWS, 2 * PLANNED)
    headroom = ARROWS / (PANEL + ARROWS * max(0, len(rows_of_arrows) - PLANNED))
    theirs = [curve[:, 1].max() for _, curve in drawing.paper_curves(table, published)]
    highest = pd.Series([shown.ratio.max(), *theirs]).max()
    # An interval of two seeds can be ten times as long as the curves are high, and must not flatten them.
    top = 1.08 * pd.Series([highest, min((shown.ratio + shown.ratio_ci).max(), 1.5 * highest)]).max()
    top = 4 if pd.isna(top) else top
    end = top / (1 - headroom * len(rows_of_arrows))

    for axes, (threshold, rows) in zip(panels, shown.groupby("threshold", sort=False), strict=True):
        axes.set_title(panel_title(threshold, measured[threshold], threshold == nearest), fontsize="medium")
        axes.set_ylim(0, end)
        drawing.plot_over_p(axes, rows, "ratio", styles, published)
        for network, points in not_reached(rows).groupby(NETWORK, sort=False):
            height = 1 - headroom * (rows_of_arrows[network] + 0.75)
            plot_not_reached(axes, points, height, headroom, *styles[network])
    # None beside the arrows.
    axes.set_yticks([tick for tick in axes.get_yticks() if tick <= top])
    figure.supylabel("time to overfit relative to p = 0", fontsize="medium")
    for axes in figure.axes[2:]:
        axes.set_xlabel("label corruption p")

    ours, several = shown[["ratio", "ratio_ci"]].notna().any()
    legend = legends.style_legend(ours, several, bool(theirs), bars=True)
    if len(missing):
        legend.append(Line2D([], [], color=style.GREY, **NOT_REACHED, label="not reached by every seed"))
    legends.finish(figure, legends.line_entries(styles, titles), legend, note)
    return figure, table


def describe(runs: Runs, table: pd.DataFrame, published: Mapping[str, np.ndarray], scale: str) -> str:
    """The note: our runs, the threshold nearest to the paper, and what did not reach a threshold."""
    lines = [
        f"Ours: {scale}. Time to overfit: whole epochs until the training set is fitted, divided by the same "
        f"seed's epochs at p = 0.{legends.own_noise(table.corruption)}",
        "End-of-epoch: moving averages over batches, as in figures 1a and 2b. Whole-epoch, in the CSV: means over an "
        "epoch's batches.",
    ]
    if any(drawing.paper_curves(table, published)):
        lines.append(
            f"{style.PAPER_TITLE}: CIFAR-10 at full scale, read off the published figure; no threshold is given."
        )
    nearest, measured = nearest_threshold(table)
    if nearest:
        titles = legends.network_titles(networks_of(table))
        starts = table[(table.threshold == nearest) & (table.p == 0) & table.epochs_to_fit.notna()]
        epochs = [
            f"{titles[tuple(network)]} {epochs:.3g}"
            for *network, epochs in starts[[*NETWORK, "epochs_to_fit"]].itertuples(index=False, name=None)
        ]
        lines.append(
            f"Of the thresholds of both kinds with the most points, {TITLES[nearest]} is nearest to the paper: mean "
            f"|ours − paper| {measured[nearest]['mean_difference']:.2f} over {points(measured[nearest])} at p > 0. "
            f"Epochs at p = 0 by it: {legends.listed(epochs)}; the paper's ratios are multiples of "
            + legends.listed(
                [
                    f"1/{EPOCHS_OF_PAPER[network[1]]} ({MODEL_TITLES[network[1]]})"
                    for network, _ in drawing.paper_curves(table, published)
                ]
            )
            + "."
        )
    missing = not_reached(table[table.threshold.isin(SHOWN)])
    if len(missing):
        lines.append(
            "Arrows, whose height means nothing: not every seed reached the threshold there or at p = 0, so there is no "
            "mean. Runs there that reached it: "
            + "; ".join(
                f"{threshold.removesuffix(' at end')}: {some.reached.sum()} of {some.paired.sum()}"
                for threshold, some in missing.groupby("threshold", sort=False)
            )
            + "."
        )
    if diverged := legends.list_diverged(runs):
        lines.append(f"Diverged, so that they reach no threshold: {diverged}.")
    if table.unpaired.any():
        lines.append("Runs without a run of their seed at p = 0 are left out.")
    return "\n".join(lines)


def not_reached(table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have seeds but no ratio."""
    return table[(table.paired > 0) & table.ratio.isna()]


def plot_not_reached(
    axes: Axes, points: pd.DataFrame, height: float, headroom: float, colour: style.Colour, marker: str
) -> None:
    """A row of markers with arrows at this height of the axes, at the p where a network has no ratio."""
    line = {"color": colour, "linestyle": "", "transform": axes.get_xaxis_transform()}
    axes.plot(points.p, [height] * len(points), marker=marker, markersize=4, **line)
    axes.plot(points.p, [height + headroom * 0.45] * len(points), **NOT_REACHED | line)


def panel_title(threshold: str, measured: Mapping[str, Any], nearest: bool) -> str:
    """The threshold, and how far its ratios are from the paper's."""
    if not measured["points"]:
        return f"{TITLES[threshold]}\nnothing to compare"
    return (
        f"{TITLES[threshold]}{', nearest' if nearest else ''}\n"
        f"mean |ours − paper| {measured['mean_difference']:.2f}, {points(measured)}"
    )


def points(measured: Mapping[str, Any]) -> str:
    """How many points were compared, for example ``1 point``."""
    return span([measured["points"]], "point")
