"""The generalisation gap of all networks over each measure of complexity."""

import math

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from rethinking import registry
from rethinking.analysis.rank_correlations import FEWEST
from rethinking.figures import drawing, legends, style
from rethinking.paper.titles import MODEL_TITLES

COLUMNS = 3
TITLE_WIDTH = 32  # characters of a line above a panel
MOST_VECTORS = 1000  # points of a panel
REGULARISED = {"markeredgecolor": "black", "markeredgewidth": 1.2}
FILL_TITLES = {"full": "true labels", "left": "other corruptions", "none": "random labels"}


@registry.figure("complexity_measures", title="Complexity: the gap over each measure", script="compare_complexity")
def plot(networks: pd.DataFrame, ranks: pd.DataFrame, scale: str) -> Figure:
    """A panel per measure, a point per network.

    Args:
        networks: one row per network with ``model``, ``corruption``, ``regularisers``, ``gap`` in percentage points and all measures.
        ranks: as :func:`rethinking.analysis.rank_correlations.correlate` has them.
        scale: data, epochs and seeds, printed under the axes.
    """
    if networks.gap.isna().all():
        return style.sentence(f"No network has a generalisation gap to show. Ours: {scale}.")
    measures = registry.entries("measure")
    rows = math.ceil(len(measures) / COLUMNS)
    figure = Figure(figsize=(style.WIDTH, 1.2 + 1.8 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False).flat
    styles = style.model_styles(networks.model)
    fills = networks.corruption.map(style.FILLS).fillna("left")
    regularised = networks.regularisers != "none"
    taus = ranks.set_index("measure").tau_all
    # Thousands of points cover each other, and as vectors make the SVG, and the report with it, too large to open.
    many = len(networks) > MOST_VECTORS
    size = {"markersize": 3, "rasterized": True} if many else {"markersize": 5.5}
    for measure, axes in zip(measures, panels, strict=False):
        name, logarithmic = measure.name, measure.options.get("logarithmic", True)
        for (model, fill, edge), points in networks.groupby([networks.model, fills, regularised]):
            colour, marker = styles[model]
            look = {"color": colour, "marker": marker, "fillstyle": fill, "markerfacecoloralt": "white"}
            look |= REGULARISED if edge else {}
            axes.plot(points[name], points.gap, linestyle="", **look, **size)
        tau = "no τ" if pd.isna(taus[name]) else f"τ = {taus[name]:.2f}".replace("-", "−")
        axes.set_title(f"{legends.wrap(measure.title, TITLE_WIDTH)}\n{tau}", fontsize="small")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
        if not logarithmic and networks[name].max() >= 1000:  # a share of 0.95 would be 950m
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        if networks[name].isna().all():
            drawing.empty_panel(axes, "not defined")
            axes.set_xticks([])
        axes.set_xlabel("log10" if logarithmic else "", fontsize="x-small", labelpad=1)
        axes.tick_params(labelsize="x-small")
    for axes in panels:
        axes.set_axis_off()
    figure.supylabel("generalisation gap (points)", fontsize="small")
    lines = legends.line_entries(styles, MODEL_TITLES, linestyle="")
    circle = {"color": style.GREY, "marker": "o", "linestyle": "", "markerfacecoloralt": "white"}
    kinds = [
        Line2D([], [], **circle, fillstyle=fill, label=title)
        for fill, title in FILL_TITLES.items()
        if (fills == fill).any()
    ]
    if regularised.any():
        kinds.append(Line2D([], [], **circle | REGULARISED, fillstyle="none", label="with regularisers"))
    note = (
        f"Ours: {scale}. A point per network; gap: accuracy on the training set minus that on test labels "
        "corrupted like the training labels, in percentage points. τ: Kendall's rank correlation over all "
        f"pairs of cells, given for {FEWEST} or more. Larger values are more complex."
    )
    legends.finish(figure, lines, kinds, note)
    return figure
