"""Training of a cell against a plain loop of PyTorch, and the files that it leaves."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from rethinking import training
from rethinking.batches import Batches, to_inputs
from rethinking.cells import Cell
from rethinking.corruption import load_corrupted, write_corrupted_labels
from rethinking.files import UserError
from rethinking.models import build_model, parameter_count
from rethinking.preprocessing import centre_crop, flip_and_rotate, whiten
from rethinking.results import write_cell
from rethinking.settings import CellSettings
from rethinking.streams import stream
from rethinking.training import evaluate, train_cell

CPU = torch.device("cpu")
COLUMNS = (
    "epoch,step,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy,"
    "test_accuracy_corrupted,seconds"
)
SETTINGS = CellSettings(
    epochs=4,
    batch_size=16,  # batches of 16, 16 and 8
    learning_rate=0.02,
    learning_rate_decay=0.95,
    momentum=0.9,
    weight_decay=0.0,
    weight_decay_on="weights",
    initialisation="glorot_uniform",
    precision="float32",
    input_size=10,
    thresholds=[25.0, 99.9, 100.0],
)


@pytest.fixture(scope="module")
def data(prepared, tmp_path_factory):
    """The tiny data set with random labels."""
    overlay = tmp_path_factory.mktemp("overlay")
    write_corrupted_labels(prepared, overlay, "labels_p0.5", "cifar10", seed=0)
    return load_corrupted(prepared, overlay)


def make_cell(model="mlp_1x512", regularisers="none", seed=0):
    return Cell.parse(f"cifar10/labels_p0.5/{model}/{regularisers}/seed{seed}")


def settings_with(**values):
    return CellSettings(**SETTINGS.model_dump() | values)


def train(data, cell=None, **values):
    return train_cell(cell or make_cell(), settings_with(**values), data, CPU, log=lambda line: None)


def without_seconds(curve):
    return [{key: value for key, value in row.items() if key != "seconds"} for row in curve]


# --- against a plain loop -------------------------------------------------------------------------


def plain_mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(300, 512), nn.ReLU(), nn.Linear(512, 4))


def plain_alexnet():
    """SAME pooling pads 10 pixels by (0, 1) and 5 by (1, 1)."""
    norm = {"size": 9, "alpha": 1e-3, "beta": 0.75, "k": 1.0}
    return nn.Sequential(
        nn.Conv2d(3, 64, 5, padding=2), nn.ReLU(),
        nn.ConstantPad2d((0, 1, 0, 1), -torch.inf), nn.MaxPool2d(3, 2), nn.LocalResponseNorm(**norm),
        nn.Conv2d(64, 64, 5, padding=2), nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1), nn.LocalResponseNorm(**norm),
        nn.Flatten(),
        nn.Linear(576, 384), nn.ReLU(), nn.Linear(384, 192), nn.ReLU(), nn.Linear(192, 4),
    )  # fmt: skip


PLAIN = {"mlp_1x512": plain_mlp, "alexnet": plain_alexnet}
# Which parameters weight decay reaches, by their place: weights and biases alternate.
DECAYED = {
    ("mlp_1x512", "weights"): {0, 2},
    ("mlp_1x512", "hidden_linear"): {0},
    ("alexnet", "weights"): {0, 2, 4, 6, 8},
    ("alexnet", "hidden_linear"): {4, 6},
}


def plain_whiten(images):
    values = images.astype(np.float64) / 255
    centred = values - values.mean((1, 2, 3), keepdims=True)
    floor = 1 / np.sqrt(images[0].size)
    deviation = np.maximum(values.std((1, 2, 3), keepdims=True), floor)
    return torch.from_numpy(centred / deviation).float()


def plain_loop(model, data, orders, decayed, weight_decay):
    """SGD written out: v = 0.9 v + g + decay w, w = w - rate v. Returns the curve without seconds."""
    images, test_images = plain_whiten(data.train_images), plain_whiten(data.test_images)
    labels, test_labels = torch.tensor(data.train_labels), torch.tensor(data.test_labels)
    corrupted = torch.tensor(data.test_labels_corrupted)

    def row(epoch, rate, loss, correct):
        logits = model(test_images)
        return {
            "epoch": epoch,
            "step": 3 * epoch,
            "learning_rate": rate,
            "train_loss": loss / 40,
            "train_accuracy": 100 * correct / 40,
            "test_loss": nn.CrossEntropyLoss()(logits, test_labels).item(),
            "test_accuracy": 100 * (logits.argmax(1) == test_labels).double().mean().item(),
            "test_accuracy_corrupted": 100 * (logits.argmax(1) == corrupted).double().mean().item(),
        }

    logits = model(images)
    loss = nn.CrossEntropyLoss(reduction="sum")(logits, labels).item()
    curve = [row(0, 0.0, loss, (logits.argmax(1) == labels).sum().item())]
    parameters = list(model.parameters())
    velocity = [torch.zeros_like(parameter) for parameter in parameters]
    for epoch, order in enumerate(orders, start=1):
        rate, loss_sum, correct = 0.02 * 0.95 ** (epoch - 1), 0.0, 0
        for batch in order.split(16):
            logits = model(images[batch])
            loss = nn.CrossEntropyLoss()(logits, labels[batch])
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for place, (w, v, g) in enumerate(zip(parameters, velocity, gradients, strict=True)):
                    v.mul_(0.9).add_(g + (weight_decay * w if place in decayed else 0))
                    w.sub_(rate * v)
            loss_sum += loss.item() * len(batch)
            correct += (logits.argmax(1) == labels[batch]).sum().item()
        curve.append(row(epoch, rate, loss_sum, correct))
    return curve


@pytest.mark.parametrize(
    ("name", "decay_on", "weight_decay"),
    [
        ("mlp_1x512", "weights", 0.0),
        ("mlp_1x512", "weights", 0.1),
        ("mlp_1x512", "hidden_linear", 0.1),
        ("alexnet", "weights", 0.1),
        ("alexnet", "hidden_linear", 0.1),
    ],
)
def test_training_is_that_of_a_plain_loop(data, monkeypatch, name, decay_on, weight_decay):
    """Twelve steps from the same weights over the same batches; the images have other means than zero."""
    initialise, start = training.initialise, []

    def initialise_and_keep(model, scheme, generator):
        initialise(model, scheme, generator)
        start.extend(parameter.detach().clone() for parameter in model.parameters())

    monkeypatch.setattr(training, "initialise", initialise_and_keep)
    cell = make_cell(name)
    trained = train(data, cell, weight_decay=weight_decay, weight_decay_on=decay_on)

    plain = PLAIN[name]()
    with torch.no_grad():
        for parameter, value in zip(plain.parameters(), start, strict=True):
            parameter.copy_(value)
    # Where an image stands in an epoch's order is known from batches of numbered images.
    orders = [
        torch.cat([images.flatten().long() for images, _ in numbered_batches(data, cell).epoch(epoch)])
        for epoch in range(1, 5)
    ]
    expected = plain_loop(plain, data, orders, DECAYED[name, decay_on], weight_decay)
    # Float32 sums in another order miss by about 1e-6 after twelve steps; the decay of a single
    # bias (of about 0.01) changes the weights by more than 1e-4.
    pd.testing.assert_frame_equal(
        pd.DataFrame(without_seconds(trained.curve)), pd.DataFrame(expected), rtol=1e-5, check_exact=False
    )
    for ours, theirs in zip(trained.model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert trained.curve[-1]["train_loss"] != trained.curve[0]["train_loss"]


def numbered_batches(data, cell):
    """Batches whose only input is an image's number."""
    numbers = torch.arange(len(data.train_labels), dtype=torch.float32).reshape(-1, 1, 1, 1)
    return Batches(data, numbers, cell, settings_with(input_size=1))


