"""Made-up summaries of networks, for tests of the code that reads them."""

import copy
import json

from rethinking.cells import Cell
from rethinking.report.provenance import Network

SUMMARY = {
    "cell": "cifar10/true_labels/mlp_1x512/none/seed0",
    "status": "finished",
    "diverged_epoch": None,
    "diverged_step": None,
    "train_accuracy": 100.0,
    "train_accuracy_online": 100.0,
    "test_accuracy": 50.0,
    "test_accuracy_corrupted": 50.0,
    "best_test_accuracy": 51.0,
    "epochs": 100,
    "parameters": 1209866,
    "wall_seconds": 60.0,
    "images_per_second": 1000.0,
    "data": {
        "dataset": "cifar10",
        "provenance": None,
        "source": {"kind": "official", "files": {"cifar-10-binary.tar.gz": "6d958be0"}},
        "num_classes": 10,
        "train": {"count": 50000, "full_count": 50000, "images_sha256": "aa"},
        "test": {"count": 10000, "full_count": 10000, "images_sha256": "bb"},
    },
    "provenance": {
        "settings": {"epochs": 100, "learning_rate": 0.01},
        "seed": 0,
        "git_commit": "1234567890abcdef",
        "code_fingerprint": "fedcba",
        "python": "3.11.7",
        "libraries": {"torch": "2.14.1"},
        "device": "cpu",
        "threads": 1,
        "finished": "2026-11-21T10:00:00+00:00",
    },
}


# What a network that diverged has no numbers of.
LOST = (
    "train_accuracy",
    "train_accuracy_online",
    "test_accuracy",
    "test_accuracy_corrupted",
    "best_test_accuracy",
)


def make_data(dataset="cifar10", train=50_000, full=50_000, **values):
    """What a network saw: so many training images of all in the data set."""
    data = copy.deepcopy(SUMMARY["data"]) | {"dataset": dataset} | values
    data["train"] |= {"count": train, "full_count": full}
    return data


def make_summary(cell=SUMMARY["cell"], provenance=(), settings=(), diverged_at=None, **values):
    """A summary of a cell, with some values replaced; it diverged if epoch and step are given."""
    made = copy.deepcopy(SUMMARY) | {"cell": cell}
    if diverged_at:
        made["status"], (made["diverged_epoch"], made["diverged_step"]) = "diverged", diverged_at
        made |= dict.fromkeys(LOST)
    made |= values
    made["provenance"] |= {"seed": Cell.parse(cell).seed} | dict(provenance)
    made["provenance"]["settings"] |= dict(settings)
    return made


def write_summary(root, summary):
    """Write a summary into the folder of its cell, which is returned."""
    folder = root / summary["cell"]
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def make_network(*arguments, variant=None, **values):
    """The network of such a summary."""
    return Network(make_summary(*arguments, **values), variant=variant)
