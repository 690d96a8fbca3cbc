"""Tables 1 and 4: from summaries to rows to text, with seeds that are missing or diverged."""

import copy
import json
import re

import pandas as pd
import pytest

from rethinking import paper, registry
from rethinking.analysis import aggregation as tables
from rethinking.analysis.aggregation import (
    COLUMNS,
    TABLE4_COLUMNS,
    aggregate_accuracy,
    describe_data,
    read_columns,
)
from rethinking.cells import Cell
from rethinking.paper import titles
from rethinking.run.files import UserError
from rethinking.tables import presentation, rendering

DATASETS = registry.names("dataset")
REGULARISERS = registry.names("regulariser")
MODELS = registry.names("model")

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


# --- aggregation ----------------------------------------------------------------------------------


def test_one_row_per_cell_in_order():
    for cells in (CELLS, CELLS[::-1]):
        table = aggregate(cells)
        names = table.dataset + "/" + table.corruption + "/" + table.model + "/" + table.regularisers
        assert names.tolist() == cells
        assert list(table) == list(COLUMNS)


def test_means_over_seeds():
    row = aggregate().iloc[0]
    assert (row.seeds, row.diverged, row.parameters, row.epochs) == (3, 0, 1_649_402, 30)
    assert (row.train_accuracy, row.test_accuracy) == pytest.approx((99.0, 89.0))
    assert row.train_accuracy_ci == pytest.approx(4.302653 / 3**0.5)
    assert (row.train_accuracy_online, row.best_test_accuracy) == pytest.approx((98.0, 90.0))
    assert (row.paper_train_accuracy, row.paper_test_accuracy) == (100.0, 89.05)
    assert row.data == "CIFAR-10 (JPEG copy), 2,000 of 50,000 training images"


def test_diverged_seed_is_counted_and_left_out_of_means():
    row = aggregate().iloc[1]
    assert (row.seeds, row.diverged, row.diverged_at) == (1, 1, "seed1: epoch 3, step 812")
    assert (row.train_accuracy, row.test_accuracy, row.best_test_accuracy) == (97.5, 10.0, 11.0)
    assert pd.isna(row.train_accuracy_ci)


def test_row_without_results():
    row = aggregate().iloc[2]
    assert (row.seeds, row.diverged, row.paper_test_accuracy) == (0, 0, 76.07)
    assert (
        row[["parameters", "diverged_at", "train_accuracy", "test_accuracy_ci", "epochs", "data"]]
        .isna()
        .all()
    )


def test_no_summaries_and_cells_that_the_paper_lacks():
    table = aggregate(["digits/labels_p0.5/mlp_1x512/none"], SUMMARIES)
    assert (table.seeds[0], table.diverged[0]) == (0, 0)
    assert table[["train_accuracy", "paper_train_accuracy", "paper_test_accuracy"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 31}, "differ in epochs .*30; 31"),
        ({"data": DATA | {"train": {"count": 4000, "full_count": 50000}}}, "differ in data .*2,000 .*4,000"),
        ({"parameters": 5}, "differ in parameters"),
    ],
)
def test_seeds_of_unlike_runs_are_refused(change, message):
    other = summary(f"{CELLS[0]}/seed7", 99.0, 89.0, **change)
    with pytest.raises(UserError, match=f"'{CELLS[0].replace('+', '.')}'.*{message}"):
        aggregate(summaries=[*SUMMARIES, other])


def test_unknown_cell():
    with pytest.raises(UserError, match="'inceptoin'; did you mean 'inception'"):
        aggregate(["cifar10/true_labels/inceptoin/none"])


def test_table4_has_the_accuracy_on_augmented_batches_too():
    table = aggregate_table4(
        summaries=[summary(f"{RANDOM[1]}/seed{n}", train, 10.0) for n, train in enumerate((97, 99))]
    )
    row = table.iloc[1]
    assert list(table) == list(TABLE4_COLUMNS)
    assert (row.train_accuracy, row.train_accuracy_online, row.paper_train_accuracy) == (98.0, 97.0, 99.93)
    assert row.train_accuracy_online_ci == pytest.approx(12.7062)  # Student's t for one degree of freedom
    assert "online" in row.paper_note
    assert (table.paper_note[2], table.seeds[2]) == ("failed to converge", 0)
    assert pd.isna(table.paper_train_accuracy[2])


