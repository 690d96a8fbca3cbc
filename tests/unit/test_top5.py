"""Top-5 accuracy, which networks of more than ten classes have beside the other, and the ranks that it follows from."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from rethinking.cells import Cell
from rethinking.corruption.loading import CorruptedData
from rethinking.run.identity import Identity
from rethinking.training.evaluation import label_ranks
from rethinking.training.loop import train_cell
from rethinking.training.results import summarise, write_cell

from .tiny import CPU, MANY, SETTINGS, make_cell, read_strictly, settings_with, train


def test_rank_zero_is_a_correct_prediction():
    logits = torch.tensor([[1.0, 3.0, 3.0, 0.0]] * 4)
    ranks = label_ranks(logits, torch.arange(4))
    assert ranks.tolist() == [2, 0, 1, 3]
    assert logits.argmax(1)[0] == 1


def test_inception_v3_on_twelve_classes(tmp_path):
    """A few steps at 75 pixels: its columns, and that what is saved gives the numbers again."""
    rng = np.random.default_rng(0)
    labels = np.arange(12, dtype=np.int64)
    images = rng.integers(0, 256, (12, 3, 75, 75), dtype=np.uint8)
    data = CorruptedData(images, labels, labels, images, labels, labels, num_classes=12)
    settings = settings_with(
        **MANY.model_dump() | {"batch_size": 6, "micro_batch": 3, "epochs": 1, "input_size": 75,
        "initialisation": "truncated_normal", "architecture": {"dropout": 0.2}}
    )  # fmt: skip
    cell = Cell.parse("cifar10/random_labels/inception_v3/dropout/seed0")
    trained = train_cell(cell, settings, data, CPU, log=lambda line: None)
    write_cell(tmp_path, cell, settings, data, {}, trained, Identity({}))
    curve = pd.read_csv(tmp_path / "curve.csv")
    assert curve.columns[-2:].tolist() == ["train_accuracy_top5", "test_accuracy_top5"]
    assert (curve.train_accuracy_top5 >= curve.train_accuracy).all()
    summary = read_strictly(tmp_path / "summary.json")
    with np.load(tmp_path / "predictions.npz") as arrays:
        for k, end in ((1, ""), (5, "_top5")):
            for split in ("train", "test"):
                expected = 100 * np.mean(arrays[f"{split}_rank"] < k)
                assert summary[f"{split}_accuracy{end}"] == pytest.approx(expected)
    assert summary["best_test_accuracy_top5"] == pytest.approx(curve.test_accuracy_top5[1:].max())
    assert summary["parameters"] == 23_834_568 - 2049 * 988


def test_top5_of_an_epoch_is_that_of_the_network(data):
    """With a rate too small to change anything, also that over the batches."""
    labels = {"train_labels": np.arange(40) % 12, "test_labels": np.arange(20) % 12}
    trained = train(replace(data, num_classes=12, **labels), learning_rate=1e-12, epochs=2)
    for split, found in (("train", trained.train), ("test", trained.test)):
        assert 5 in found.ranks
        expected = 100 * np.mean(found.ranks < 5)
        assert [row[f"{split}_accuracy_top5"] for row in trained.curve] == pytest.approx([expected] * 3)


def test_ten_classes_have_no_top5(data):
    ten = replace(data, num_classes=10)
    trained = train(ten, epochs=1)
    assert "test_accuracy_top5" not in trained.curve[-1]
    assert "test_accuracy_top5" not in summarise(make_cell(), SETTINGS, ten, trained)
    assert SETTINGS.model_dump().keys().isdisjoint({"micro_batch", "rmsprop", "average_decay"})


def test_a_cell_that_diverged_has_no_top5_of_its_last_weights(data):
    twelve = replace(data, num_classes=12)
    trained = replace(train(twelve, epochs=1), diverged_at=(1, 3))
    summary = summarise(make_cell(), SETTINGS, twelve, trained)
    assert (summary["status"], summary["train_accuracy"]) == ("diverged", None)
    assert summary["train_accuracy_top5"] is summary["test_accuracy_top5"] is None
