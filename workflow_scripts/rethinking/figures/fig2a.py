"""Figure 2a: training and test accuracy of Inception V3 on ImageNet over epochs, and what early stopping gains."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from rethinking import paper, registry
from rethinking.analysis.runs import Runs, cell_parts
from rethinking.figures import legends
from rethinking.figures.fig2b import draw_accuracies
from rethinking.tables.presentation import regulariser_titles


@registry.figure(
    "fig2a",
    title="Figure 2a: Inception V3 on ImageNet and early stopping",
    script="plot_figure",
    reads="curve",
)
def draw(runs: Runs, scale: str) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers; ``scale`` describes our networks, data and seeds."""
    about = (
        "ImageNet with 1.28 million images, read off the published figure; an epoch is "
        f"{paper.IMAGENET_STEPS:,} of its steps. {paper.inconsistency('table2')}"
    )
    return draw_accuracies("fig2a", runs, scale, about, titles(list(runs)))


def titles(names: Sequence[str]) -> list[str]:
    """Titles of the panels: the regularisers if only they differ, as in the paper; otherwise what differs."""
    if len({name.rpartition("/")[0] for name in names}) > 1:
        return legends.short_labels(names)
    return list(map(explicit, names))


def explicit(name: str) -> str:
    """The regularisers of a cell in words; flips and rotations are not what augmentation is on ImageNet."""
    regularisers = cell_parts(name)["regularisers"]
    if regularisers == "none":
        return "no regulariser"
    return ", ".join(
        "augmentation" if each == "augment" else regulariser_titles(each) for each in regularisers.split("+")
    )
