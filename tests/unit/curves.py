"""Constructed runs for tests of figures."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba_array

from rethinking.analysis.runs import TABLES, Run
from rethinking.cells import Cell
from rethinking.figures.style import STYLE

from ..summaries import make_data, make_summary, write_summary

mpl.rcParams.update(STYLE)


def make_run(name, seed=0, diverged=False, steps_per_epoch=16, first_epoch=0, **columns):
    """A run whose curve has these columns, one value per epoch from ``first_epoch`` on."""
    epochs = np.arange(len(next(iter(columns.values())))) + first_epoch
    curve = pd.DataFrame({"epoch": epochs, "step": epochs * steps_per_epoch, **columns})
    return Run(summarise(Cell.from_name(name, seed), diverged), curve, curve)


def write_run(root, run, table="curve"):
    """Write a run and one of its tables as the folder of a cell below ``root``, and return the folder."""
    folder = write_summary(root, run.summary)
    missing = {name: np.nan for name in TABLES[table] if name not in run.curve}
    run.curve.assign(**missing).to_csv(folder / f"{table}.csv", index=False)
    return folder


def summarise(cell, diverged=False):
    """A summary of a network that saw 2,000 of 50,000 images of CIFAR-10."""
    given = {"settings": {"epochs": 1}, "data": make_data(train=2000), "parameters": 5}
    if diverged:
        return make_summary(str(cell), diverged_at=(1, 5), **given)
    accuracies = ("train_accuracy", "train_accuracy_online", "test_accuracy", "best_test_accuracy")
    return make_summary(str(cell), **given, **dict.fromkeys(accuracies, 50))


def solid_lines(axes):
    """The lines of means."""
    return [line for line in axes.lines if line.get_linestyle() == "-"]


def dashed_lines(axes):
    """The lines of the paper."""
    return [line for line in axes.lines if line.get_linestyle() == "--"]


def legend(figure):
    """The text of the legend, without the padding between its columns."""
    return [text.get_text() for text in figure.legends[0].get_texts() if text.get_text()]


def note(figure):
    """The text below the axes, as one line."""
    return " ".join(figure.get_supxlabel().split())


def painted(axes, colour):
    """How many pixels of axes have a colour when their figure is written as PNG."""
    axes.figure.set_dpi(STYLE["savefig.dpi"])
    canvas = FigureCanvasAgg(axes.figure)
    canvas.draw()
    image = np.asarray(canvas.buffer_rgba()).astype(int)
    bottom, top = len(image) - axes.bbox.y1, len(image) - axes.bbox.y0
    inside = image[int(bottom) : int(top) + 1, int(axes.bbox.x0) : int(axes.bbox.x1) + 1]
    return (abs(inside - to_rgba_array(colour) * 255).max(axis=2) < 5).sum()
