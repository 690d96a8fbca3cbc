"""Runs of cells as figures read and average them."""

import math

import pytest

from rethinking.analysis.runs import (
    TABLES,
    mean_curve,
    mean_curves,
    networks_of,
    read_runs,
    summaries,
    trained,
)
from rethinking.analysis.statistics import mean_interval
from rethinking.cells import CELL_FILES
from rethinking.run.digests import digest_of
from rethinking.run.files import UserError, read_json, write_json
from rethinking.run.identity import Identity, made_from, record_path, write_record
from rethinking.run.plan import Plan

from ..default_config import default_config
from .curves import make_run, write_run

PLAN = Plan(default_config())
TRUE = "cifar10/true_labels/alexnet/none"
RANDOM = "cifar10/random_labels/alexnet/none"
REPLACED = TRUE.replace("labels", "labels_replaced0")


def test_mean_and_interval_by_epoch():
    runs = [make_run(TRUE, seed, train_loss=[3.0, loss]) for seed, loss in enumerate([1.0, 2.0, 6.0])]
    curve = mean_curve(runs, "train_loss")
    assert list(curve.epoch) == [0, 1]
    assert tuple(curve[["mean", "ci"]].iloc[1]) == pytest.approx((3.0, mean_interval([1, 2, 6])[1]))
    assert curve.ci[0] == 0


def test_diverged_seed_is_not_in_the_mean():
    runs = [make_run(TRUE, 0, train_loss=[3.0, 2.0]), make_run(TRUE, 1, diverged=True, train_loss=[900.0])]
    curve = mean_curve(runs, "train_loss")
    assert list(curve["mean"]) == [3.0, 2.0]
    assert curve.ci.isna().all()
    assert mean_curve(runs[1:], "train_loss").empty


def test_cell_without_runs_has_one_row():
    table = mean_curves({TRUE: [make_run(TRUE, train_loss=[3.0, 2.0])], RANDOM: []}, ["train_loss"])
    assert list(table.corruption) == ["true_labels", "true_labels", "random_labels"]
    assert table.iloc[2][["epoch", "mean", "ci"]].isna().all()


def test_networks_of_a_table():
    table = mean_curves({TRUE: [], RANDOM: []}, ["train_loss"])
    assert networks_of(table) == [("cifar10", "alexnet", "none")]


def test_read_seeds_in_order(tmp_path):
    for seed in (2, 0):
        folder = write_run(tmp_path, make_run(RANDOM, seed, train_loss=[seed + 1.0]))
    for name in ("complexity", "stability"):
        write_json(folder / f"{name}.json", {name: 0.5})
    runs = read_runs(tmp_path, [TRUE, RANDOM], [2, 1, 0], "curve")
    assert [run.cell.seed for run in runs[RANDOM]] == [0, 2]
    assert [run.curve.train_loss[0] for run in runs[RANDOM]] == [1.0, 3.0]
    assert runs[RANDOM][0].measured == {"complexity": 0.5, "stability": 0.5}
    for listed, found in (([], {}), ([f"{RANDOM}/stability.json", f"{TRUE}/complexity.json"], {"stability": 0.5})):
        assert read_runs(tmp_path, [RANDOM], [0], measures=listed)[RANDOM][0].measured == found
    assert runs[TRUE] == []
    assert len(summaries(runs)) == 2


def test_files_that_contradict_their_record_are_not_read(tmp_path):
    """Kept networks without a record are read, and those whose weights were not handed on."""
    folders = [write_run(tmp_path, make_run(RANDOM, seed, train_loss=[2.0, 1.0])) for seed in range(3)]
    network = Identity({})
    measure = Identity({}, inputs={"results": digest_of([network.digest])})
    for folder in folders[1:]:
        for names, identity in (
            (["curve.csv", "weights.safetensors", "summary.json"], network),
            (["complexity.json"], measure),
        ):
            files = [folder / name for name in names]
            for file in files:
                file.write_text(file.read_text() if file.exists() else '{"complexity": 0.5}')
            write_record(files, identity)
        (folder / "weights.safetensors").unlink()
    (folders[1] / "complexity.json").write_text("{}\n")
    (folders[2] / "curve.csv").write_text("epoch,train_loss\n0,2.0\n")
    runs = read_runs(tmp_path, [RANDOM], [0, 1, 2])[RANDOM]
    assert [(run.cell.seed, run.measured) for run in runs] == [(0, {}), (1, {})]
    changed = "a complexity.json that has changed since it was made"
    assert [run.unread for run in runs] == [{}, {"complexity.json": changed}]


