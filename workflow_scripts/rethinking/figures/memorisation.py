"""Memorisation: what a network does with corrupted labels during training.

If a network memorises only what it must, its accuracy on images with changed labels first rises
against the true labels, then against the given ones.
"""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rethinking import registry
from rethinking.analysis.runs import Runs, by_network, mean_curves
from rethinking.figures.style import (
    GREY,
    STYLE,
    WIDTH,
    add_note,
    legend_above,
    line_entries,
    line_styles,
    network_titles,
    plot_runs,
    runs_legend,
)

LABELS = {
    "unchanged_accuracy": "label unchanged",
    "changed_accuracy_given": "label changed, against the given label (memorised)",
    "changed_accuracy_true": "label changed, against the true label (generalised)",
}


@registry.figure(
    "memorisation",
    title="Memorisation: what is learnt first when some labels are wrong",
    script="plot_figure",
    reads="memorisation",
)
def draw(runs: Runs, scale: str) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers; ``scale`` describes our networks, data and seeds."""
    # Drawn like curves.
    runs = {name: [replace(run, curve=run.memorisation) for run in some] for name, some in runs.items()}
    note = (
        f"Ours: {scale}. Accuracies over the batches of an epoch. p: probability with which a label is replaced by "
        "one drawn from all classes; a label counts as changed if it differs from the true one."
    )
    return plot(runs, note), mean_curves(runs, list(LABELS))


@mpl.rc_context(STYLE)
def plot(runs: Runs, note: str) -> Figure:
    """A row of panels per network and a column per p: accuracies over epochs for unchanged and changed labels.

    Args:
        runs: by cell; a cell may have no runs.
        note: data, scale and seeds of our runs, printed under the axes.
    """
    networks = by_network(runs)
    titles = network_titles(networks)
    columns = sorted({p for levels in networks.values() for p in levels})
    figure = Figure(figsize=(WIDTH, 1.4 + 1.7 * len(networks)), layout="constrained")
    grid = figure.subplots(len(networks), len(columns), sharex="row", sharey=True, squeeze=False)
    styles = line_styles(LABELS)
    for panels, (network, levels) in zip(grid, networks.items(), strict=True):
        last_epoch = max(
            (run.curve.epoch.max() for name in levels.values() for run in runs[name] if len(run.curve)),
            default=1,
        )
        for axes, p in zip(panels, columns, strict=True):
            axes.set(xlim=(0, last_epoch), ylim=(-3, 103))
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
            if p not in levels:
                axes.set_axis_off()
                continue
            if not runs[levels[p]]:
                axes.text(0.5, 0.5, "not trained", transform=axes.transAxes, ha="center", color=GREY)
            for column, (colour, marker) in styles.items():
                plot_runs(axes, runs[levels[p]], column, colour, marker)
        panels[0].set_ylabel(f"{titles[network]}\naccuracy (%)")
    for axes, p in zip(grid[0], columns, strict=True):
        axes.set_title(f"p = {p:g}", fontsize="medium")
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    sns.despine(figure)
    legend_above(figure, line_entries(styles, LABELS), runs_legend(runs, paper=False))
    add_note(figure, note)
    return figure
