"""Variants compared with the cells themselves, on made-up summaries."""

import copy
import json

import pandas as pd
import pytest

from rethinking import paper, registry
from rethinking.analysis.ablations import COLUMNS, compare_variants
from rethinking.analysis.aggregation import flat_settings, read_columns
from rethinking.run.files import UserError
from rethinking.tables import rendering

from ..summaries import write_summary
from .table_rows import DATA, summary

CELL = "cifar10/random_labels/alexnet/wd"
OTHER = "cifar10/true_labels/alexnet/wd"
SETTINGS = {"weight_decay": 0.004, "weight_decay_on": "hidden_linear", "epochs": 30,
            "architecture": {"local_response_norm": True}}  # fmt: skip
DECAY = {"weight_decay": 0.0005, "weight_decay_on": "weights"}
ABLATIONS = [
    {"name": "small", "question": "Does it fit with less?", "cells": [CELL, OTHER]},
    {"name": "plain", "question": "Without normalisation?", "cells": [CELL]},
]


def trained(seed, train=None, test=10.0, cell=CELL, changes=None, **more):
    result = copy.deepcopy(summary(f"{cell}/seed{seed}", train, test, **more))
    result["provenance"]["settings"] = SETTINGS | (changes or {})
    return result


DEFAULTS = [
    trained(0, 16.0),
    trained(1, 20.0),
    trained(2, 18.0),
    trained(3, diverged_at=(1, 2)),
    trained(0, 99.0, 77.0, cell=OTHER),
]
# Seed 2 diverged here, seed 3 above.
SMALL = [
    trained(0, 90.0, 11.0, changes=DECAY),
    trained(1, 96.0, 10.0, changes=DECAY),
    trained(2, changes=DECAY, diverged_at=(3, 812)),
    trained(3, 99.0, 10.0, changes=DECAY),
]
VARIANTS = {
    "small": SMALL,
    "plain": [trained(0, 17.0, changes={"architecture": {"local_response_norm": False}})],
}


def compare(defaults=DEFAULTS, variants=VARIANTS):
    return compare_variants(ABLATIONS, defaults, variants, paper.accuracies())


def test_one_row_per_variant_and_cell_in_order():
    table = compare()
    assert list(table) == list(COLUMNS)
    assert table.variant.tolist() == ["small", "small", "plain"]
    assert table.corruption.tolist() == ["random_labels", "true_labels", "random_labels"]
    assert table.question[2] == "Without normalisation?"


def test_difference_is_paired_over_seeds_that_both_have_finished():
    row = compare().iloc[0]
    assert (row.seeds, row.diverged, row.diverged_at) == (3, 1, "seed2: epoch 3, step 812")
    assert (row.default_seeds, row.default_diverged, row.pairs) == (3, 1, 2)
    assert (row.default_train_accuracy, row.train_accuracy) == (18.0, 95.0)
    # 74 and 76; the interval of two values with standard deviation sqrt(2).
    assert row.train_difference == 75.0
    assert row.train_difference_ci == pytest.approx(12.7062)
    assert row.test_difference == 0.5


def test_changes_are_those_of_the_settings_that_were_trained_with():
    changes = compare().changes
    assert changes[0] == "weight_decay 0.004 → 0.0005, weight_decay_on hidden_linear → weights"
    assert changes[2] == "local_response_norm true → false"
    assert pd.isna(changes[1])  # the variant is not trained
    same = compare(variants={"plain": [trained(0, 16.0)]})
    assert same.changes[2] == "nothing"
    more = compare(variants={"plain": [trained(0, 16.0, changes={"epochs": 60, "label_smoothing": 0.1})]})
    assert (more.changes[2], more.epochs[2]) == ("epochs 30 → 60, label_smoothing default → 0.1", 60)


def test_option_of_a_network_with_the_name_of_a_setting():
    settings = {"momentum": 0.9, "architecture": {"momentum": 0.1, "width": 64}}
    flat = flat_settings({"cell": f"{CELL}/seed0", "provenance": {"settings": settings}})
    assert flat == {"momentum": 0.9, "local_response_norm": True, "architecture_momentum": 0.1, "width": 64}