@pytest.mark.parametrize(
    ("earlier", "left"), [(None, {"complexity", "stability"}), (TRUE, {"complexity"}), (REPLACED, set())]
)
def test_a_measure_of_an_earlier_network_is_not_read(tmp_path, earlier, left):
    """Stability is of two networks: it is not read either where only the one without the replacement is another."""
    made = []
    for name in (TRUE, REPLACED):
        folder = write_run(tmp_path, make_run(name, train_loss=[2.0]))
        made.append(PLAN.make("train_cell", [folder / name for name in CELL_FILES], {"cell": name}))
        write_record([folder / "curve.csv"], made[-1].identity)
    for name, needs in (("complexity", made[1:]), ("stability", made)):
        measure = PLAN.make(f"measure_{name}", [folder / f"{name}.json"], {}, needs=needs)
        write_json(measure.outputs[0], {name: 0.5})
        write_record(measure.outputs, measure.identity)
    if earlier:
        write_record([tmp_path / earlier / "seed0" / "curve.csv"], Identity({"epochs": 9}))
    (run,) = read_runs(tmp_path, [REPLACED], [0])[REPLACED]
    assert set(run.measured) == left
    gone = {
        f"{name}.json": f"a {name}.json of an earlier network"
        for name in ("complexity", "stability")
        if name not in left
    }
    assert run.unread == gone


@pytest.mark.parametrize("damaged", ["complexity.json", "curve.csv"])
def test_what_has_a_damaged_record_is_not_read(tmp_path, damaged):
    """What it was made from is not known, nor whether a file was cut short."""
    folder = write_run(tmp_path, make_run(TRUE, train_loss=[2.0]))
    network = PLAN.make("train_cell", [folder / "curve.csv"], {})
    measure = PLAN.make("measure_complexity", [folder / "complexity.json"], {}, needs=[network])
    write_json(measure.outputs[0], {"complexity": 0.5})
    for made in (network, measure):
        write_record(made.outputs, made.identity)
    (run,) = read_runs(tmp_path, [TRUE], [0])[TRUE]
    assert run.measured == {"complexity": 0.5}
    record = record_path(folder / damaged)
    write_json(record, read_json(record) | {"identity": 20 * "0"})
    runs = read_runs(tmp_path, [TRUE], [0])[TRUE]
    assert [run.measured for run in runs] == ([{}] if damaged == "complexity.json" else [])
    assert not made_from(folder / "complexity.json", [folder / "curve.csv"])


def test_only_the_columns_that_are_drawn_are_kept(tmp_path):
    write_run(tmp_path, make_run(TRUE, train_loss=[3.0, 2.0], seconds=[1.0, 2.0]))
    (run,) = read_runs(tmp_path, [TRUE], [0], "curve")[TRUE]
    assert list(run.curve) == list(TABLES["curve"])


def test_a_cell_can_have_fewer_seeds(tmp_path):
    for name in (TRUE, RANDOM):
        for seed in (0, 1, 2):
            write_run(tmp_path / "cells", make_run(name, seed, train_loss=[1.0]))
    names = [f"cells/{name}" for name in (TRUE, RANDOM)]
    found = trained(tmp_path, names, ["0", "1", f"{RANDOM}=2"])
    assert [[folder.name for folder in some] for some in found.values()] == [["seed0", "seed1"], ["seed2"]]


def test_seeds_of_a_data_set_whose_name_ends_like_the_folder_of_cells(tmp_path):
    name = "blood_cells/true_labels/alexnet/none"
    write_json(tmp_path / name / "seed5" / "summary.json", {})
    assert trained(tmp_path, [name], ["0", f"{name}=5"]) == {name: [tmp_path / name / "seed5"]}


def test_network_that_diverged_in_its_first_epoch_has_an_empty_file(tmp_path):
    folder = write_run(tmp_path, make_run(TRUE, diverged=True, train_loss=[math.nan]))
    (folder / "memorisation.csv").write_text(",".join(TABLES["memorisation"]))
    (run,) = read_runs(tmp_path, [TRUE], [0], "memorisation")[TRUE]
    assert run.diverged
    assert list(run.memorisation) == list(TABLES["memorisation"])
    assert run.memorisation.empty


def test_missing_or_empty_file_is_named(tmp_path):
    folder = write_run(tmp_path, make_run(TRUE, train_loss=[2.0]))
    with pytest.raises(UserError, match=r"seed0/memorisation\.csv"):
        read_runs(tmp_path, [TRUE], [0], "memorisation")
    (folder / "curve.csv").write_text(",".join(TABLES["curve"]))
    with pytest.raises(UserError, match=r"seed0/curve\.csv has no rows"):
        read_runs(tmp_path, [TRUE], [0], "curve")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"test_accuracy": "x"}, r"wrong values \(test_accuracy\)"),
        ({"status": "finishee"}, r"wrong values \(status\)"),
        ({"status": None, "test_accuracy_corrupted": [1]}, r"wrong values \(status, test_accuracy_corrupted\)"),
        ({"provenance": {"setting": {}}}, "no provenance.settings"),
        ({"data": {"dataset": "cifar10"}}, "no data.provenance, data.num_classes, "),
        (None, "no cell, status, "),
    ],
)
def test_a_summary_with_other_values_is_named(tmp_path, values, said):
    run = make_run(TRUE, train_loss=[2.0])
    folder = write_run(tmp_path, run)
    write_json(folder / "summary.json", values and run.summary | values)
    with pytest.raises(UserError, match=rf"seed0/summary\.json has {said}.*; delete it to have it made again$"):
        read_runs(tmp_path, [TRUE], [0])