def test_csv_keeps_the_table(tmp_path):
    aggregate().to_csv(tmp_path / "table1.csv", index=False, float_format="%.4f")
    table = read_columns(tmp_path / "table1.csv", COLUMNS)
    pd.testing.assert_frame_equal(table, aggregate(), atol=5e-5, rtol=0)


# --- data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "CIFAR-10 (JPEG copy), 2,000 of 50,000 training images"),
        (
            {
                "provenance": None,
                "source": {"kind": "official", "files": {}},
                "train": {"count": 50000, "full_count": 50000},
            },
            "CIFAR-10 (exact), 50,000 training images",
        ),
        (
            {
                "dataset": "digits",
                "provenance": None,
                "source": {"kind": "embedded", "files": {}},
                "train": {"count": 1437, "full_count": 1437},
                "test": {"count": 100, "full_count": 360},
            },
            "digits (scikit-learn), 1,437 training images, 100 of 360 test images",
        ),
    ],
)
def test_describe_data(change, text):
    assert describe_data({"data": DATA | change}) == text


# --- rendering ------------------------------------------------------------------------------------


def rows(markdown):
    """The fields of a Markdown table's rows, heading first."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[field.strip() for field in line.strip("|").split("|")] for line in lines[:1] + lines[2:]]


def test_markdown():
    text = to_markdown(aggregate())
    heading, *body = rows(text)
    assert heading[:5] == ["model", "parameters", "random crop", "weight decay", "labels"]
    # AlexNet is not trained, so its parameters are unknown too.
    assert body == [
        ["Inception", "1,649,402", "yes", "yes", "true", "99.00 ± 2.48", "100.00", "89.00 ± 2.48", "89.05"],
        ["", "", "no", "no", "random", "97.50, diverged (1 of 2)", "100.00", "10.00", "9.78"],
        ["AlexNet", "—", "no", "no", "true", "—", "100.00", "—", "76.07"],
    ]
    assert "CIFAR-10 (JPEG copy), 2,000 of 50,000 training images; 30 epochs; 2 to 3 seeds." in text
    assert "95% Student-t interval" in text
    assert "Paper: Zhang et al. (2017), CIFAR-10 at full scale." in text


def test_all_seeds_diverged():
    diverged = [summary(f"{CELLS[2]}/seed{seed}", diverged_at=(1, 5)) for seed in (0, 1)]
    _, row = rows(to_markdown(aggregate(CELLS[2:], diverged)))
    assert row[-4:] == ["diverged (2 of 2)", "100.00", "—", "76.07"]


def test_nothing_trained():
    assert "Ours: no network is trained yet." in to_markdown(aggregate(summaries=[]))


def test_table4_compares_augmented_rows_on_augmented_images():
    summaries = [summary(f"{name}/seed0", 99.0, 10.0) for name in RANDOM]
    summaries += [summary(f"{name}/seed1", diverged_at=(2, 3)) for name in RANDOM[1:]]
    text = to_markdown(aggregate_table4(summaries=summaries), "table4")
    heading, *body = rows(text)
    assert heading == [
        "model",
        "parameters",
        "regularisers",
        "training accuracy (%) ours",
        "training accuracy (%) paper",
    ]
    assert body == [
        ["Inception", "1,649,402", "weight decay", "99.00", "100.00"],
        ["", "", "random crop", "98.00*, diverged (1 of 2)", "99.93*"],
        ["AlexNet", "1,649,402", "weight decay", "99.00, diverged (1 of 2)", "failed to converge"],
    ]
    assert (
        "Random labels. Ours: CIFAR-10 (JPEG copy), 2,000 of 50,000 training images; 30 epochs; 1 to 2 seeds."
        in text
    )
    assert "*: accuracy over the augmented training batches" in text


def test_table4_without_results_or_with_other_labels():
    text = to_markdown(aggregate_table4([RANDOM[1], "cifar10/true_labels/inception/crop+wd"]), "table4")
    heading, first, second = rows(text)
    assert heading[2:4] == ["regularisers", "labels"]
    assert first[2:] == ["random crop", "random", "—", "99.93*"]
    assert second[2:] == ["random crop, weight decay", "true", "—", "—"]
    assert "Random labels" not in text


def test_the_paper_has_online_accuracies_where_images_are_augmented():
    for (_, _, regularisers), row in paper.table4().items():
        assert row["online"] == presentation.augmented(regularisers)


def test_two_data_sets_and_other_regularisers():
    cells = [CELLS[2], "digits/true_labels/alexnet/augment"]
    heading, first, second = rows(to_markdown(aggregate(cells, [])))
    assert heading[:5] == ["data set", "model", "parameters", "flip and rotation", "labels"]
    assert (first[:4], second[:4]) == (["CIFAR-10", "AlexNet", "—", "no"], ["digits", "AlexNet", "—", "yes"])


def test_latex():
    summaries = copy.deepcopy(SUMMARIES)
    for each in summaries:
        each["data"]["provenance"] = "50% copy_2 & more"
    text = to_latex(aggregate(summaries=summaries))
    lines = text.splitlines()
    assert r"50\% copy\_2 \& more" in text
    assert (
        r"Inception & 1,649,402 & yes & yes & true & 99.00 $\pm$ 2.48 & 100.00 & 89.00 $\pm$ 2.48 & 89.05 \\"
        in lines
    )
    assert any(line.startswith(r"\cmidrule(lr){6-7} ") for line in lines)
    assert text.isascii()
    # As many columns in every row as the tabular declares.
    begin = next(line for line in lines if line.startswith(r"\begin{tabular}"))
    assert begin == r"\begin{tabular}{@{}lrlllrrrr@{}}"
    spans = [
        line.count(" & ") + 1 + sum(int(n) - 1 for n in re.findall(r"multicolumn{(\d)}", line))
        for line in lines
        if line.endswith(r" \\")
    ]
    assert set(spans) == {9}


def test_every_name_has_a_title():
    assert set(titles.DATASET_TITLES) == set(DATASETS)
    assert set(titles.MODEL_TITLES) == set(MODELS)
    assert set(titles.REGULARISER_HEADINGS) == set(REGULARISERS)


# --- files and scripts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "cells", "summaries", "expected"),
    [
        ("table1", CELLS, SUMMARIES, aggregate()),
        ("table4", RANDOM, [summary(f"{RANDOM[0]}/seed0", 99.0, 10.0)],
         aggregate_table4(summaries=[summary(f"{RANDOM[0]}/seed0", 99.0, 10.0)])),
    ],
)  # fmt: skip
def test_scripts_from_summaries_to_text(script, tmp_path, kind, cells, summaries, expected):
    for each in summaries:
        path = tmp_path / each["cell"] / "summary.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(each))
    seeds = {Cell.parse(each["cell"]).seed for each in summaries}
    csv, markdown, latex = (tmp_path / f"{kind}.{ending}" for ending in ("csv", "md", "tex"))
    aggregation = ["--table", kind, "--cells", *cells, "--root", tmp_path, "--seeds", *seeds, "--output", csv]
    script("aggregate_table", *aggregation)
    output = ["--input", csv, "--markdown", markdown, "--latex", latex]
    script("render_table", "--table", kind, *output)
    assert markdown.read_text() == to_markdown(expected, kind)
    assert latex.read_text() == to_latex(expected, kind)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("{", "not valid JSON"), ('{"cell": "x"}', "has no status, diverged_epoch")],
)
def test_bad_summary_is_named(tmp_path, content, message):
    path = tmp_path / "summary.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=f"summary.json .*{message}"):
        tables.read_summary(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("", "cannot be read"),
        ("epoch\n1\n", "has no column step"),
        ("epoch,step\n", "has no rows"),
        ("epoch,step\n1,x\n", "cannot be read"),
    ],
)
def test_bad_csv_is_named(tmp_path, content, message):
    path = tmp_path / "curve.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=f"curve.csv {message}"):
        read_columns(path, {"epoch": "int64", "step": "int64"})
