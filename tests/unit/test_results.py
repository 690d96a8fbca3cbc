"""The files of a finished or diverged cell."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from rethinking.config.cell_settings import CellSettings
from rethinking.models import build_model, parameter_count
from rethinking.run.code import combined
from rethinking.run.identity import Identity
from rethinking.training.batches import to_inputs
from rethinking.training.loop import evaluate
from rethinking.training.results import summarise, write_cell

from .tiny import COLUMNS, CPU, SETTINGS, make_cell, read_strictly, settings_with, train

SUMMARY_KEYS = {
    "cell", "status", "diverged_epoch", "diverged_step",
    "train_accuracy", "train_accuracy_online", "train_loss",
    "test_accuracy", "test_accuracy_corrupted", "test_loss", "best_test_accuracy", "best_test_epoch",
    "epochs_to_train_accuracy", "epochs", "steps", "parameters",
    "wall_seconds", "device_seconds", "images_per_second", "data", "provenance",
}  # fmt: skip


IDENTITY = Identity({"epochs": 4}, {"training/loop.py: train_cell": "beef"}, {})


def write(folder, data, cell, **values):
    trained = train(data, cell, **values)
    write_cell(folder, cell, settings_with(**values), data, {"provenance": "made up"}, trained, IDENTITY)
    return trained


def test_files_of_a_finished_cell(data, tmp_path):
    cell = make_cell("inception")
    trained = write(tmp_path, data, cell)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "curve.csv", "memorisation.csv", "predictions.npz", "summary.json", "weights.safetensors",
    ]  # fmt: skip
    assert (tmp_path / "curve.csv").read_text().splitlines()[0] == COLUMNS
    curve = pd.read_csv(tmp_path / "curve.csv")
    pd.testing.assert_frame_equal(curve, pd.DataFrame(trained.curve))

    summary = read_strictly(tmp_path / "summary.json")
    assert set(summary) == SUMMARY_KEYS
    assert summary["cell"] == str(cell)
    assert summary["status"] == "finished"
    assert summary["diverged_epoch"] is summary["diverged_step"] is None
    for key in ("test_loss", "test_accuracy", "test_accuracy_corrupted"):
        assert summary[key] == curve[key].iloc[-1]
    assert (summary["epochs"], summary["steps"]) == (4, 12)
    assert summary["parameters"] == parameter_count(trained.model)
    assert summary["data"] == {"provenance": "made up"}
    origin = summary["provenance"]
    assert CellSettings.model_validate(origin["settings"]) == SETTINGS
    assert (origin["identity"], origin["code_fingerprint"]) == (
        IDENTITY.digest,
        combined(dict(IDENTITY.code)),
    )
    assert (origin["seed"], origin["device"]) == (0, "cpu")
    assert torch.__version__.startswith(origin["libraries"]["torch"])


def test_numbers_of_a_curve(data):
    """Of the last epoch, of the best, and of the first at a threshold; the untrained network is no epoch."""
    twelve = replace(data, num_classes=12)
    trained = train(twelve, epochs=3)
    columns = {
        "train_accuracy": [90.0, 25.0, 60.0, 50.0],
        "test_accuracy": [99.0, 30.0, 40.0, 20.0],
        "test_accuracy_top5": [100.0, 50.0, 70.0, 60.0],
    }
    curve = pd.DataFrame(trained.curve).assign(**columns).to_dict("records")
    settings = settings_with(thresholds=[25.0, 60.0, 60.1])
    summary = summarise(make_cell(), settings, twelve, replace(trained, curve=curve))
    assert summary["epochs_to_train_accuracy"] == {"25": 1, "60": 2, "60.1": None}
    assert (summary["best_test_accuracy"], summary["best_test_epoch"]) == (40, 2)
    assert (summary["best_test_accuracy_top5"], summary["train_accuracy_online"]) == (70, 50)
    assert (summary["train_accuracy"], summary["train_loss"]) == (trained.train.accuracy, trained.train.loss)


def test_predictions(data, tmp_path):
    trained = write(tmp_path, data, make_cell(), epochs=1)
    with np.load(tmp_path / "predictions.npz") as arrays:
        assert set(arrays) == {
            "train_prediction", "train_rank", "train_confidence", "train_label", "train_label_true",
            "test_prediction", "test_rank", "test_confidence", "test_label", "test_label_corrupted",
        }  # fmt: skip
        for name, array in arrays.items():
            assert array.shape == (40 if name.startswith("train") else 20,)
        np.testing.assert_array_equal(arrays["train_prediction"], trained.train.predictions)
        np.testing.assert_array_equal(arrays["test_confidence"], trained.test.confidence)
        np.testing.assert_array_equal(arrays["train_label"], data.train_labels)
        for split in ("train", "test"):
            right = arrays[f"{split}_prediction"] == arrays[f"{split}_label"]
            np.testing.assert_array_equal(arrays[f"{split}_rank"] == 0, right)
            assert arrays[f"{split}_rank"].max() == 3
        np.testing.assert_array_equal(arrays["train_label_true"], data.train_labels_true)
        np.testing.assert_array_equal(arrays["test_label"], data.test_labels)
        np.testing.assert_array_equal(arrays["test_label_corrupted"], data.test_labels_corrupted)


def test_predictions_hold_many_classes(data, tmp_path):
    trained = train(data, epochs=1)
    high = {name: getattr(trained.train, name) + 70_000 for name in ("predictions", "ranks")}
    trained = replace(trained, train=replace(trained.train, **high))
    write_cell(tmp_path, make_cell(), settings_with(epochs=1), data, {}, trained, IDENTITY)
    with np.load(tmp_path / "predictions.npz") as arrays:
        np.testing.assert_array_equal(arrays["train_prediction"], high["predictions"])
        np.testing.assert_array_equal(arrays["train_rank"], high["ranks"])


@pytest.mark.parametrize("name", ["inception", "alexnet", "mlp_1x512"])
def test_weights_give_the_predictions_again(data, tmp_path, name):
    trained = write(tmp_path, data, make_cell(name), epochs=1)
    model = build_model(name, (3, 10, 10), 4)
    model.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    again = evaluate(model, [to_inputs(data.test_images, 10, CPU)], data.test_labels, SETTINGS)
    np.testing.assert_array_equal(again.predictions, trained.test.predictions)
    # Convolutions may take another algorithm for another memory layout of the weights.
    np.testing.assert_allclose(again.confidence, trained.test.confidence, rtol=1e-5)


def test_summary_of_a_diverged_cell(data, tmp_path):
    trained = write(tmp_path, data, make_cell(), epochs=10, learning_rate=1e6)
    summary = read_strictly(tmp_path / "summary.json")
    assert set(summary) == SUMMARY_KEYS
    assert summary["status"] == "diverged"
    assert (summary["diverged_epoch"], summary["diverged_step"]) == trained.diverged_at
    for key in ("train_accuracy", "train_accuracy_online", "train_loss", "test_accuracy", "test_loss"):
        assert summary[key] is None
    assert summary["epochs"] == len(trained.curve) - 1
    assert len(pd.read_csv(tmp_path / "curve.csv")) == len(trained.curve)


def test_cell_that_diverged_at_once_has_a_summary(data, tmp_path):
    write(tmp_path, data, make_cell("alexnet"), learning_rate=1e6)
    summary = read_strictly(tmp_path / "summary.json")
    assert (summary["diverged_epoch"], summary["epochs"], summary["best_test_accuracy"]) == (1, 0, None)
    assert summary["epochs_to_train_accuracy"] == {"25": None, "99.9": None, "100": None}
