"""Tables 1 and 4: from summaries to rows, with seeds that are missing or diverged."""

import pandas as pd
import pytest

from rethinking.analysis import aggregation as tables
from rethinking.analysis.aggregation import COLUMNS, TABLE4_COLUMNS, read_columns
from rethinking.analysis.descriptions import describe_copies, describe_data, describe_scale, span
from rethinking.run.files import UserError

from .table_rows import CELLS, DATA, RANDOM, SUMMARIES, aggregate, aggregate_table4, summary


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


def test_an_accuracy_of_zero_counts():
    some = [summary(f"{CELLS[0]}/seed0", 50.0, 0.0), summary(f"{CELLS[0]}/seed1", 50.0, 4.0)]
    assert aggregate(summaries=some).test_accuracy[0] == 2


def test_diverged_seed_is_counted_and_left_out_of_means():
    row = aggregate().iloc[1]
    assert (row.seeds, row.diverged, row.diverged_at) == (1, 1, "seed1: epoch 3, step 812")
    assert (row.train_accuracy, row.test_accuracy, row.best_test_accuracy) == (97.5, 10.0, 11.0)
    assert pd.isna(row.train_accuracy_ci)
    assert describe_scale(aggregate()).endswith("; 30 epochs; 2 to 3 seeds")
    assert span([3, 1], "seed") == "1 to 3 seeds"


def test_all_seeds_diverged():
    row = aggregate(summaries=[summary(f"{CELLS[0]}/seed{seed}", diverged_at=(1, 2)) for seed in (10, 9)]).iloc[0]
    assert row.diverged_at == "seed9: epoch 1, step 2; seed10: epoch 1, step 2"
    assert row.parameters == 1_649_402


def test_row_without_results():
    row = aggregate().iloc[2]
    assert (row.seeds, row.diverged, row.paper_test_accuracy) == (0, 0, 76.07)
    assert row[["parameters", "diverged_at", "train_accuracy", "test_accuracy_ci", "epochs", "data"]].isna().all()


def test_no_summaries_and_cells_that_the_paper_lacks():
    table = aggregate(["digits/labels_p0.5/mlp_1x512/none"], SUMMARIES)
    assert (table.seeds[0], table.diverged[0]) == (0, 0)
    assert table[["train_accuracy", "paper_train_accuracy", "paper_test_accuracy"]].isna().all(axis=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 31}, "differ in settings .*epochs 30; seed7: epochs 31"),
        ({"data": DATA | {"train": {"count": 4000, "full_count": 50000}}}, "differ in data .*2,000 .*4,000"),
        ({"parameters": 5}, "differ in parameters"),
    ],
)
def test_seeds_of_unlike_runs_are_refused(change, message):
    other = summary(f"{CELLS[0]}/seed7", 99.0, 89.0, **change)
    with pytest.raises(UserError, match=f"'{CELLS[0].replace('+', '.')}'.*{message}"):
        aggregate(summaries=[*SUMMARIES, other])


def test_seeds_with_different_settings_have_no_mean():
    """What a setting changes is no spread over seeds; which thresholds are recorded changes nothing."""
    other = summary(f"{CELLS[2]}/seed7", 99.0, 89.0)
    settings = other["provenance"]["settings"]
    seeds = [summary(f"{CELLS[2]}/seed0", 98.0, 88.0), other]
    settings |= {"thresholds": [50.0], "label_smoothing": 0.0}
    assert aggregate(summaries=seeds).seeds[2] == 2
    settings["label_smoothing"] = 0.1
    message = f"'{CELLS[2]}': its seeds differ in settings \\(seed0: label_smoothing 0.0; seed7: label_smoothing 0.1\\)"
    with pytest.raises(UserError, match=f"{message}; run .* without finished_only.* 'seeds'"):
        aggregate(summaries=seeds)


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
    written = aggregate()
    written.loc[0, "model"] = "null"  # as a plug-in's network may be called
    written.to_csv(tmp_path / "table1.csv", index=False, float_format="%.4f")
    table = read_columns(tmp_path / "table1.csv", COLUMNS)
    pd.testing.assert_frame_equal(table, written, atol=5e-5, rtol=0)


# --- data -----------------------------------------------------------------------------------------


FEW = {"dataset": "imagenet", "source": {"kind": "imagenet"}, "train": {"count": 64, "full_count": 900}}


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
        (
            FEW | {"num_classes": 3, "provenance": None},
            "ImageNet (exact), 3 of 1,000 classes, 64 of 900 training images",
        ),
        (
            {
                "train": {"count": 360, "full_count": 360},
                "test": {"count": 63, "full_count": 63},
                "num_classes": 9,
            },
            "CIFAR-10 (JPEG copy), 9 of 10 classes, 360 of 50,000 training images, 63 of 10,000 test images",
        ),
        # All classes, but not all of their images: the copy has lost some.
        (
            FEW | {"num_classes": 1000, "test": {"count": 900, "full_count": 900}},
            "ImageNet (JPEG copy), 64 of 1,281,167 training images, 900 of 50,000 test images",
        ),
        (
            FEW
            | {
                "num_classes": 1000,
                "train": {"count": 1_281_167, "full_count": 1_281_167},
                "test": {"count": 50_000, "full_count": 50_000},
            },
            "ImageNet (JPEG copy), 1,281,167 training images",
        ),
        (
            FEW
            | {
                "num_classes": 2,
                "drawn_from": {"train": {"class_counts": [1, 2, 3]}},
                "dataset": "imagenette",
            },
            "Imagenette (JPEG copy), 3 of 10 classes, 64 of 900 training images",
        ),
    ],
)
def test_describe_data(change, text):
    assert describe_data({"data": DATA | change}) == text


def test_the_configuration_says_what_a_copy_is_called(monkeypatch):
    """A finished network has the name that its copy had then. An exact copy is not called anything."""
    monkeypatch.setenv("RETHINKING_COPIES", '{"cifar10": "JPEG, quality 75"}')
    assert describe_data({"data": DATA}).startswith("CIFAR-10 (JPEG, quality 75), ")
    assert describe_data({"data": DATA | {"provenance": None}}).startswith("CIFAR-10 (exact), ")
    assert describe_data({"data": DATA | {"dataset": "mnist"}}).startswith("MNIST (JPEG copy), ")


def test_samples_of_one_data_set_are_described_together():
    some = [f"CIFAR-100 (exact), {n} of 50,000 training images" for n in ("500", "1,000", "100", "500")]
    assert describe_copies(some) == "CIFAR-100 (exact), 100 to 1,000 of 50,000 training images"
    # A record from before such a name was refused
    assert describe_copies(["MNIST (a\ncopy), 60,000 training images"]).startswith("MNIST (a\ncopy), ")
    assert describe_copies([*some[:1], "MNIST (exact), 60,000 training images"]) == (
        "CIFAR-100 (exact), 500 of 50,000 training images and MNIST (exact), 60,000 training images"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("{", "cannot be read"), ('{"cell": "x"}', "has no status, diverged_epoch")],
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
        (None, "cannot be used .No such file"),
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