def test_row_of_which_one_side_is_missing():
    row = compare().iloc[1]
    assert (row.seeds, row.default_seeds, row.pairs, row.default_test_accuracy) == (0, 1, 0, 77.0)
    assert row[["train_accuracy", "train_difference", "test_difference_ci"]].isna().all()
    assert (row.epochs, row.data) == (30, compare().data[0])
    row = compare(defaults=[]).iloc[0]
    assert (row.seeds, row.default_seeds, row.pairs) == (3, 0, 0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (trained(1, 96.0, changes=DECAY | {"weight_decay": 0.1}), r"differ in settings \(seed0: weight_decay 0.0005; seed1: weight_decay 0.1\)"),
        (trained(1, 96.0, changes=DECAY, data=DATA | {"train": {"count": 5, "full_count": 50}}), "differ in data"),
    ],
)  # fmt: skip
def test_unlike_runs_are_refused(other, message):
    with pytest.raises(UserError, match=f"'{CELL}': its seeds {message}"):
        compare(variants={"small": [SMALL[0], other]})


def test_variant_on_other_data_is_refused():
    data = DATA | {"train": {"count": 4000, "full_count": 50000}}
    other = [trained(seed, 96.0, changes=DECAY, data=data) for seed in (0, 1)]
    with pytest.raises(UserError, match=r"differ in data .*2,000 .*4,000"):
        compare(variants={"small": other})


def test_script_and_text(script, render, tmp_path):
    for branch, summaries in {
        "": DEFAULTS,
        **{f"ablations/{name}": each for name, each in VARIANTS.items()},
    }.items():
        for each in summaries:
            write_summary(tmp_path / branch / "cells", each)
    csv, ablations = tmp_path / "ablations.csv", json.dumps(ABLATIONS)
    script("compare_ablations", ablations=ablations, results=tmp_path, seeds=[0, 1, 2, 3], output=csv)
    table = read_columns(csv, COLUMNS)
    pd.testing.assert_frame_equal(table, compare(), atol=5e-5, rtol=0)
    text, latex = render("ablations", csv)
    view = registry.entry("table", "ablations").call()
    assert text == rendering.to_markdown(*view.show(table))
    # Each question is above the table of its variants.
    assert text.index("**Does it fit with less?**") < text.index("| small") < text.index("**Without normalisation?**")
    fields = [field.strip() for field in next(line for line in text.splitlines() if "| small" in line).split("|")]
    assert fields[1:] == [
        "small", "weight_decay 0.004 → 0.0005, weight_decay_on hidden_linear → weights", "AlexNet", "weight decay",
        "random", "18.00 ± 4.97, diverged (1 of 4)", "95.00 ± 11.38, diverged (1 of 4)", "+75.00 ± 12.71", "failed to converge",
        "10.00 ± 0.00", "10.33 ± 1.43", "+0.50 ± 6.35", "—", "",
    ]  # fmt: skip
    assert "CIFAR-10 (JPEG copy), 2,000 of 50,000 training images; 30 epochs" in text
    assert "1 to 2 pairs of networks with the same seed.\n1 of 3 cells with a change are not trained" in text
    assert text.count("| AlexNet ") == len(table) - 1
    assert r"\textbf{Does it fit with less?}" in latex
    assert latex.isascii()


def test_a_variant_that_diverged_with_all_seeds_has_a_row():
    lost = {"plain": [trained(0, changes={"architecture": {"local_response_norm": False}}, diverged_at=(3, 812))]}
    (shown,) = registry.entry("table", "ablations").call().present(compare(variants=lost))
    assert shown.table["training accuracy (%)", "variant"].tolist() == ["diverged (1 of 1)"]


def test_text_where_no_variant_is_trained():
    view = registry.entry("table", "ablations").call()
    text = rendering.to_markdown(*view.show(compare(variants={})))
    assert text.startswith("Ours: none of these networks is trained yet; differences from 0 pairs")
    assert "3 of 3 cells with a change are not trained" in text
