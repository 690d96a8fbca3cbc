"""The values that Zhang et al. (ICLR 2017, arXiv 1611.03530v2) published, from ``paper/data/*.json``."""

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rethinking.run.files import read_json

# In cell names -> in our file of the paper's numbers.
TABLE1_REGULARISERS = {"crop": "random_crop", "wd": "weight_decay"}
# Of 32 images, in an epoch on the 1,281,167 images of ImageNet; the axis of figure 2a counts such steps (inferred).
IMAGENET_STEPS = 40_036
FOLDER = Path(__file__).parent / "data"


@cache
def read(name: str) -> dict[str, Any]:
    """The contents of ``paper/data/{name}.json``; callers must not change them."""
    return read_json(FOLDER / f"{name}.json")


def table1() -> dict[tuple[str, str, str], dict[str, float]]:
    """Table 1: CIFAR-10 accuracies in percent.

    Returns:
        (corruption, model, regularisers), as in cell names -> ``train_accuracy`` and ``test_accuracy``.
    """
    return {
        (f"{row['labels']}_labels", row["model"], regularisers(row)): {
            key: row[key] for key in ("train_accuracy", "test_accuracy")
        }
        for row in read("zhang2017")["table1"]
    }


def regularisers(row: dict[str, Any], columns: Mapping[str, str] = TABLE1_REGULARISERS) -> str:
    """How cell names write the regularisers of a row, for example ``crop+wd``; ``columns`` say which it has."""
    return "+".join(name for name, column in columns.items() if row[column]) or "none"


def table2() -> dict[tuple[str, str, str], dict[str, float | None]]:
    """Table 2: Inception V3 on ImageNet, accuracies in percent.

    Returns:
        (corruption, model, regularisers), as in cell names -> ``{train,test,best_test}_accuracy`` and, with ``_top5``
        behind, their top-5 accuracies; None where the paper gives none.
    """
    columns = {"augment": "data_augmentation", "wd": "weight_decay", "dropout": "dropout"}
    return {
        (f"{row['labels']}_labels", "inception_v3", regularisers(row, columns)): {
            f"{split}_accuracy{ending}": row[f"{prefix}top{k}_{name}"]
            for split, prefix, name in (
                ("train", "", "train"),
                ("test", "", "test"),
                ("best_test", "best_", "test"),
            )
            for k, ending in ((1, ""), (5, "_top5"))
        }
        for row in read("zhang2017")["table2"]
    }


def table4() -> dict[tuple[str, str, str], dict[str, Any]]:
    """Table 4: training accuracy on random labels of CIFAR-10, in percent.

    Returns:
        (corruption, model, regularisers), as in cell names -> ``train_accuracy``, None where there is no
        number; ``note``, what the paper says in its place, or None; and ``online``, whether it was measured
        on the augmented images of the training batches (footnote).
    """
    names = {"weight decay": "wd", "random cropping": "crop", "augmentation": "augment"}
    return {
        ("random_labels", row["model"], names[row["regularizer"].split(":")[0]]): {
            "train_accuracy": row["train_accuracy"],
            "note": row.get("note"),
            "online": row.get("note", "").startswith("online"),
        }
        for row in read("zhang2017")["table4"]
    }


def table3() -> dict[tuple[str, str, bool], dict[str, float]]:
    """Table 3 and the text of section 5: linear models.

    Returns:
        (data set, preprocessing, whether with l2 penalty) -> ``test_error`` in percent and, where the text gives one, ``norm``
        and ``filters``. The kernel is Gaussian except for the random convolutional network.
    """
    found = {}
    for row in read("zhang2017")["table3"]:
        name, _, filters = row["preprocessing"].partition(", ")
        preprocessing = {"none (Gaussian kernel)": "none", "random conv-net": "random_convnet"}.get(name, name)
        more = {"norm": row["l2_norm"]} if "l2_norm" in row else {}
        more |= {"filters": int(filters.split()[0])} if filters else {}
        found[row["dataset"], preprocessing, False] = {"test_error": row["test_error"], **more}
        if "test_error_with_l2" in row:
            found[row["dataset"], preprocessing, True] = {"test_error": row["test_error_with_l2"], **more}
    return found


def accuracies() -> dict[tuple[str, str, str], dict[str, Any]]:
    """The entries of tables 1 and 4 that were measured without augmentation, in the form of :func:`table4`."""
    return table1() | {key: row for key, row in table4().items() if not row["online"]}


def sizes() -> dict[tuple[str, str], dict[str, int]]:
    """Parameters of the networks and training images of the data sets.

    Returns:
        (data set, model), as in cell names -> ``parameters`` and ``train_images``.
    """
    # Batch normalisation has no parameters here, so both Inceptions have the listed number.
    names = {
        "Inception (small)": ("inception", "inception_no_bn"),
        "AlexNet (small)": ("alexnet",),
        "MLP 3x512": ("mlp_3x512",),
        "MLP 1x512": ("mlp_1x512",),
        "Inception V3": ("inception_v3",),
    }
    # Of the other networks there is no more than their size.
    sizes = read("zhang2017")["sizes"]
    names |= {row["model"]: (row["model"],) for row in sizes if row["model"] not in names}
    return {
        (row["dataset"].replace("-", "").lower(), model): {
            "parameters": row["params"],
            "train_images": row["n_train"],
        }
        for row in sizes
        for model in names[row["model"]]
    }


def curve(name: str) -> np.ndarray:
    """A curve read off the vector graphics of figures 1 and 2, float64 (n, 2): x and y.

    Args:
        name: figure and line, for example ``fig1a_random_labels``; ``paper/data/figures.json`` has names and units.

    Raises:
        KeyError: there is no such curve.
    """
    return np.array(read("figures")["curves"][name])


def curves(figure: str) -> dict[str, np.ndarray]:
    """All curves of a figure, by the rest of their names (see :func:`curve`).

    Networks and regularisers have our names. Thousands of steps are converted to epochs, fractions of figure 2 to
    percent.
    """
    found = {}
    for name in read("figures")["curves"]:
        if name.startswith(f"{figure}_"):
            points = curve(name)
            if figure in ("fig1a", "fig2b"):
                points[:, 0] *= 1000 / steps_per_epoch()
            if figure == "fig2a":
                points[:, 0] *= 1000 / IMAGENET_STEPS
            if figure in ("fig2a", "fig2b"):
                points[:, 1] *= 100
            name = name.removeprefix(f"{figure}_").replace("inception_wo_bn", "inception_no_bn")
            found[name.replace("aug_wd_dropout", "augment+wd+dropout")] = points
    return found


def inconsistency(name: str) -> str:
    """Where the paper contradicts itself in a figure or table, in a sentence for its note.

    Args:
        name: ``fig1c``, ``fig2b`` or ``table2``.

    Raises:
        KeyError: there is no such inconsistency.
    """
    return read("zhang2017")["inconsistencies"][name]


def steps_per_epoch() -> int:
    """Steps of one epoch on CIFAR-10, to convert the thousands of steps of figures 1a and 2b to epochs.

    The batch size is inferred: with it the points of figure 1a are at whole epochs.
    """
    values = read("zhang2017")
    images = next(row["n_train"] for row in values["sizes"] if row["dataset"] == "CIFAR-10")
    return math.ceil(images / values["settings"]["batch_size"]["value"])
