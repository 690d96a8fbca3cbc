"""All networks in two tables."""

import gzip

import pandas as pd
import pytest

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
    script("collect_cells", **options)
    assert outputs[1].read_bytes() == packed == gzip.compress(gzip.decompress(packed), mtime=0)


@pytest.mark.parametrize("name", ["curve.csv", "memorisation.csv"])
def test_damaged_table_is_named(tmp_path, name):
    write(tmp_path, 0)
    (tmp_path / CELL / "seed0" / name).write_bytes(b"\xff" * 9)
    with pytest.raises(UserError, match=rf"{name} cannot be read .*delete it"):
        curve_rows(tmp_path / CELL / "seed0", None)
