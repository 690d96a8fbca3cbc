"""All networks in two tables."""

import csv
import gzip
import weakref

import pandas as pd
import pytest

import collect_cells
from rethinking.analysis.collection import curve_rows
from rethinking.analysis.runs import TABLES
from rethinking.run.files import UserError

from ..summaries import make_summary, write_summary

CELL = "cifar10/random_labels/mlp_1x512/none"


def text(table, *rows, **more):
    """A table of a network with all columns that are read, and ``more``; what a row does not give is missing."""
    columns = [*TABLES[table], *more]
    lines = [",".join((row | more).get(column, "") for column in columns) for row in rows]
    return "\n".join([",".join(columns), *lines, ""])


def write(folder, seed, **values):
    folder = write_summary(folder, make_summary(f"{CELL}/seed{seed}", **values))
    rows = [{"epoch": str(epoch), "step": "0", "test_accuracy": f"{10 + epoch * seed}.0"} for epoch in (0, 1)]
    (folder / "curve.csv").write_text(text("curve", *rows))
    (folder / "memorisation.csv").write_text(text("memorisation", {"epoch": "1", "unchanged_accuracy": "50.0"}))
    return folder


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
    write(tmp_path / "cells", 0)
    folders = [write(tmp_path / "cells", seed, diverged_at=(1, 1)) for seed in (1, 2)]
    accuracy = "0.12345678901234567"
    curve = text("curve", {"epoch": "1", "step": "5"}, test_accuracy_top5=accuracy)
    (folders[0] / "curve.csv").write_text(curve)
    (folders[1] / "memorisation.csv").write_text(text("memorisation"))
    header, *lines = collect(script, tmp_path, [0, 1, 2])
    columns = dict.fromkeys([*TABLES["curve"], *TABLES["memorisation"], "test_accuracy_top5"])
    assert header.split(",")[6:] == [*columns]
    shown = ("seed", "epoch", "test_accuracy", "unchanged_accuracy", "test_accuracy_top5")
    assert [[row[key] for key in shown] for row in csv.DictReader([header, *lines])] == [
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

    def read(*arguments):
        kept.append(weakref.ref(rows := Rows(curve_rows(*arguments))))
        most.append(sum(each() is not None for each in kept))
        return rows

    monkeypatch.setattr(collect_cells, "curve_rows", read)
    for seed in range(6):
        write(tmp_path / "cells", seed)
    assert len(collect(script, tmp_path, list(range(6)))) == 13
    assert len(most) == 6
    assert max(most) <= 2


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: b"\xff" * 9, "cannot be read "),
        (lambda content: bytes(len(content)), "cannot be read .some of its bytes are zero"),
        (lambda content: content[:-9] + bytes(9), "cannot be read .some of its bytes are zero"),
        (lambda content: content.replace(b"accuracy", b"acc"), "has no column "),
        (lambda content: content.splitlines(keepends=True)[0], "has no rows"),
        (lambda content: content.rstrip(b",\n"), "cannot be read "),
    ],
)
def test_damaged_table_is_named(script, tmp_path, name, damage, says):
    """No network is silently missing among the others."""
    write(tmp_path / "cells", 0)
    path = write(tmp_path / "cells", 1) / f"{name}.csv"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=rf"seed1/{name}\.csv {says}.*; delete it to have it made again$"):
        collect(script, tmp_path, [0, 1])
