"""Records of the theory keep what was measured, even if a number is beyond float64 or nan."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import torch

from rethinking.analysis.aggregation import frame
from rethinking.analysis.theory_results import (
    FIGURE_TABLES,
    KEYS,
    TABLE3_COLUMNS,
    TABLES,
    read_records,
    write_record,
)
from rethinking.claims.theory import judge_theory
from rethinking.data.prepared import digests
from rethinking.figures.theory import draw_precision
from rethinking.run.files import UserError, read_json, save_array, write_json
from rethinking.tables.theory import note_table3, present_expressivity, present_table3
from rethinking.theory import NOT_CONVERGED
from rethinking.theory.inputs import features_folder

from .tiny import read_strictly

FIT = {"penalty": 0.0, "gamma": 0.1, "norm": 1.0, "signed_norm": 1.0, "number_norm": 1.0, "class_norms": [1.0]}
FIT |= {"features": 9, "train_error": 0.0, "test_error": 5.0, "misfit": 1e-7, "residual": 1e-7, "solver": "cholesky"}
DATA = {"dataset": "mnist", "provenance": None, "source": {"kind": "official"}, "num_classes": 10}
DATA |= {split: {"count": 60_000, "full_count": 60_000} for split in ("train", "test")}
ANY = {"model": "x", "dataset": "mnist", "preprocessing": "none", "data": DATA}
LINEAR = ANY | {"kind": "linear model", "kernel": "gaussian", "filters": None, "images": 60_000, "random": True}
LINEAR["fits"] = [FIT]
COMPARED = ANY | {"kind": "counterexamples", "gamma": 0.1, "images": 20, "test_images": 10}
COMPARED |= {"fits": [FIT | {"fit": "true"}], "provenance": {"settings": {"train": 20, "test": 10}}}
NETWORK = dict.fromkeys(["largest_error", "fitted", "smallest_diagonal", "smallest_eigenvalue"], 0.5)
NETWORK |= {"labels": "true", "depth": 2, "n": 20, "condition": 1.0, "amplification": 1.0, "offset": 0.5}
BUILT = {"kind": "expressivity", "dataset": "mnist", "data": DATA, "networks": [NETWORK]}
LOST = FIT | dict.fromkeys([*KEYS["descent"]], 1.0) | {"value": math.nan, "norm": math.inf}
MODEL = {"name": "any", "dataset": "digits", "preprocessing": "none", "kernel": "gaussian", "gamma": 0.1}
SOLVER = {"precision": "auto", "tile": 16, "residual": 1e-6, "iterations": 3}


def settings(**values):
    return json.dumps(values)


def sample(images):
    """The settings of a comparison of exact fits on so many images."""
    return settings(models=["any"], train=images, test=images)


def write_manifest(folder, prepared, count, **values):
    """One like that of the prepared data set, for so many training and test images, of the arrays that are there."""
    for split in ("train", "test"):
        values[split] = {"count": count, "full_count": count} | digests(folder, split)
    write_json(folder / "manifest.json", read_json(prepared / "manifest.json") | values)


@pytest.fixture
def call(script, prepared, tmp_path):
    """Run a script on a prepared data set; the path of its record is the value."""

    def run(name, folder=prepared, output="record.json", **options):
        script(name, prepared=folder, seed=0, output=tmp_path / output, **options)
        return tmp_path / output

    return run


def test_table3_says_of_how_many_filters_the_papers_error_is_where_ours_are_others():
    row = {"dataset": "cifar10", "preprocessing": "random_convnet", "kernel": "linear"}
    row |= {"paper_filters": 32_000, "paper_test_error": 17}
    rows = [row | {"filters": 1000, "penalty": 0.0}, row | {"filters": 32_000, "penalty": 0.1}]
    (shown,) = present_table3(frame(rows, TABLE3_COLUMNS))
    assert shown.table["test error (%)", "paper"].tolist() == ["17 (32,000 filters)", "17"]
    assert shown.table["", "penalty"].tolist() == ["none", "0.1"]


def test_note_of_table3_names_the_fits_without_penalty_that_have_too_few_features():
    row = {
        "dataset": "cifar10",
        "preprocessing": "random_convnet",
        "kernel": "linear",
        "images": 50_000,
        "seeds": 1,
    }
    row |= {"data": "CIFAR-10", "random": True, "penalty": 0.0}
    rows = [
        row | {"filters": 250, "features": 2001, "rank": 2001},
        row | {"filters": 1000, "features": 8001},
        row | {"filters": 1000, "features": 8001, "penalty": 0.1},
        row | {"filters": 32_000, "features": 256_001, "rank": 50_000},
        row | {"preprocessing": "none", "kernel": "gaussian", "features": 3072},
    ]
    said = re.findall(r"\(rank (.*?)\)", note_table3(frame(rows, TABLE3_COLUMNS)))
    assert said == ["2,001", "8,001 at most"]


def test_notes_name_the_fits_that_missed_their_tolerance(render, tmp_path):
    """Of several seeds one is enough."""
    for table in ("table3", "norms"):
        for solver, said in (("cholesky", False), (f"cholesky, {NOT_CONVERGED}", True)):
            records = [
                LINEAR | {"seed": 0},
                LINEAR | {"seed": 1, "fits": [FIT | {"solver": solver, "residual": 2e-3}]},
            ]
            TABLES[table](records).to_csv(tmp_path / f"{table}.csv", index=False)
            text, _ = render(table, tmp_path / f"{table}.csv")
            assert ("did not reach its tolerance: MNIST, pixels (residual 2.0e-03). " in text) == said


@pytest.mark.parametrize(
    ("table", "record", "changes", "what"),
    [
        ("table3", LINEAR, {"fits": [FIT | {"gamma": 0.2}]}, "gamma (0.1; 0.2)"),
        ("table3", LINEAR, {"fits": [FIT | {"penalty": 0.1}]}, "penalty (0.0; 0.1)"),
        ("table3", LINEAR, {"fits": [FIT | {"chosen": "gamma"}]}, "chosen (None; gamma)"),
        ("table3", LINEAR, {"kernel": "linear"}, "kernel (gaussian; linear)"),
        ("table3", LINEAR, {"filters": 10}, "filters (None; 10)"),
        (
            "table3",
            LINEAR,
            {"data": DATA | {"train": {"count": 9, "full_count": 60_000}}},
            "data (MNIST (exact), 60,000",
        ),
        ("norms", LINEAR, {"data": DATA | {"test": {"count": 9, "full_count": 60_000}}}, "data (MNIST (exact), 60,000"),
        ("norms", COMPARED, {"gamma": 0.2}, "gamma (0.1; 0.2)"),
        ("norms", COMPARED, {"provenance": {"settings": {"train": 30, "test": 10}}}, "train (20; 30)"),
        ("expressivity", BUILT, {"networks": [NETWORK | {"n": 30}]}, "n (20; 30)"),
        ("expressivity", BUILT, {"networks": [NETWORK | {"offset": 0.9}]}, "offset (0.5; 0.9)"),
    ],
)
def test_no_row_is_a_mean_over_seeds_of_different_settings(table, record, changes, what):
    """With finished_only some of them can be of an earlier configuration."""
    with pytest.raises(UserError, match=re.escape(f"seeds differ in {what}")):
        TABLES[table]([record | {"seed": 0}, record | {"seed": 1} | changes])


def test_seeds_of_one_configuration_can_differ_in_what_is_measured():
    """In the rank of random features, in the precision that a device took, and in images that equal another one."""
    other = LINEAR | {"seed": 1, "fits": [FIT | {"rank": 7, "precision": "float64"}]}
    first = LINEAR | {"seed": 0, "fits": [FIT | {"rank": 8, "precision": "float32"}]}
    row = TABLES["table3"]([first, other]).iloc[0]
    assert (row["rank"], row.precision, row.seeds) == (7, "float32; float64", 2)
    assert TABLES["norms"]([COMPARED | {"seed": 0}, COMPARED | {"seed": 1, "images": 19}]).seeds.tolist() == [2]


def test_record_is_read_as_it_was_written(tmp_path):
    record = LINEAR | {"seed": 0, "a": [{"b": np.float64("-inf"), "c": (1.5, math.inf)}], "n": np.int64(3)}
    write_record(tmp_path / "record.json", record)
    stored = read_strictly(tmp_path / "record.json")
    assert stored["a"] == [{"b": None, "c": [1.5, None]}]
    assert stored["not_finite"] == [[["a", 0, "b"], "-inf"], [["a", 0, "c", 1], "inf"]]
    (read,) = read_records([tmp_path / "record.json"])
    assert read == record | {"a": [{"b": -math.inf, "c": [1.5, math.inf]}]}


@pytest.mark.parametrize("figure", FIGURE_TABLES)
def test_damaged_table_of_a_figure_is_named(script, tmp_path, figure):
    """A broken disk or copy leaves zeros, and the size of the file."""
    for content, says in ((bytes(900), "cannot be read"), (b"a,b\n1,2\n", "has no column")):
        (tmp_path / "table.csv").write_bytes(content)
        made = {"images": tmp_path / "figure.svg", "numbers": tmp_path / "figure.csv"}
        with pytest.raises(UserError, match=rf"table\.csv {says} .*; delete it to have it made again$"):
            script("plot_theory", figure=figure, tables=tmp_path / "table.csv", **made)
        assert not made["images"].exists()


@pytest.mark.parametrize(
    ("record", "damage", "says"),
    [
        (LINEAR, {"fits": None}, "has no fits.penalty, fits.gamma, "),
        (LINEAR, {"fits": [FIT, {key: FIT[key] for key in FIT if key != "norm"}]}, "has no fits.norm;"),
        (LINEAR, {"kind": "linear modek"}, "cannot be read .its kind is 'linear modek', none of linear model, "),
        (LINEAR, {"kind": [1]}, "cannot be read .its kind"),
        (LINEAR, {"data": DATA | {"train": {"count": 60_000}}}, "has no data.train.full_count;"),
        (COMPARED, {"fits": [FIT]}, "has no fits.fit;"),
        (BUILT | {"precision": []}, {"networks": 3}, "has no networks.labels, "),
        (LINEAR, {"not_finite": [[["fits", 0, "norn", "x"], "inf"]]}, "cannot be read "),
        (ANY | {"kind": "descent"}, {}, "has no images, zero_distance, "),
    ],
)
def test_damaged_record_is_named(tmp_path, record, damage, says):
    path = tmp_path / "record.json"
    write_json(path, record | {"seed": 0} | damage)
    with pytest.raises(UserError, match=rf"record\.json {says}.*delete it to have it made again$"):
        read_records([path])


def test_hopelessly_conditioned_network_is_recorded_shown_and_judged(call, prepared, tmp_path):
    """Beyond a half the solution grows exponentially with n; at 0.9, 500 images are far too many for float64."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (500, 3, 4, 4), dtype=np.uint8)
    save_array(tmp_path / "train_images.npy", images)
    save_array(tmp_path / "train_labels.npy", rng.integers(0, 4, 500))
    write_manifest(tmp_path, prepared, 500, dataset="digits")
    chosen = settings(
        dataset="digits", offset=0.9, depths=[2, 3], sizes=[2, 500], offsets=[0.9], precisions=["float64"]
    )
    path = call("fit_expressivity", tmp_path, settings=chosen)
    record = read_strictly(path)
    assert {network["condition"] for network in record["networks"]} == {None}
    records = read_records([path])
    table = TABLES["expressivity"](records)
    assert np.isinf(table.condition).all()
    (shown,) = present_expressivity(table)
    assert set(shown.table["condition", "number"]) == {"> 1e308"}
    draw_precision(records)[0].savefig(tmp_path / "figure.svg")
    verdicts = {judged.claim.name: judged.verdict for judged in judge_theory(records)}
    assert verdicts["finite_sample_expressivity"] != "supported"
    assert verdicts["smallest_eigenvalue"] != "supported"


