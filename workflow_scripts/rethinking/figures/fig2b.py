"""Figure 2b: training and test accuracy over epochs, with and without batch normalisation."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rethinking import paper, registry
from rethinking.analysis.runs import Run, Runs, cell_parts, from_first_epoch, mean_curve, mean_curves, published_name
from rethinking.analysis.statistics import mean_interval
from rethinking.analysis.time_to_fit import time_to_fit, trained_on
from rethinking.figures import drawing, legends, style
from rethinking.paper.titles import MODEL_TITLES, SPLIT_TITLES

ACCURACIES = {"train": "train_accuracy_end", "test": "test_accuracy"}
SHADE = {"facecolor": "none", "edgecolor": "0.55", "hatch": "//////", "linewidth": 0}


@registry.figure(
    "fig2b",
    title="Figure 2b: with and without batch normalisation",
    script="plot_figure",
    unit="percentage points",
    reads="curve",
)
def draw(runs: Runs, scale: str) -> tuple[Figure, pd.DataFrame]:
    """The figure and its numbers; ``scale`` describes our networks, data and seeds."""
    about = (
        "CIFAR-10 at full scale, read off the published figure. We infer that its training accuracy is such a moving "
        f"average too. {paper.inconsistency('fig2b')}"
    )
    return draw_accuracies("fig2b", runs, scale, about, panel_titles(list(runs)), needs_fit=True)


def draw_accuracies(
    name: str, runs: Runs, scale: str, about: str, titles: Sequence[str], needs_fit: bool = False
) -> tuple[Figure, pd.DataFrame]:
    """Figure ``name``, one panel per cell: accuracies over epochs, the paper's dashed beneath ours; and its numbers.

    The area between the test accuracy and the best so far is hatched: early stopping could gain no more.

    Args:
        name: of the figure.
        runs: with their curves.
        scale: describes our networks, data and seeds.
        about: what the paper's curves are.
        titles: what to call the cells.
        needs_fit: whether early stopping is said to gain nothing, which only a network shows that was trained on after
            it fitted; the note marks the others.
    """
    published = paper.curves(name)
    theirs = {
        (cell, split): published[curve]
        for cell in runs
        for split in SPLIT_TITLES
        if (curve := published_name(cell, split)) in published
    }
    gains = [
        f"{title} {describe_gain(some, theirs.get((cell, 'test')), needs_fit)}"
        for title, (cell, some) in zip(titles, runs.items(), strict=True)
    ]
    runs = {cell: [with_best(run) for run in some] for cell, some in runs.items()}
    last = [curve[-1, 0] for (_, split), curve in theirs.items() if split == "test"]
    whole = f"; the paper's over its whole curve, to epoch {max(last):.0f}" if last else ""
    note = (
        f"Ours: {scale}.\n"
        "Training accuracy: moving average over batches at the end of each epoch.\n"
        + (f"{style.PAPER_TITLE}: {about}\n" if last else "")
        + f"Early stopping could gain at most (best minus final test accuracy, in percentage points{whole}): "
        f"{'; '.join(gains)}."
    )

    columns = min(3, len(runs))
    rows = math.ceil(len(runs) / columns)
    figure = Figure(figsize=(style.WIDTH, 1.6 + 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    panels = grid.ravel()
    curves = [run.curve for some in runs.values() for run in some if len(run.curve)]
    lowest = [curve[:, 1].min() for curve in theirs.values()]
    lowest += [curve[[*ACCURACIES.values()]].min(axis=None) for curve in curves]
    bottom = max(0, pd.Series(lowest, dtype=float).min() - 5)
    last_epoch = max((curve.epoch.max() for curve in curves), default=0)
    last_epoch = last_epoch or max((curve[:, 0].max() for curve in theirs.values()), default=1)
    styles = style.line_styles(SPLIT_TITLES)
    for axes, title, (cell, some) in zip(panels, titles, runs.items(), strict=False):
        axes.set_title(legends.wrap(title, style.PANELS_WIDTH // columns), fontsize="medium")
        axes.set(xlabel="epoch", ylim=(bottom, 103))
        drawing.epoch_axis(axes, last_epoch)
        shade_gain(axes, some)
        for split, (colour, marker) in styles.items():
            if (cell, split) in theirs:
                axes.plot(*theirs[cell, split].T, color=colour, marker=marker, **style.PAPER_LINE)
            drawing.plot_runs(axes, some, ACCURACIES[split], colour, marker)
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy (%)")
    for axes in panels[len(runs) :]:
        axes.set_axis_off()
    lines = [*legends.line_entries(styles, SPLIT_TITLES), Patch(**SHADE, label="up to the best test accuracy so far")]
    legends.finish(figure, lines, legends.runs_legend(runs, bool(theirs)), note)
    return figure, mean_curves(runs, [*ACCURACIES.values(), "best_test_accuracy"])


def with_best(run: Run) -> Run:
    """A run from its first epoch on, with ``best_test_accuracy``, the highest so far."""
    curve = from_first_epoch(run).curve
    return replace(run, curve=curve.assign(best_test_accuracy=curve.test_accuracy.cummax()))


def early_stopping_gain(runs: Sequence[Run]) -> tuple[float, float]:
    """Best minus final test accuracy, percentage points: mean over the seeds that did not diverge, and interval."""
    final = [run.curve.iloc[-1] for run in runs if not run.diverged and len(run.curve)]
    return mean_interval([last.best_test_accuracy - last.test_accuracy for last in final])


def describe_gain(runs: Sequence[Run], published: np.ndarray | None, needs_fit: bool) -> str:
    """What early stopping could gain, for example ``0.35 ± 0.10, paper 0.19``; see :func:`draw_accuracies`."""
    mean, half_width = early_stopping_gain(list(map(with_best, runs)))
    finished = [run for run in runs if not run.diverged] if needs_fit else []
    never = sum(time_to_fit(run) is None for run in finished)
    late = sum(not trained_on(run) for run in finished) - never
    without = "diverged" if runs else "not trained"
    ours = without if pd.isna(mean) else f"{mean:.2f}"
    ours += "" if pd.isna(half_width) else f" ± {half_width:.2f}"
    marks = [
        why if count == len(finished) else f"{count} of {len(finished)} {why}"
        for why, count in (("did not fit", never), ("not trained on after it fitted", late))
        if count
    ]
    ours += f" ({', '.join(marks)})" if marks else ""
    return ours if published is None else f"{ours}, paper {published[:, 1].max() - published[-1, 1]:.2f}"


def shade_gain(axes: Axes, runs: Sequence[Run]) -> None:
    """Hatch from the mean test accuracy up to the mean best so far."""
    test, best = mean_curve(runs, "test_accuracy"), mean_curve(runs, "best_test_accuracy")
    if len(test):
        axes.fill_between(test.epoch, test["mean"], best["mean"], **SHADE)


def panel_titles(names: Sequence[str]) -> list[str]:
    """Titles of the panels: the networks if only they differ, as in the paper; otherwise what differs."""
    networks = [MODEL_TITLES[cell_parts(name)["model"]] for name in names]
    return networks if len(set(networks)) == len(names) else legends.short_labels(names)
