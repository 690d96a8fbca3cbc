"""What takes more images than there are is known before any job runs."""

import pytest
import yaml
from snakemake.utils import update_config

from rethinking.config.image_counts import too_few_images
from rethinking.config.loading import load_config
from rethinking.run.files import UserError

from ..default_config import FILE, ablation, default_values, override, with_keys

FILTERS = {"name": "a", "dataset": "digits", "kernel": "linear", "penalties": [0]}
FILTERS |= {"preprocessing": "random_convnet", "filters": 5}


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_limit_beyond_the_data(split):
    most = {"train": "1,437 training", "test": "360 test"}[split]
    with pytest.raises(
        UserError,
        match=f"--config: datasets.digits.{split}_limit is 60,000, but digits has {most} images; give at most",
    ):
        load_config(with_keys(default_values(), {f"datasets.digits.{split}_limit": 60_000}), [])


@pytest.mark.parametrize(
    ("name", "few", "classes"), [("cifar100", 99, 100), ("imagenet100", 99, 100), ("imagenet", 10, 11)]
)
def test_a_limit_below_the_number_of_classes(name, few, classes):
    values = default_values()
    if name == "imagenet":  # of which all classes may be fewer
        load_config(with_keys(values, {"datasets.imagenet.train_limit": 320}), [])
        values["datasets"]["imagenet"]["classes"] = [f"n{number:08d}" for number in range(classes)]
    key = f"datasets.{name}.train_limit"
    with pytest.raises(
        UserError, match=f"{key} is {few}, but {name} has {classes} classes; give at least that, or null"
    ):
        load_config(with_keys(values, {key: few}), [])
    load_config(with_keys(values, {key: classes}), [])


FEW = "but digits has 500 (datasets.digits.train_limit)"
ON_DIGITS = {
    "datasets.digits.train_limit": 500, "capacity.cells": [],
    "linear_models.models": [FILTERS, FILTERS | {"name": "k", "kernel": "gaussian", "gamma": 1}],
    "linear_models.validation.train": 300, "linear_models.validation.test": 200,
    "linear_models.counterexamples.models": ["k"], "linear_models.counterexamples.train": 500,
    "linear_models.counterexamples.test": 360,
    "linear_models.descent.dataset": "digits", "linear_models.descent.images": 63,
}  # fmt: skip


def too_few(changes):
    """What cannot be made of the paper's configuration with its theory on digits and these changes."""
    return too_few_images(load_config(with_keys(with_keys(default_values(), ON_DIGITS), changes), []))


@pytest.mark.parametrize(
    ("changes", "made", "line", "without"),
    [
        ({"capacity.cells": ["digits/random_signs_n501/alexnet/none"]}, {("sample", "digits", 501)},
         f"capacity: random_signs_n501 takes 501 training images, {FEW}", "capacity: {cells: []}"),
        ({"ablations": [ablation(epochs=3) | {"cells": ["digits/true_labels_replaced360/alexnet/none"]}]},
         {("corruption", "digits", "true_labels_replaced360")},
         "ablations: true_labels_replaced360 takes 361 test images, but digits has 360", "ablations: []"),
        ({"linear_models.validation.train": 301}, {("validation", "a"), ("validation", "k")},
         f"linear_models.validation takes 501 training images (train + test), {FEW}",
         "linear_models: {models: [], counterexamples: {models: []}}"),
        ({"linear_models.counterexamples.train": 501}, {("comparison", "k")},
         f"linear_models.counterexamples takes 501 training images, {FEW}", "linear_models: {counterexamples: {models: []}}"),
        ({"linear_models.descent.images": 501}, {("descent",)},
         f"linear_models.descent takes 501 training images, {FEW}", "linear_models: {descent: {dataset: null}}"),
    ],
)  # fmt: skip
def test_more_images_than_there_are(changes, made, line, without):
    found = too_few(changes)
    assert set(found) == made
    (message,) = set(found.values())
    advice = "Take fewer images, or leave out what takes more than there are:"
    assert message.splitlines() == ["there are too few images", f"  {line}", advice, f"  {without}"]


def test_all_that_takes_more_images_is_left_out_in_one_go():
    """Of the paper's configuration, by a limit alone; the lines of the message are right."""
    values = with_keys(default_values(), {"datasets.cifar10.train_limit": 1000})
    messages = dict.fromkeys(too_few_images(load_config(values, [])).values())
    advice = {}
    for message in messages:  # on networks, on linear models
        advice |= yaml.safe_load(message.split("there are:\n")[1])
    assert advice == {
        "capacity": {"cells": []},
        "linear_models": {"models": [], "counterexamples": {"models": []}},
    }
    update_config(values, advice)
    assert not too_few_images(load_config(values, []))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"datasets.digits.train_limit": None, "linear_models.validation.train": 1237},
        {"datasets.digits.train_limit": 1437, "datasets.digits.test_limit": 360},
        # What is not there takes nothing.
        {"linear_models.models": [], "linear_models.counterexamples.models": [], "linear_models.counterexamples.train": 5000,
         "linear_models.validation.train": 5000, "linear_models.descent.dataset": None, "linear_models.descent.images": 5000},
        # A folder can hold other images than the published ones.
        {"datasets.mnist": {"source": "images", "path": "x", "provenance": "mine", "input_size": 24},
         "capacity.cells": ["mnist/random_signs_n70000/alexnet/none"]},
    ],
    ids=["as many as there are", "no limit", "all", "left out", "own images"],
)  # fmt: skip
def test_images_that_are_there_or_may_be(changes):
    assert not too_few(changes)


def test_batches_above_all_training_images_are_named():
    """They are all the same, though a table would show them as variants."""

    def lines(**changes):
        found, values = [], with_keys(default_values(), {k.replace("__", "."): v for k, v in changes.items()})
        load_config(values, [str(FILE)], found.append)
        return found

    cell = "digits/true_labels/alexnet/none"
    grid = {"name": "b{batch_size}", "question": "?", "cells": cell, "grid": {"batch_size": [200, 201, 5000]}}
    sizes = {"ablations": [grid], "capacity__cells": [cell.replace("true_labels", "random_signs_n100")]}
    assert lines(**sizes, datasets__digits__train_limit=200) == [
        "a batch_size of 128 is above the 100 training images of digits/random_signs_n100/alexnet/none; each step takes them all, "
        "as it would with 100",
        *(
            f"a batch_size of {size:,} is above the 200 training images (datasets.digits.train_limit) of {cell} (b{size}); each "
            "step takes them all, as it would with 200"
            for size in (201, 5000)
        ),
    ]
    assert [line.partition(" images of ")[0] for line in lines(ablations=[grid])] == [
        "a batch_size of 5,000 is above the 1,437 training"
    ]
    # The cell that a variant is compared with is trained too, though no table shows it.
    variant = ablation(batch_size=100) | {"cells": [cell]}
    (line,) = lines(overrides=[override(cell, batch_size=2000)], ablations=[variant])
    assert line.startswith(f"a batch_size of 2,000 is above the 1,437 training images of {cell}; ")
    assert lines() == []