def test_no_fit_is_lost_to_a_number_that_json_refuses(call, monkeypatch, tmp_path):
    nothing = [10 * [0.0]]
    monkeypatch.setattr("run_descent.descend", lambda *_: (pd.DataFrame({"step": [0]}), dict(LOST)))
    monkeypatch.setattr("compare_fits.compare_fits", lambda *_: pd.DataFrame([LOST | {"fit": "poisoned"}]))
    monkeypatch.setattr("fit_linear_model.fit", lambda *_: (dict(LOST), torch.tensor(nothing)))
    penalised = settings(**MODEL, penalties=[0, 0.1])
    where = {"scratch": tmp_path / "scratch", "device": "cpu"}
    paths = [
        call(
            "run_descent",
            settings=settings(dataset="digits", images=8, epochs=1, batch_size=4),
            curve=tmp_path / "curve.csv",
        ),
        call("compare_fits", output="fits.json", settings=sample(10), model=settings(**MODEL, penalties=[0])),
        call("fit_linear_model", output="folder", model=penalised, solver=json.dumps(SOLVER), **where) / "summary.json",
    ]
    for path in paths:
        read_strictly(path)
        record = read_records([path])[0]
        (found, *_) = record.get("fits", [record])
        assert math.isnan(found["value"])
        assert found["norm"] == math.inf


