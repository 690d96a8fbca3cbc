"""Figure 2a: training and test accuracy of Inception V3 on ImageNet over epochs, and what early stopping gains."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rethinking import paper, registry
from rethinking.analysis.runs import Run, Runs, cell_parts, mean_curves, paper_has
from rethinking.figures.fig2b import ACCURACIES, early_stopping_gain, plot, with_best
from rethinking.figures.style import PAPER_TITLE, short_labels
from rethinking.tables.imagenet import describe_misprint
from rethinking.tables.presentation import regulariser_titles

TITLE_WIDTH = 28  # characters of a line above a panel


@registry.figure(
    "fig2a",
    title="Figure 2a: Inception V3 on ImageNet and early stopping",
    script="plot_figure",
    reads="curve",
)
def draw(runs: Runs, scale: str) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers; ``scale`` describes our networks, data and seeds."""
    runs = {name: [with_best(run) for run in some] for name, some in runs.items()}
    published = paper.curves("fig2a")
    gains = [describe_gain(name, some, paper_curve(published, name, "test")) for name, some in runs.items()]
    note = (
        f"Ours: {scale}.\n"
        "Training accuracy: moving average over batches at the end of each epoch, as in the paper.\n"
        f"{PAPER_TITLE}: ImageNet with 1.28 million images, read off the published figure; an epoch is "
        f"{paper.IMAGENET_STEPS:,} of its steps. {describe_misprint()}\n"
        "Early stopping could gain at most (best minus final test accuracy, in percentage points): "
        + "; ".join(gains)
        + "."
    )
    table = mean_curves(runs, [*ACCURACIES.values(), "best_test_accuracy"])
    return plot(runs, published, note, paper_curve, titles(list(runs))), table


def describe_gain(name: str, runs: Sequence[Run], published: np.ndarray | None) -> str:
    """What early stopping could gain, for example ``weight decay 5.12 ± 0.10, paper 5.38``."""
    mean, half_width = early_stopping_gain(runs)
    ours = "not trained" if pd.isna(mean) else f"{mean:.2f}"
    ours += "" if pd.isna(half_width) else f" ± {half_width:.2f}"
    text = f"{explicit(name)} {ours}"
    return text if published is None else f"{text}, paper {published[:, 1].max() - published[-1, 1]:.2f}"


def paper_curve(published: Mapping[str, np.ndarray], name: str, split: str) -> np.ndarray | None:
    """The paper's curve of a cell, if it has that cell."""
    parts = cell_parts(name)
    same = (parts["corruption"], parts["model"]) == ("true_labels", "inception_v3")
    return published.get(f"{split}_{parts['regularisers']}") if same and paper_has(parts["dataset"]) else None


def titles(names: Sequence[str]) -> list[str]:
    """Titles of the panels: the regularisers if only they differ, as in the paper; otherwise what differs."""
    return (
        [textwrap.fill(explicit(name), TITLE_WIDTH) for name in names]
        if one_network(names)
        else short_labels(names)
    )


def one_network(names: Sequence[str]) -> bool:
    """Whether cells differ in nothing but their regularisers."""
    return len({name.rpartition("/")[0] for name in names}) == 1


def explicit(name: str) -> str:
    """The regularisers of a cell in words; flips and rotations are not what augmentation is on ImageNet."""
    regularisers = cell_parts(name)["regularisers"]
    if regularisers == "none":
        return "no regulariser"
    parts = regularisers.split("+")
    words = ["augmentation" if each == "augment" else regulariser_titles(each) for each in parts]
    return ", ".join(words)
