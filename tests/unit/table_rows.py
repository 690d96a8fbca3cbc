"""Summaries of networks, and tables 1 and 4 of them."""

from rethinking import paper, registry
from rethinking.analysis.aggregation import TABLE4_COLUMNS, aggregate_accuracy
from rethinking.tables import rendering

from ..summaries import make_data, make_summary

CELLS = [
    "cifar10/true_labels/inception/crop+wd",
    "cifar10/random_labels/inception/none",
    "cifar10/true_labels/alexnet/none",
]
DATA = make_data(train=2000, provenance="JPEG copy", source={"kind": "images", "files": {}})


def summary(cell, train=None, test=None, diverged_at=None, epochs=30, parameters=1_649_402, data=DATA):
    """A cell with these accuracies after the last epoch, or one that diverged."""
    given = {"settings": {"epochs": epochs}, "parameters": parameters, "data": data}
    if diverged_at:
        return make_summary(cell, diverged_at=diverged_at, best_test_accuracy=50.0, **given)
    given |= {"train_accuracy": train, "train_accuracy_online": train - 1}
    return make_summary(cell, test_accuracy=test, best_test_accuracy=test + 1, **given)


SUMMARIES = [
    summary(f"{CELLS[1]}/seed1", diverged_at=(3, 812)),
    summary(f"{CELLS[0]}/seed2", 99.0, 89.0),
    summary(f"{CELLS[1]}/seed0", 97.5, 10.0),
    summary(f"{CELLS[0]}/seed0", 98.0, 88.0),
    summary(f"{CELLS[0]}/seed1", 100.0, 90.0),
]


# Table 4's rows: weight decay, random crops, and AlexNet, of which the paper has no number.
RANDOM = [f"cifar10/random_labels/{name}" for name in ("inception/wd", "inception/crop", "alexnet/wd")]


def aggregate(cells=CELLS, summaries=SUMMARIES):
    return aggregate_accuracy(cells, summaries, paper.table1())


def aggregate_table4(cells=RANDOM, summaries=()):
    return aggregate_accuracy(cells, summaries, paper.table4(), TABLE4_COLUMNS)


def to_markdown(table, kind="table1"):
    view = registry.entry("table", kind).call()
    return rendering.to_markdown(*view.show(table))


def to_latex(table, kind="table1"):
    view = registry.entry("table", kind).call()
    return rendering.to_latex(*view.show(table))
