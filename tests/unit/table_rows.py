"""Summaries of networks, and tables 1 and 4 of them."""

from rethinking import paper, registry
from rethinking.analysis.aggregation import (
    TABLE4_COLUMNS,
    aggregate_accuracy,
)
from rethinking.tables import rendering

CELLS = [
    "cifar10/true_labels/inception/crop+wd",
    "cifar10/random_labels/inception/none",
    "cifar10/true_labels/alexnet/none",
]
DATA = {
    "dataset": "cifar10",
    "provenance": "JPEG copy",
    "source": {"kind": "images", "files": {}},
    "train": {"count": 2000, "full_count": 50000},
    "test": {"count": 10000, "full_count": 10000},
}


def summary(cell, train=None, test=None, diverged_at=None, epochs=30, parameters=1_649_402, data=DATA):
    """The part of a cell's ``summary.json`` that tables use; the cell diverged if that is given."""
    epoch, step = diverged_at or (None, None)
    return {
        "cell": cell,
        "status": "diverged" if diverged_at else "finished",
        "diverged_epoch": epoch,
        "diverged_step": step,
        "train_accuracy": train,
        "train_accuracy_online": None if diverged_at else train - 1,
        "test_accuracy": test,
        "best_test_accuracy": 50.0 if diverged_at else test + 1,
        "parameters": parameters,
        "data": data,
        "provenance": {"settings": {"epochs": epochs}},
    }


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
    return rendering.to_markdown(view.present(table), view.note(table))


def to_latex(table, kind="table1"):
    view = registry.entry("table", kind).call()
    return rendering.to_latex(view.present(table), view.note(table))