def test_equal_images_are_fitted_once(call, prepared, tmp_path):
    """Two of one class in training, and one that is in both splits; random labels of equal images have no exact fit."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        images = rng.integers(0, 256, (12, 1, 4, 4), dtype=np.uint8)
        images[0] = 7
        images[2] = images[0] if split == "train" else images[2]
        save_array(tmp_path / f"{split}_images.npy", images)
        save_array(tmp_path / f"{split}_labels.npy", np.arange(12) % 2)
    write_manifest(tmp_path, prepared, 12, num_classes=2)
    path = call("compare_fits", tmp_path, settings=sample(12), model=settings(**MODEL, penalties=[0]))
    record = read_strictly(path)
    assert (record["images"], record["test_images"]) == (11, 11)
    assert max(fit["residual"] for fit in record["fits"]) < 1e-6
    assert {fit["train_error"] for fit in record["fits"]} == {0}

    built = {
        "dataset": "digits",
        "offset": 0.25,
        "depths": [2],
        "sizes": [],
        "offsets": [0.25],
        "precisions": ["float64"],
    }
    record = read_strictly(call("fit_expressivity", tmp_path, settings=settings(**built, drop_duplicates=True)))
    assert [(network["n"], network["fitted"]) for network in record["networks"]] == 2 * [(11, 100)]
    with pytest.raises(UserError, match=r"1 training images are equal to an earlier one, as 2 to 0 .*drop_duplicates"):
        call("fit_expressivity", tmp_path, settings=settings(**built))


def test_sgd_takes_fewer_images_than_an_image_has_values(call, prepared, tmp_path):
    """With as many, only the rounding of sums that are zero lets w fit them, and it is millions long."""
    for split in ("train", "test"):
        images = np.random.default_rng(0).integers(0, 256, (12, 1, 3, 4), dtype=np.uint8)
        save_array(tmp_path / f"{split}_images.npy", images)
        save_array(tmp_path / f"{split}_labels.npy", np.arange(12) % 4)
    write_manifest(tmp_path, prepared, 12)
    descent = {"dataset": "digits", "epochs": 1, "batch_size": 4}
    with pytest.raises(UserError, match="12 images of 12 values; give at most 11"):
        call("run_descent", tmp_path, settings=settings(**descent, images=12), curve=tmp_path / "curve.csv")
    record = call("run_descent", tmp_path, settings=settings(**descent, images=11), curve=tmp_path / "curve.csv")
    assert read_json(record)["minimum_norm"] < 1000


def test_features_of_a_killed_process_do_not_stay(tmp_path):
    output = tmp_path / "model" / "validation.csv"
    left = output.parent / ".features-validation" / "features" / "block_0.npy"
    left.parent.mkdir(parents=True)
    left.touch()
    with features_folder(output) as folder:
        assert not left.exists()
        folder.mkdir()
    assert not any(output.parent.iterdir())