def test_curve_columns(data):
    trained = train(data)
    assert ",".join(pd.DataFrame(trained.curve).columns) == COLUMNS
    assert [row["epoch"] for row in trained.curve] == [0, 1, 2, 3, 4]


def test_final_evaluation_is_of_the_final_network(data):
    trained = train(data, make_cell("inception"), epochs=2, input_size=9)
    model = trained.model.eval()
    for result, images, labels in (
        (trained.train, data.train_images, data.train_labels),
        (trained.test, data.test_images, data.test_labels),
    ):
        with torch.no_grad():
            probability = model(plain_whiten(images[:, :, :9, :9])).softmax(1).numpy()
        given = probability[np.arange(len(labels)), labels]
        np.testing.assert_array_equal(result.predictions, probability.argmax(1))
        # Logits of order one in float32.
        np.testing.assert_allclose(result.confidence, given, rtol=1e-4)
        assert result.loss == pytest.approx(-np.log(given).mean(), rel=1e-4)
        assert result.accuracy == pytest.approx(100 * np.mean(probability.argmax(1) == labels))
    assert trained.curve[-1]["test_loss"] == trained.test.loss


def test_training_steps_alone_update_batch_normalisation(data):
    trained = train(data, make_cell("inception"), epochs=2)
    norms = [module for module in trained.model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.num_batches_tracked.item() for norm in norms} == {6}


