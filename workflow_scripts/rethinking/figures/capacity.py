"""What networks can fit and how stable they are, compared with how they generalise."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rethinking import registry
from rethinking.analysis.descriptions import describe_lost, describe_scale, with_gaps
from rethinking.analysis.runs import NETWORK, networks_of
from rethinking.analysis.statistics import LEVEL
from rethinking.figures import drawing, legends, style

MARGIN = 0.05  # of an axis beyond its values, which are at most 1


@registry.figure(
    "capacity",
    title="Section 2.2: Rademacher complexity and stability beside the gap",
    script="measure_capacity",
)
def plot(rademacher: pd.DataFrame, stability: pd.DataFrame) -> Figure:
    """Rademacher complexity and gap over the number of images; stability over the gap.

    Args:
        rademacher: as :func:`rethinking.measures.rademacher.rademacher_table` has it; may be empty.
        stability: as :func:`rethinking.measures.stability.stability_table` has it; may be empty.
    """
    if rademacher.empty and stability.empty:
        return style.sentence("No network on random signs or with a replaced example was asked for.")
    figure = Figure(figsize=(style.WIDTH, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    titles = legends.network_titles([*networks_of(rademacher), *networks_of(stability)])
    styles = style.network_styles(titles)
    plot_rademacher(left, rademacher, styles)
    plot_stability(right, stability, styles)
    lines = legends.line_entries(styles, titles, linestyle="")
    moved = stability.dropna(subset="all_change")
    kinds = {
        "left: Rademacher complexity": (rademacher.rademacher.notna(), {}),
        "left: gap on true signs": (rademacher.gap.notna(), {"linestyle": "--", "markerfacecolor": "white"}),
        "right: true labels": (moved.corruption == "true_labels", {"linestyle": ""}),
        "right: random labels": (moved.corruption == "random_labels", {"linestyle": "", "fillstyle": "none"}),
    }
    entries = [
        Line2D([], [], color=style.GREY, marker="o", label=title, **look)
        for title, (shown, look) in kinds.items()
        if shown.any()
    ]
    if any(table.filter(like="_ci").notna().any(axis=None) for table in (rademacher, moved)):
        bar = {"color": style.GREY, "marker": "|", "markersize": 9, "linestyle": ""}
        entries.append(Line2D([], [], **bar, label=f"{LEVEL} interval over seeds"))
    legends.finish(figure, lines, entries, describe(rademacher, stability))
    return figure


def describe(rademacher: pd.DataFrame, stability: pd.DataFrame) -> str:
    """Data, scale and seeds of both panels, and what the loss is, for the note under them."""
    scales = []
    if len(rademacher):
        signs = with_gaps(rademacher)
        scales.append(f"Left: {describe_scale(signs)}{describe_lost(signs.diverged, signs.seeds)}")
    if len(stability):
        lost = describe_lost(stability.pairs_diverged, stability.pairs, "replacement")
        scales.append(f"Right: {describe_scale(with_gaps(stability))}{lost}")
    note = "Ours. " + ".\n".join(scales) + "."
    if len(stability):
        note += " Loss: one minus the probability that the network assigns to the label."
    if (stability.gap_ci.notna() & stability.all_change_ci.isna()).any():
        note += " The gap is over all seeds, also those without a replacement."
    return note


def plot_rademacher(axes: Axes, table: pd.DataFrame, styles: dict) -> None:
    """Complexity and gap over n, a pair of lines for each network."""
    axes.axhline(1, color=style.GREY, linewidth=0.6, zorder=0)
    for network, rows in table.groupby(NETWORK, sort=False):
        colour, marker = styles[network]
        rows = rows.sort_values("n")
        for column, line, fill in (("rademacher", "-", colour), ("gap", "--", "white")):
            axes.errorbar(
                rows.n.astype(float),
                rows[column],
                rows[f"{column}_ci"],
                color=colour,
                marker=marker,
                linestyle=line,
                markerfacecolor=fill,
                markersize=4.5,
                linewidth=1,
            )
    if table[["rademacher", "gap"]].isna().all(axis=None):
        drawing.empty_panel(axes, why_empty(table.diverged + table.gap_diverged))
        axes.set_xticks([])
    else:
        axes.set_xscale("log")
        drawing.number_ticks(axes, table.n.astype(int), 2)
    axes.set(xlabel="training images n", ylabel="complexity, gap (fraction)")
    axes.set_ylim(limits(table.rademacher, table.gap))
    axes.set_title("fit of random signs; at 1 bounds say nothing", fontsize="small")


def plot_stability(axes: Axes, table: pd.DataFrame, styles: dict) -> None:
    """Largest change of the loss when one example is replaced, over the gap; one point per cell."""
    for _, row in table.iterrows():
        colour, marker = styles[tuple(row[NETWORK])]
        axes.errorbar(
            row.gap,
            row.all_change,
            row.all_change_ci,
            row.gap_ci,
            color=colour,
            marker=marker,
            fillstyle=style.FILLS[row.corruption],
            markersize=5.5,
            linewidth=0.8,
        )
    if table.all_change.isna().all():
        drawing.empty_panel(axes, why_empty(table.diverged))
    for needed in table.needed.dropna().unique():
        axes.axhline(needed, color=style.GREY, linewidth=0.6, linestyle=":", zorder=0)
        axes.annotate("1 / √n", (1.0, needed), va="bottom", ha="right", fontsize="x-small", color=style.GREY)
    axes.set(xlabel="generalisation gap (fraction)", ylabel="largest change of the loss")
    axes.set(xlim=limits(table.gap), ylim=limits(table.all_change))
    axes.set_title("one training example replaced", fontsize="small")


def why_empty(diverged: pd.Series) -> str:
    """Why a panel shows no network, by how many diverged in each row of its table."""
    if diverged.empty:
        return "not asked for"
    return "diverged" if diverged.any() else "not trained"


def limits(*columns: pd.Series) -> tuple[float, float]:
    """An axis from 0 to 1, or from below where a value is negative, such as a gap of a network that fits badly."""
    return min(0, pd.concat(columns).min()) - MARGIN, 1 + MARGIN
