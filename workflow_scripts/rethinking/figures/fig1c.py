"""Figure 1c: test error over the label corruption, on corrupted and on true test labels."""

import pandas as pd
from matplotlib.figure import Figure

from rethinking import paper, registry
from rethinking.analysis.generalisation import measure_errors
from rethinking.analysis.runs import Runs, networks_of
from rethinking.figures import drawing, legends, style

TITLES = {"corrupted": "test labels corrupted at the same p", "true": "true test labels"}


@registry.figure(
    "fig1c",
    title="Figure 1c: test error over the label corruption",
    script="plot_figure",
    unit="fraction",
    reads="curve",
)
def draw(runs: Runs, scale: str) -> tuple[Figure, pd.DataFrame]:
    """One panel per kind of test labels: error over p, one colour per network, with the paper's dashed beneath ours.

    ``scale`` describes our networks, data and seeds. The numbers are those of
    :func:`rethinking.analysis.generalisation.measure_errors`.
    """
    published = paper.curves("fig1c")
    table = measure_errors(runs, published)
    note = f"Ours: {scale}; test error after the last epoch.{legends.own_noise(table.corruption)}"
    theirs = [network for network, _ in drawing.paper_curves(table, published)]
    if theirs:
        note += (
            f"\n{style.PAPER_TITLE}: CIFAR-10 at full scale, read off the published figure. Its errors exceed those that "
            "its networks can have on true test labels, so we infer that its test labels are corrupted too."
        )
    if any("alexnet" in network for network in theirs):
        note += f" {paper.inconsistency('fig1c')}"
    if diverged := legends.list_diverged(runs):
        note += f"\nDiverged and not in the means: {diverged}."

    figure = Figure(figsize=(style.WIDTH, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    titles = legends.network_titles(networks_of(table))
    styles = style.network_styles(titles)
    for axes, (labels, rows) in zip(panels, table.groupby("test_labels", sort=False), strict=True):
        axes.set_title(TITLES[labels], fontsize="medium")
        axes.set(xlabel="label corruption p", ylim=(0, 1))
        comparable = published if labels == "corrupted" else {}
        drawing.plot_over_p(axes, rows, "test_error", styles, comparable, possible=(0, 1))
    panels[0].set_ylabel("test error")

    ours, several = table[["test_error", "test_error_ci"]].notna().any()
    legend = legends.style_legend(ours, several, bool(theirs), bars=True)
    legends.finish(figure, legends.line_entries(styles, titles), legend, note)
    return figure, table
