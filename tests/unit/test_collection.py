"""All networks in two tables."""

import gzip
import weakref

import pandas as pd
import pytest

import collect_cells
from rethinking.analysis.collection import curve_rows
from rethinking.run.files import UserError

from ..summaries import make_summary, write_summary

CELL = "cifar10/random_labels/mlp_1x512/none"


def write(folder, seed, **values):
    folder = write_summary(folder, make_summary(f"{CELL}/seed{seed}", **values))
    (folder / "curve.csv").write_text(f"epoch,test_accuracy\n0,10.0\n1,{10 + seed}.0\n")
    (folder / "memorisation.csv").write_text("epoch,unchanged_accuracy\n1,50.0\n")


def test_one_row_per_network_and_one_per_epoch(script, tmp_path):
    for seed in (0, 1):
        write(tmp_path / "cells", seed, test_accuracy=10.0 + seed, train_accuracy_top5=90.0 + seed)
    write(tmp_path / "ablations/larger/cells", 0, settings={"learning_rate": 0.1})
    names = [f"cells/{CELL}", f"ablations/larger/cells/{CELL}"]
    outputs = tmp_path / "cells.csv", tmp_path / "curves.csv.gz"
    options = {
        "root": tmp_path,
        "cells": names,
        "seeds": [0, 1],
        "networks": outputs[0],
        "curves": outputs[1],
    }
    script("collect_cells", **options)
    networks, curves = map(pd.read_csv, outputs)
    assert list(networks.seed) == [0, 1, 0]
    assert list(networks.test_accuracy) == [10.0, 11.0, 50.0]
    assert list(networks.train_accuracy_top5.dropna()) == [90.0, 91.0]
    assert not {"cell", "provenance"} & set(networks)
    assert list(networks.setting_learning_rate) == [0.01, 0.01, 0.1]
    assert list(networks.ablation.fillna("")) == ["", "", "larger"]
    assert list(curves.test_accuracy) == [10.0, 10.0, 10.0, 11.0, 10.0, 10.0]
    assert list(curves.unchanged_accuracy.dropna()) == [50.0] * 3
    packed = outputs[1].read_bytes()
    assert packed[3:8] == bytes(5)  # neither name nor time, which would differ from run to run
    script("collect_cells", **options)
    assert outputs[1].read_bytes() == packed


def collect(script, folder, seeds):
    outputs = {"networks": folder / "cells.csv", "curves": folder / "curves.csv.gz"}
    script("collect_cells", root=folder, cells=[f"cells/{CELL}"], seeds=seeds, **outputs)
    return gzip.decompress(outputs["curves"].read_bytes()).decode().splitlines()


def test_tables_with_other_columns_and_numbers_as_they_were_written(script, tmp_path):
    for seed in (0, 1, 2):
        write(tmp_path / "cells", seed)
    accuracy = "0.12345678901234567"
    (tmp_path / "cells" / CELL / "seed1/curve.csv").write_text(f"epoch,test_accuracy_top5\n1,{accuracy}\n")
    (tmp_path / "cells" / CELL / "seed2/memorisation.csv").write_text("epoch,unchanged_accuracy\n")
    header, *lines = collect(script, tmp_path, [0, 1, 2])
    assert header.split(",")[6:] == ["epoch", "test_accuracy", "unchanged_accuracy", "test_accuracy_top5"]
    assert [line.split(",")[5:] for line in lines] == [
        ["0", "0", "10.0", "", ""],
        ["0", "1", "10.0", "50.0", ""],
        ["1", "1", "", "50.0", accuracy],
        ["2", "0", "10.0", "", ""],
        ["2", "1", "12.0", "", ""],
    ]


def test_curves_are_not_all_in_memory(script, tmp_path, monkeypatch):
    class Rows(list):
        pass

    kept, most = [], []

    def read(folder):
        kept.append(weakref.ref(rows := Rows(curve_rows(folder))))
        most.append(sum(each() is not None for each in kept))
        return rows

    monkeypatch.setattr(collect_cells, "curve_rows", read)
    for seed in range(6):
        write(tmp_path / "cells", seed)
    assert len(collect(script, tmp_path, list(range(6)))) == 13
    assert len(most) == 6
    assert max(most) <= 2


@pytest.mark.parametrize("name", ["curve.csv", "memorisation.csv"])
def test_damaged_table_is_named(tmp_path, name):
    write(tmp_path, 0)
    (tmp_path / CELL / "seed0" / name).write_bytes(b"\xff" * 9)
    with pytest.raises(UserError, match=rf"{name} cannot be read .*delete it"):
        curve_rows(tmp_path / CELL / "seed0")


def test_table_that_is_cut_short_is_named(tmp_path):
    write(tmp_path, 0)
    (tmp_path / CELL / "seed0/curve.csv").write_text("epoch,test_accuracy\n0,10.0\n1")
    with pytest.raises(UserError, match=r"curve.csv cannot be read .*delete it"):
        curve_rows(tmp_path / CELL / "seed0")