def test_evaluation_does_not_depend_on_its_batches(data, monkeypatch):
    model = build_model("inception", (3, 10, 10), 4)
    inputs = to_inputs(data.train_images, 10, CPU)
    whole = evaluate(model.train(), inputs, data.train_labels, SETTINGS)
    monkeypatch.setattr(training, "EVALUATION_BATCH", 7)
    parts = evaluate(model.train(), inputs, data.train_labels, SETTINGS)
    np.testing.assert_allclose(parts.confidence, whole.confidence, rtol=1e-5)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)


# --- repeatability --------------------------------------------------------------------------------


@pytest.mark.parametrize("regularisers", ["none", "crop+augment+wd"])
def test_two_runs_are_equal_bit_for_bit(data, regularisers):
    cell = make_cell("alexnet", regularisers)
    runs = [train(data, cell, epochs=2, input_size=8, weight_decay=0.01) for _ in range(2)]
    assert without_seconds(runs[0].curve) == without_seconds(runs[1].curve)
    for ours, theirs in zip(*(run.model.state_dict().values() for run in runs), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("other", [make_cell(seed=1), make_cell(regularisers="wd")])
def test_cells_start_from_weights_of_their_own(data, other):
    assert train(data, epochs=1).curve[0]["test_loss"] != train(data, other, epochs=1).curve[0]["test_loss"]


def test_bfloat16(data):
    half, full = train(data, precision="bfloat16"), train(data)
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.float32}
    losses = [[row["train_loss"] for row in run.curve] for run in (half, full)]
    assert losses[0] != losses[1]
    # Logits of order one with 8 bits: 2^-8 for each of a few layers.
    np.testing.assert_allclose(*losses, rtol=0.02)
    assert losses[0][-1] < losses[0][0]


# --- batches --------------------------------------------------------------------------------------


def test_epochs_are_different_permutations(data):
    epochs = [list(numbered_batches(data, make_cell()).epoch(epoch)) for epoch in (1, 2)]
    orders = []
    for batches in epochs:
        assert [len(images) for images, _ in batches] == [16, 16, 8]
        orders.append(torch.cat([images.flatten().long() for images, _ in batches]))
        labels = torch.cat([labels for _, labels in batches])
        np.testing.assert_array_equal(labels, data.train_labels[orders[-1]])
        assert sorted(orders[-1].tolist()) == list(range(40))
    assert not torch.equal(*orders)


@pytest.mark.parametrize("other", [make_cell(seed=1), make_cell("alexnet"), make_cell(regularisers="wd")])
def test_order_belongs_to_the_cell(data, other):
    first, second = (next(numbered_batches(data, cell).epoch(1))[0] for cell in (make_cell(), other))
    assert not torch.equal(first, second)


@pytest.fixture(scope="module")
def coded(data):
    """400 images whose pixels say which image and place they are: image, row and column in three channels."""
    n = 400
    images = np.zeros((n, 3, 10, 10), np.uint8)
    images[:, 0] = (np.arange(n) % 200)[:, None, None]
    images[:, 1] = np.arange(10)[:, None]
    images[:, 2] = np.arange(10)
    return replace(data, train_images=images, train_labels=np.arange(n), train_labels_true=np.arange(n))


def test_crops_are_windows_of_the_images(coded, monkeypatch):
    monkeypatch.setattr("rethinking.batches.whiten", lambda images: images)
    batches = Batches(coded, torch.zeros(1), make_cell(regularisers="crop"), settings_with(input_size=7))
    seen = []
    for epoch in (1, 2):
        corners = {}
        for images, labels in batches.epoch(epoch):
            for image, label in zip(images, labels.tolist(), strict=True):
                top, left = image[1, 0, 0].item(), image[2, 0, 0].item()
                window = coded.train_images[label, :, top : top + 7, left : left + 7]
                np.testing.assert_array_equal(image, window)
                corners[label] = top, left
        seen.append([corners[label] for label in range(400)])
    assert seen[0] != seen[1]
    # Each of the 4 x 4 places has 50 of 800 crops on average, with a standard deviation of 6.8.
    counts = np.unique(np.concatenate(seen), axis=0, return_counts=True)[1]
    assert len(counts) == 16
    assert np.abs(counts - 50).max() < 4.5 * 6.8


