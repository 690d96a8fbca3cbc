"""Figure 1a: training loss of a network on true and corrupted data."""

import math

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from rethinking import paper, registry
from rethinking.analysis.runs import Runs, from_first_epoch, mean_curves, published_name
from rethinking.figures import drawing, legends, style

LOSS = "train_loss_end"  # the paper's average_loss
LEGEND_WIDTH, LEGEND_ROOM = 28, 18  # characters of a line of the legend, lines beside the axes and the note


@registry.figure(
    "fig1a",
    title="Figure 1a: training loss on true and corrupted data",
    script="plot_figure",
    unit="nats",
    reads="curve",
)
def draw(runs: Runs, scale: str) -> tuple[Figure, pd.DataFrame]:
    """Training loss over epochs, one colour per cell, with the paper's dashed curves beneath ours.

    An axis on top counts steps if our epochs have as many as the paper's.

    Args:
        runs: by cell in the order of the legend; a cell may have no runs.
        scale: data, scale and seeds of our runs, printed under the axes.
    """
    runs = {name: list(map(from_first_epoch, some)) for name, some in runs.items()}
    published = paper.curves("fig1a")
    theirs = {name: published[curve] for name in runs if (curve := published_name(name)) in published}
    note = f"Ours: {scale}.\nTraining loss: moving average over batches at the end of each epoch."
    if theirs:
        note += (
            f"\n{style.PAPER_TITLE}: Inception, CIFAR-10 at full scale, read off the published figure. We infer that its "
            "average_loss is such a moving average too."
        )
    figure = Figure(figsize=(style.WIDTH, 3.8), layout="constrained")
    axes = figure.subplots()
    curves = [run.curve for some in runs.values() for run in some if len(run.curve)]
    last_epoch = max((curve.epoch.max() for curve in curves), default=0)
    last_epoch = last_epoch or max((curve[:, 0].max() for curve in theirs.values()), default=1)

    axes.set(xlabel="epoch", ylabel="training loss (nats)")
    drawing.epoch_axis(axes, last_epoch)
    # Of a network that finds all classes equally likely.
    starts = [math.log(run.summary["data"]["num_classes"]) for some in runs.values() for run in some]
    start = max([*starts, *(curve[:, 1].max() for curve in theirs.values())], default=1)
    loss = max([start, *(curve[LOSS].max() for curve in curves)])
    # A run that is about to diverge must not flatten the others.
    top = 1.03 * min(loss, 1.5 * start)
    axes.set_ylim(0, top)
    if loss > top:
        note += f"\nThe axis ends at {top:.1f} nats; larger losses are not shown."

    styles = style.line_styles(runs)
    for name, (colour, marker) in styles.items():
        if name in theirs:
            axes.plot(*theirs[name].T, color=colour, marker=marker, **style.PAPER_LINE)
        drawing.plot_runs(axes, runs[name], LOSS, colour, marker)

    on_top = {curve.step.iloc[-1] / curve.epoch.iloc[-1] for curve in curves} == {paper.steps_per_epoch()}
    if on_top:
        thousand = paper.steps_per_epoch() / 1000
        convert = (lambda epochs: epochs * thousand, lambda steps: steps / thousand)
        axes.secondary_xaxis("top", functions=convert).set_xlabel("thousand steps")
    sns.despine(figure, top=not on_top)
    titles = dict(zip(runs, legends.short_labels(list(runs)), strict=True))
    handles = legends.line_entries(styles, titles) + legends.runs_legend(runs, bool(theirs))
    legends.add_legend(figure, handles, LEGEND_WIDTH, loc="outside right upper")
    legends.add_note(figure, note)
    legends.make_room(
        figure, sum(each.get_label().count("\n") + 1 for each in handles), legends.LEGEND_LINES[0], LEGEND_ROOM
    )
    return figure, mean_curves(runs, [LOSS])
