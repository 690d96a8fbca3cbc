"""Figures of the paper's theory: precision over n, error over settings and random filters, and the limit of SGD."""

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rethinking import registry
from rethinking.analysis.descriptions import describe_copies, describe_data, span
from rethinking.analysis.statistics import LEVEL
from rethinking.analysis.theory_results import common, table3
from rethinking.figures import drawing, legends, style
from rethinking.paper.titles import DATASET_TITLES
from rethinking.tables.theory import preprocessing_title

DASHES = ["-", style.DASHED, (0, (1, 1.5)), (0, (4, 1, 1, 1))]
# Of the precisions that a configuration can ask for, with the leading bit that is not stored.
BITS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}
# The exact fit: in front, open and larger, because a small penalty can have the same error.
EXACT = {"markerfacecolor": "none", "markersize": 9, "markeredgewidth": 1.2, "linewidth": 1, "zorder": 3}
Record = dict[str, Any]


@registry.figure("expressivity_precision", title="Theorem 1: the precision that it takes", script="plot_theory")
def draw_precision(records: Sequence[Record]) -> tuple[Figure, pd.DataFrame]:
    """Largest error of theorem 1's network over n in several number formats, and the estimated bits that it takes.

    Args:
        records: of ``fit_expressivity``, one per seed.
    """
    numbers = pd.DataFrame(
        [{"seed": record["seed"], **row} for record in records for row in record["precision"]]
    ).astype({"largest_error": "float64", "fitted": "float64"})
    # The worst of the seeds; missing if one seed has no network.
    table = (
        numbers.groupby(["precision", "offset", "n"], sort=False)[["largest_error", "bits_needed"]]
        .agg(lambda values: values.max(skipna=False))
        .reset_index()
    )
    figure = Figure(figsize=(style.WIDTH, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = style.line_styles(table.precision.unique())
    dashes = dict(zip(table.offset.unique(), cycle(DASHES), strict=False))
    for (precision, offset), rows in table.groupby(["precision", "offset"], sort=False):
        colour, marker = colours[precision]
        # A logarithmic axis cannot show zero.
        errors = rows.largest_error.clip(lower=1e-17)
        left.plot(rows.n, errors, color=colour, marker=marker, linestyle=dashes[offset])
    left.axhline(0.5, color=style.GREY, linewidth=0.8)
    drawing.log_scale(left, "x", "y")
    left.set(xlabel="images n", ylabel="largest error of an output")
    for offset, rows in table.drop_duplicates(["offset", "n"]).groupby("offset", sort=False):
        right.plot(rows.n, rows.bits_needed, color=style.GREY, marker="o", linestyle=dashes[offset])
    for name, bits in BITS.items():
        if name in colours:
            right.axhline(bits, color=colours[name][0], linewidth=0.8)
            # The curve rises from the lower left to the upper right; labels stand beside it, the lowest below its line.
            x, side = (0.02, "left") if bits > 20 else (1, "right")
            place = {"xycoords": ("axes fraction", "data"), "ha": side, "va": "top" if bits < 10 else "bottom"}
            right.annotate(name, (x, bits), **place, fontsize="small")
    drawing.log_scale(right, "x")
    right.set(xlabel="images n", ylabel="required bits (estimate)", ylim=(0, None))
    lines = legends.line_entries(colours, {name: name for name in colours})
    styles = [
        Line2D([], [], color=style.GREY, linestyle=dash, label=f"thresholds at {offset:g}")
        for offset, dash in dashes.items()
    ]
    data = common("expressivity", [{"data": describe_data(record)} for record in records], ["data"])["data"]
    note = (
        f"Ours: {data}; random labels (numbers of classes); the worst of "
        f"{span([len(records)], 'seed')}. Left: where a line ends, projections of different images "
        "are equal in this format, or too close for a threshold between them, and there is no network; above "
        "the grey line labels are lost. Right: an estimate of the bits with which errors stay below 1/2, from one "
        "rounding that the network amplifies; measured errors can differ from it by a few bits, to either side. Thresholds "
        "lie at this share of the way between neighbouring projections."
    )
    legends.finish(figure, lines, styles, note)
    return figure, numbers


@registry.figure("kernel_sensitivity", title="Linear models: what gamma and the penalty change", script="plot_theory")
def draw_sensitivity(tables: Sequence[pd.DataFrame], models: Sequence[Record]) -> tuple[Figure, pd.DataFrame]:
    """Error on the validation part over gamma or, with a linear kernel, over the penalty.

    Args:
        tables: of ``validate_linear_model``.
        models: settings of all models, by ``name`` those of the tables among them.
    """
    columns = min(3, len(tables))
    rows = math.ceil(len(tables) / columns)
    figure = Figure(figsize=(style.WIDTH, 0.8 + 2.3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    penalties = style.line_styles(sorted({penalty for table in tables for penalty in table.penalty}))
    size = style.marker_sizes(penalties)
    looks = {
        penalty: {"color": colour, "marker": marker, "markersize": size[penalty], "clip_on": False}
        for penalty, (colour, marker) in penalties.items()
    }
    if 0 in looks:
        looks[0] |= EXACT
    settings = {model["name"]: model for model in models}
    for axes, table in zip(panels, tables, strict=False):
        model = settings[table.model.iloc[0]]
        preprocessing = preprocessing_title(pd.Series(model)).replace(" filters", "\N{NO-BREAK SPACE}filters")
        title = f"{DATASET_TITLES[model['dataset']]}, {preprocessing}"
        axes.set_title(f"{legends.wrap(title, 26)}\n{model['kernel'].capitalize()} kernel", fontsize="small")
        if table.gamma.notna().any():
            for penalty, some in table.groupby("penalty"):
                axes.plot(some.gamma, some.validation_error, **looks[penalty])
            drawing.log_scale(axes, "x")
            axes.set(xlabel="gamma")
            drawing.number_ticks(axes, table.gamma, columns, "{:g}")
        else:
            smallest = table.penalty[table.penalty > 0].min()
            axes.plot(table.penalty, table.validation_error, color=style.GREY)
            for row in table.itertuples():
                axes.plot(row.penalty, row.validation_error, **looks[row.penalty])
            if smallest > 0:
                axes.set_xscale("symlog", linthresh=smallest)
                axes.xaxis.get_major_locator().set_params(numticks=min(15, 21 // columns))
            else:
                axes.set_xticks([0])  # the axis ends on both sides of it
            axes.set(xlabel="penalty")
        axes.tick_params("x", labelsize="x-small")
        axes.set_ylabel("validation error (%)")
    for axes in panels[len(tables) :]:
        axes.set_visible(False)
    titles = {penalty: f"penalty {penalty:g}" if penalty else "no penalty" for penalty in penalties}
    lines = [Line2D([], [], **look, label=titles[penalty], linestyle="") for penalty, look in looks.items()]
    half = math.ceil(len(lines) / 2)
    everything = pd.concat(tables)
    missing = everything.validation_error.isna().sum()
    note = (
        f"Ours: {describe_copies(everything.data)}. Fitted to {span(everything.images, 'image')} of the training "
        f"set; the error is on {span(everything.validation_images, 'other')} of it, on a scale of its own in each "
        "panel, which does not begin at zero. Penalties are in units of the mean of the kernel's diagonal."
    )
    if missing:
        note += f" Missing, because the kernel matrix is singular: {missing} of {span([len(everything)], 'point')}."
    legends.finish(figure, lines[:half], lines[half:], note)
    return figure, everything


@registry.figure(
    "filters", title="Random filters: with a penalty the error falls with their number", script="plot_theory"
)
def draw_filters(records: Sequence[Record]) -> tuple[Figure, pd.DataFrame]:
    """Test and training error over the number of random filters, without and with a penalty, beside the paper's.

    Args:
        records: of ``fit_linear_model``, of random convolutional networks on one data set.
    """
    numbers = table3(records).sort_values("filters", ignore_index=True)
    figure = Figure(figsize=(style.WIDTH, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    # In front and open, because ours can lie on the same place.
    theirs = style.PAPER_LINE | {"linestyle": "", "markevery": None, "markerfacecolor": "none", "zorder": 3}
    lines, broken = [], ""
    styles = style.line_styles(sorted((numbers.penalty > 0).unique()))
    size = style.marker_sizes(styles)
    for penalised, rows in numbers.groupby(numbers.penalty > 0):
        colour, marker = styles[penalised]
        line = {"color": colour, "marker": marker, "markersize": size[penalised], "clip_on": False}
        lines.append(Line2D([], [], **line, label="with an l2 penalty" if penalised else "no penalty"))
        # A line breaks where only the other one has a fit, because the error need not lie between its neighbours'.
        rows = numbers[["filters"]].drop_duplicates().merge(rows, how="left")
        filters = rows.filters.astype(float)
        if rows.test_error.isna().any():
            broken = " A line breaks where a fit is missing."
        for axes, key in ((left, "test_error"), (right, "train_error")):
            ends = drawing.plot_mean(axes, filters, rows[key], rows[f"{key}_ci"], drawing.PERCENT, **line)
            axes.vlines(filters, *ends, color=line["color"])
        left.plot(rows.paper_filters.astype(float), rows.paper_test_error, **line | theirs)
    enough = numbers.images.max() / (numbers.features / numbers.filters).mean()
    ticks = {*numbers.filters, *numbers.paper_filters.dropna()}
    for axes in (left, right):
        axes.axvline(enough, color=style.GREY, linewidth=0.8, linestyle=DASHES[2])
        # Where all fits are exact, all errors are zero and the axis needs a height.
        drawing.log_scale(axes, "x")
        axes.set(xlabel="random filters", ylim=(0, max(1, axes.get_ylim()[1])))
        drawing.number_ticks(axes, ticks, 2, fontsize="x-small")
    left.set_ylabel("test error (%)")
    right.set_ylabel("training error (%)")
    others = [Line2D([], [], color=style.GREY, linestyle=DASHES[2], label="as many features as images")]
    if numbers.paper_test_error.notna().any():
        others.append(Line2D([], [], color=style.GREY, marker="o", label=style.PAPER_TITLE, **theirs))
    validated = " Penalties are chosen on a part of the training set." if numbers.chosen.notna().any() else ""
    note = (
        f"Ours: {describe_copies(numbers.data)}; {span(numbers.seeds, 'seed')}, with {LEVEL} "
        "Student-t intervals where there is more than one. Each filter gives eight features. From the dotted "
        "line on they are as many as the images or more, and without a penalty every label is fitted; before "
        f"it the fit is that of least squares.{validated}{broken}"
    )
    legends.finish(figure, lines, others, note)
    return figure, numbers


@registry.figure("descent", title="SGD from zero finds the exact fit of minimum norm", script="plot_theory")
def draw_descent(tables: Sequence[pd.DataFrame], records: Sequence[Record]) -> tuple[Figure, pd.DataFrame]:
    """Distance of SGD from the exact fit of minimum norm over steps, from zero and from a random start.

    Args:
        tables: of ``run_descent``, one per seed.
        records: the facts of the same runs.
    """
    figure = Figure(figsize=(style.WIDTH, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    titles = {"zero": "SGD from zero", "random": "SGD from a random start"}
    styles = style.line_styles(titles)
    for place, (start, (colour, marker)) in enumerate(styles.items()):
        for curve in tables:
            some = curve[(curve.start == start) & (curve.step > 0)]
            # The curves on the right lie on each other, so their markers take turns.
            line = {"color": colour, "marker": marker, "markevery": (4 * place, 8), "markersize": 4}
            left.plot(some.step, some.distance, **line)
            right.plot(some.step, some.residual, **line)
    for record in records:
        left.axhline(record["random_outside"], color=style.GREY, linewidth=0.8, linestyle=DASHES[1])
    left.set(ylabel="distance |w − w*| / |w*|")
    right.set(ylabel="misfit |Xw − Y| / |Y|")
    for axes in (left, right):
        drawing.log_scale(axes, "x", "y")
        axes.set(xlabel="steps")
    outside = Line2D([], [], color=style.GREY, linestyle=DASHES[1], label="start's part outside the images' span")
    described = [record | {"data": describe_data(record)} for record in records]
    first = records[0] | common("descent", described, ["data", "images", "dimension"])
    errors = [f"{record['minimum_norm_test_error']:.1f}" for record in records]
    others = [f"{record['random_test_error']:.1f}" for record in records]
    hessian = np.max([record["hessian_difference"] for record in records])
    note = (
        f"Ours: {first['data']}, of which {first['images']:,} are fitted, whitened image by image; "
        f"{span([len(records)], 'seed')}, a line each. w*: the exact fit of minimum norm, X'(XX')⁻¹Y. Test error "
        f"of w*: {', '.join(errors)} %, from the random start: {', '.join(others)} %. The Hessian of the loss "
        f"at different w is the same to {hessian:.0e} and has rank {first['hessian_rank']:,} in "
        f"{first['dimension']:,} dimensions: every exact fit has the same curvature, zero in all other "
        "directions."
    )
    legends.finish(figure, legends.line_entries(styles, titles), [outside], note)
    numbers = pd.concat([curve.assign(seed=record["seed"]) for curve, record in zip(tables, records, strict=True)])
    return figure, numbers.replace({np.inf: np.nan})