def test_crops_are_whitened(data):
    batches = Batches(data, torch.zeros(1), make_cell(regularisers="crop"), settings_with(input_size=7))
    images = torch.cat([images for images, _ in batches.epoch(1)])
    # High contrast: every image has mean 0 and deviation 1, to float32.
    assert images.mean((1, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(images.std((1, 2, 3), correction=0), torch.ones(40), rtol=1e-5, atol=0)


def test_augmentation_flips_and_turns_before_the_crop(data, monkeypatch):
    drawn = []

    def record(images, flips, angles):
        drawn.append((images, flips, angles))
        return flip_and_rotate(images, flips, angles)

    monkeypatch.setattr("rethinking.batches.flip_and_rotate", record)
    many = replace(data, train_images=np.tile(data.train_images, (10, 1, 1, 1)), train_labels=np.arange(400))
    batches = Batches(many, torch.zeros(1), make_cell(regularisers="augment"), settings_with(input_size=8))
    for images, labels in batches.epoch(1):
        whole = torch.from_numpy(many.train_images)[labels]
        assert torch.equal(drawn[-1][0], whole)
        expected = whiten(centre_crop(flip_and_rotate(whole, *drawn[-1][1:]), 8))
        torch.testing.assert_close(images, expected)
    flips, angles = (torch.cat([batch[i] for batch in drawn]).numpy() for i in (1, 2))
    # Four standard deviations: 10 of 400 flips; 25 / sqrt(3) / 20 degrees of a mean angle.
    assert abs(flips.sum() - 200) < 40
    assert abs(angles.mean()) < 4 * 0.73
    assert 24 < np.abs(angles).max() <= 25
    assert abs(np.corrcoef(flips, angles)[0, 1]) < 4 / 400**0.5


def test_unaugmented_batches_are_the_whitened_inputs(data):
    inputs = to_inputs(data.train_images, 8, CPU)
    torch.testing.assert_close(inputs, plain_whiten(data.train_images[:, :, 1:9, 1:9]), rtol=1e-5, atol=1e-5)
    batches = Batches(data, inputs, make_cell(), settings_with(input_size=8))
    order = stream(0, "batches", make_cell().name, "1").permutation(40)
    assert torch.equal(torch.cat([images for images, _ in batches.epoch(1)]), inputs[order])


# --- divergence and errors ------------------------------------------------------------------------


def first_bad_step(data, cell, monkeypatch, **values):
    """Train and return the cell with the number of the first loss that was not finite."""
    cross_entropy, losses = F.cross_entropy, []

    def record(*arguments):
        losses.append(cross_entropy(*arguments))
        return losses[-1]

    monkeypatch.setattr(training.F, "cross_entropy", record)
    trained = train(data, cell, **values)
    bad = [step for step, loss in enumerate(losses, start=1) if not torch.isfinite(loss)]
    return trained, bad[0] if bad else None


@pytest.mark.parametrize("name", ["mlp_1x512", "alexnet"])
def test_divergence_ends_the_cell(data, monkeypatch, name):
    trained, step = first_bad_step(data, make_cell(name), monkeypatch, epochs=10, learning_rate=1e6)
    assert trained.diverged_at == ((step - 1) // 3 + 1, step)
    assert [row["epoch"] for row in trained.curve] == list(range(trained.diverged_at[0]))
    assert np.isfinite(pd.DataFrame(trained.curve)).all(axis=None)


def test_divergence_in_the_last_step_is_noticed(data, monkeypatch, tmp_path):
    """All losses of the only epoch are finite; the weights after it are useless."""
    cell = make_cell()
    trained, step = first_bad_step(data, cell, monkeypatch, epochs=1, batch_size=40, learning_rate=1e30)
    assert step is None
    assert trained.diverged_at == (1, 1)
    assert len(trained.curve) == 1
    write_cell(tmp_path, cell, SETTINGS, data, {}, trained, CPU, "")
    assert read_strictly(tmp_path / "summary.json")["status"] == "diverged"


def test_input_larger_than_the_images(data):
    with pytest.raises(UserError, match=r"datasets\.cifar10\.input_size is 11.*10x10; give at most 10"):
        train(data, input_size=11)


def test_crop_without_room(data):
    with pytest.raises(UserError, match=r"crop.*larger than datasets\.cifar10\.input_size \(10\)"):
        train(data, make_cell(regularisers="crop"), input_size=10)


# --- files ----------------------------------------------------------------------------------------


def read_strictly(path):
    """JSON as other languages read it: NaN and Infinity are errors."""

    def refuse(constant):
        raise ValueError(constant)

    return json.loads(path.read_text(), parse_constant=refuse)


SUMMARY_KEYS = {
    "cell", "status", "diverged_epoch", "diverged_step",
    "train_accuracy", "train_accuracy_online", "train_loss",
    "test_accuracy", "test_accuracy_corrupted", "test_loss", "best_test_accuracy", "best_test_epoch",
    "epochs_to_train_accuracy", "epochs", "steps", "parameters",
    "wall_seconds", "device_seconds", "images_per_second", "data", "provenance",
}  # fmt: skip


def write(folder, data, cell, **values):
    trained = train(data, cell, **values)
    write_cell(folder, cell, settings_with(**values), data, {"provenance": "made up"}, trained, CPU, "f00d")
    return trained


def test_files_of_a_finished_cell(data, tmp_path):
    cell = make_cell("inception")
    trained = write(tmp_path, data, cell)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "curve.csv", "predictions.npz", "summary.json", "weights.safetensors",
    ]  # fmt: skip
    assert (tmp_path / "curve.csv").read_text().splitlines()[0] == COLUMNS
    curve = pd.read_csv(tmp_path / "curve.csv")
    pd.testing.assert_frame_equal(curve, pd.DataFrame(trained.curve))

    summary = read_strictly(tmp_path / "summary.json")
    assert set(summary) == SUMMARY_KEYS
    epochs = curve[curve.epoch > 0]
    assert summary["cell"] == str(cell)
    assert summary["status"] == "finished"
    assert summary["diverged_epoch"] is summary["diverged_step"] is None
    assert summary["train_accuracy"] == trained.train.accuracy
    assert summary["train_accuracy_online"] == epochs.train_accuracy.iloc[-1]
    for key in ("test_loss", "test_accuracy", "test_accuracy_corrupted"):
        assert summary[key] == epochs[key].iloc[-1]
    assert summary["best_test_accuracy"] == epochs.test_accuracy.max()
    assert epochs.test_accuracy[summary["best_test_epoch"]] == epochs.test_accuracy.max()
    assert set(summary["epochs_to_train_accuracy"]) == {"25", "99.9", "100"}
    for threshold, epoch in summary["epochs_to_train_accuracy"].items():
        reached = epochs.epoch[epochs.train_accuracy >= float(threshold)].tolist()
        assert epoch == (reached[0] if reached else None)
    assert (summary["epochs"], summary["steps"]) == (4, 12)
    assert summary["parameters"] == parameter_count(trained.model)
    assert summary["data"] == {"provenance": "made up"}
    origin = summary["provenance"]
    assert CellSettings.model_validate(origin["settings"]) == SETTINGS
    assert (origin["seed"], origin["code_fingerprint"], origin["device"]) == (0, "f00d", "cpu")
    assert torch.__version__.startswith(origin["libraries"]["torch"])


def test_predictions(data, tmp_path):
    trained = write(tmp_path, data, make_cell(), epochs=1)
    with np.load(tmp_path / "predictions.npz") as arrays:
        assert set(arrays) == {
            "train_prediction", "train_confidence", "train_label", "train_label_true",
            "test_prediction", "test_confidence", "test_label", "test_label_corrupted",
        }  # fmt: skip
        for name, array in arrays.items():
            assert array.shape == (40 if name.startswith("train") else 20,)
        np.testing.assert_array_equal(arrays["train_prediction"], trained.train.predictions)
        np.testing.assert_array_equal(arrays["test_confidence"], trained.test.confidence)
        np.testing.assert_array_equal(arrays["train_label"], data.train_labels)
        np.testing.assert_array_equal(arrays["train_label_true"], data.train_labels_true)
        np.testing.assert_array_equal(arrays["test_label"], data.test_labels)
        np.testing.assert_array_equal(arrays["test_label_corrupted"], data.test_labels_corrupted)


@pytest.mark.parametrize("name", ["inception", "alexnet", "mlp_1x512"])
def test_weights_give_the_predictions_again(data, tmp_path, name):
    trained = write(tmp_path, data, make_cell(name), epochs=1)
    model = build_model(name, (3, 10, 10), 4)
    model.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    again = evaluate(model, to_inputs(data.test_images, 10, CPU), data.test_labels, SETTINGS)
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
