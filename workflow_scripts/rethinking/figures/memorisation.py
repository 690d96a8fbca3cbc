"""Memorisation: what a network does with corrupted labels during training.

If a network memorises only what it must, its accuracy on images with changed labels first rises
against the true labels, then against the given ones.
"""

from collections import defaultdict
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from rethinking import registry
from rethinking.analysis.runs import NETWORK, Network, Runs, cell_parts, mean_curves
from rethinking.cells import probability
from rethinking.figures import drawing, legends, style

TITLE_WIDTH = 20  # characters of a line beside a row of panels
PANEL_WIDTH, PANEL_TITLE_WIDTH = 0.55, 6  # of the narrowest panel, in inches, and of its title, in characters
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
    """A row of panels per network and a column per corruption: accuracies over epochs for unchanged and changed labels.

    ``scale`` describes our networks, data and seeds. A cell may have no runs.
    """
    # Drawn like curves.
    runs = {name: [replace(run, curve=run.memorisation) for run in some] for name, some in runs.items()}
    note = (
        f"Ours: {scale}. Accuracies over the batches of an epoch. A label counts as changed if it differs from the true "
        "one."
    )
    corruptions = [cell_parts(name)["corruption"] for name in runs]
    if any(map(is_papers_noise, corruptions)):
        note += " p = ...: the probability with which a label is replaced by one drawn from all classes."
    note += legends.own_noise(corruptions)

    networks: dict[Network, dict[str, str]] = defaultdict(dict)
    for name in runs:
        parts = cell_parts(name)
        networks[tuple(parts[key] for key in NETWORK)][parts["corruption"]] = name
    titles = legends.network_titles(networks)
    corruptions = dict.fromkeys(corruption for cells in networks.values() for corruption in cells)
    columns = sorted(corruptions, key=lambda corruption: probability(corruption) or 0.0)
    width = max(style.WIDTH, PANEL_WIDTH * len(columns))
    figure = Figure(figsize=(width, 1.4 + 1.7 * len(networks)), layout="constrained")
    grid = figure.subplots(len(networks), len(columns), sharex="row", sharey=True, squeeze=False)
    styles = style.line_styles(LABELS)
    for panels, (network, cells) in zip(grid, networks.items(), strict=True):
        last_epoch = max(
            (run.curve.epoch.max() for name in cells.values() for run in runs[name] if len(run.curve)),
            default=1,
        )
        for axes, corruption in zip(panels, columns, strict=True):
            axes.set_ylim(-3, 103)
            drawing.epoch_axis(axes, last_epoch, nbins=max(2, min(5, 15 // len(columns))))
            if corruption not in cells:
                axes.set_axis_off()
                continue
            if not runs[cells[corruption]]:
                drawing.empty_panel(axes, "not trained")
            for column, (colour, marker) in styles.items():
                drawing.plot_runs(axes, runs[cells[corruption]], column, colour, marker)
        first = next(axes for axes, corruption in zip(panels, columns, strict=True) if corruption in cells)
        first.set_ylabel(f"{legends.wrap(titles[network], TITLE_WIDTH)}\naccuracy (%)")
        first.tick_params(labelleft=True)
    for axes, corruption in zip(grid[0], columns, strict=True):
        named = corruption.replace("_", " ")
        title = f"p = {probability(corruption):g}" if is_papers_noise(corruption) else named
        size = "medium" if len(columns) < 8 else "small"
        line = max(PANEL_TITLE_WIDTH, style.PANELS_WIDTH // len(columns))
        axes.set_title(legends.wrap(title, line), fontsize=size)
    for panels in grid.T:
        [axes for axes in panels if axes.axison][-1].set_xlabel("epoch")
    legends.finish(figure, legends.line_entries(styles, LABELS), legends.runs_legend(runs, paper=False), note)
    return figure, mean_curves(runs, list(LABELS))


def is_papers_noise(corruption: str) -> bool:
    """Whether a corruption is the paper's noise on labels (section 2.1), whose p says all, also at p = 0 and 1."""
    return probability(corruption) is not None and not registry.entry("corruption", corruption).own
