"""Training of a cell against a plain loop of PyTorch."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rethinking.config.cell_settings import CellSettings
from rethinking.models import build_model
from rethinking.models.alexnet import LocalResponseNorm
from rethinking.run.files import UserError
from rethinking.run.identity import Identity
from rethinking.training import initial_weights
from rethinking.training import loop as training
from rethinking.training.batches import to_inputs
from rethinking.training.curves import memorisation_row, moving_average
from rethinking.training.evaluation import evaluate
from rethinking.training.initial_weights import IMAGES, draw_initial_weights
from rethinking.training.results import write_cell
from rethinking.training.steps import build_optimiser

from .tiny import (
    CPU,
    SETTINGS,
    make_cell,
    numbered_batches,
    plain_whiten,
    read_strictly,
    settings_with,
    train,
    without_seconds,
)

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


def plain_loop(model, data, orders, decayed, weight_decay):
    """SGD written out: v = 0.9 v + g + decay w, w = w - rate v. Returns the curve without seconds."""
    images, test_images = plain_whiten(data.train_images), plain_whiten(data.test_images)
    labels, test_labels = torch.tensor(data.train_labels), torch.tensor(data.test_labels)
    corrupted = torch.tensor(data.test_labels_corrupted)

    def row(epoch, rate, loss, correct, at_end):
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
            "train_loss_end": at_end[0],
            "train_accuracy_end": at_end[1],
        }

    logits = model(images)
    loss = nn.CrossEntropyLoss(reduction="sum")(logits, labels).item()
    correct = (logits.argmax(1) == labels).sum().item()
    curve = [row(0, 0.0, loss, correct, (loss / 40, 100 * correct / 40))]
    parameters = list(model.parameters())
    velocity = [torch.zeros_like(parameter) for parameter in parameters]
    for epoch, order in enumerate(orders, start=1):
        rate, loss_sum, correct = 0.02 * 0.95 ** (epoch - 1), 0.0, 0
        # TensorFlow's moving average: from zero, and divided by what zero has lost of its weight
        shadow = [0.0, 0.0]
        for batch in order.split(16):
            logits = model(images[batch])
            loss = nn.CrossEntropyLoss()(logits, labels[batch])
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for place, (w, v, g) in enumerate(zip(parameters, velocity, gradients, strict=True)):
                    v.mul_(0.9).add_(g + (weight_decay * w if place in decayed else 0))
                    w.sub_(rate * v)
            right = (logits.argmax(1) == labels[batch]).sum().item()
            loss_sum += loss.item() * len(batch)
            correct += right
            new = loss.item(), 100 * right / len(batch)
            shadow = [0.9 * old + 0.1 * value for old, value in zip(shadow, new, strict=True)]
        curve.append(row(epoch, rate, loss_sum, correct, [each / (1 - 0.9**3) for each in shadow]))
    return curve


def test_moving_average_weighs_the_last_batches():
    # 100 (1 - 0.9^10) of a jump ten batches before the end, up to what forty batches lack of a long epoch.
    values = torch.tensor([0.0] * 30 + [100.0] * 10)
    assert moving_average(values) == pytest.approx(100 * (1 - 0.9**10) / (1 - 0.9**40))


def test_moving_average_of_equal_values_is_that_value():
    assert all(moving_average(torch.full((steps,), 100.0)) == 100 for steps in range(1, 400))


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
    """Twelve steps from the same weights over the same batches; the images have nonzero means."""
    draw, start = training.draw_initial_weights, []

    def draw_and_keep(model, *arguments):
        draw(model, *arguments)
        start.extend(parameter.detach().clone() for parameter in model.parameters())

    monkeypatch.setattr(training, "draw_initial_weights", draw_and_keep)
    cell = make_cell(name)
    trained = train(data, cell, weight_decay=weight_decay, weight_decay_on=decay_on)

    plain = PLAIN[name]()
    with torch.no_grad():
        for parameter, value in zip(plain.parameters(), start, strict=True):
            parameter.copy_(value)
    # The place of an image in an epoch's order is known from batches of numbered images.
    orders = [
        torch.cat([images.flatten().long() for images, *_ in numbered_batches(data, cell).epoch(epoch)])
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


def test_data_dependent_initial_weights_are_fitted_to_the_training_images(data):
    assert len(data.train_images) < IMAGES  # so to all of them
    settings = settings_with(initialisation="data_dependent")
    model = build_model("mlp_1x512", (3, 10, 10), 4)
    draw_initial_weights(model, make_cell(), settings, data)
    hidden = next(module for module in model.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        values = hidden(plain_whiten(data.train_images).flatten(1))
    torch.testing.assert_close(values.mean(0), torch.zeros(512), rtol=0, atol=1e-5)
    torch.testing.assert_close(values.std(0, correction=0), torch.ones(512))
    # The untrained network of the curve is this one.
    trained = train(data, initialisation="data_dependent", epochs=1)
    with torch.no_grad():
        logits = model(plain_whiten(data.train_images))
    loss = F.cross_entropy(logits, torch.from_numpy(data.train_labels))
    assert trained.curve[0]["train_loss"] == pytest.approx(loss.item(), rel=1e-5)


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


def test_evaluation_does_not_depend_on_its_batches(data):
    model = build_model("inception", (3, 10, 10), 4)
    inputs = to_inputs(data.train_images, 10, CPU)
    whole = evaluate(model.train(), [inputs], data.train_labels, SETTINGS)
    parts = evaluate(model.train(), inputs.split(7), data.train_labels, SETTINGS)
    np.testing.assert_allclose(parts.confidence, whole.confidence, rtol=1e-5)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)


def test_memorisation_tells_the_parts_apart(data):
    """Five images, the last three with changed labels; the predictions are right, wrong, given, true, neither."""
    few = replace(data, train_labels=np.array([0, 1, 2, 2, 2]), train_labels_true=np.array([0, 1, 0, 1, 0]))
    row = memorisation_row(7, np.array([0, 0, 2, 1, 3]), few)
    third = pytest.approx(100 / 3)
    assert row == {
        "epoch": 7,
        "unchanged_accuracy": 50,
        "changed_accuracy_given": third,
        "changed_accuracy_true": third,
    }


def test_memorisation_adds_up_to_the_training_accuracy(data):
    trained = train(data, epochs=3)
    share = np.mean(data.train_labels != data.train_labels_true)
    assert 0 < share < 1
    for row, line in zip(trained.memorisation, trained.curve[1:], strict=True):
        whole = (1 - share) * row["unchanged_accuracy"] + share * row["changed_accuracy_given"]
        assert whole == pytest.approx(line["train_accuracy"])


# --- repeatability --------------------------------------------------------------------------------


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


# --- divergence and errors ------------------------------------------------------------------------


def first_bad_step(data, cell, monkeypatch, **values):
    """Train and return the cell with the number of the first loss that was not finite."""
    cross_entropy, losses = F.cross_entropy, []

    def record(*arguments):
        losses.append(cross_entropy(*arguments))
        return losses[-1]

    monkeypatch.setattr("rethinking.training.steps.F.cross_entropy", record)
    trained = train(data, cell, **values)
    bad = [step for step, loss in enumerate(losses, start=1) if not torch.isfinite(loss)]
    return trained, bad[0] if bad else None


@pytest.mark.parametrize("name", ["mlp_1x512", "alexnet"])
def test_divergence_ends_the_cell(data, monkeypatch, name):
    trained, step = first_bad_step(data, make_cell(name), monkeypatch, epochs=10, learning_rate=1e6)
    assert trained.diverged_at == ((step - 1) // 3 + 1, step)
    assert [row["epoch"] for row in trained.curve] == list(range(trained.diverged_at[0]))
    assert np.isfinite(pd.DataFrame(trained.curve)).all(axis=None)


def test_network_has_the_architecture_of_the_settings(data):
    for option in (True, False):
        trained = train(data, make_cell("alexnet"), epochs=1, architecture={"local_response_norm": option})
        assert any(isinstance(module, LocalResponseNorm) for module in trained.model.modules()) == option


def test_divergence_in_the_last_step_is_noticed(data, monkeypatch, tmp_path):
    """All losses of the only epoch are finite; the weights after it are useless."""
    cell = make_cell()
    trained, step = first_bad_step(data, cell, monkeypatch, epochs=1, batch_size=40, learning_rate=1e30)
    assert step is None
    assert trained.diverged_at == (1, 1)
    assert len(trained.curve) == 1
    write_cell(tmp_path, cell, SETTINGS, data, {}, trained, Identity({}))
    assert read_strictly(tmp_path / "summary.json")["status"] == "diverged"


def test_divergence_on_the_training_set_alone_is_noticed(data, monkeypatch):
    def overflowing(model, blocks, labels, *rest):
        found = evaluate(model, blocks, labels, *rest)
        return replace(found, loss=torch.inf) if labels is data.train_labels else found

    monkeypatch.setattr("rethinking.training.loop.evaluate", overflowing)
    assert train(data, epochs=2).diverged_at == (2, 6)


def small_network(_name, shape, classes):
    """Each setting can change it: batch normalisation, and a linear layer before the last."""
    features = nn.Sequential(nn.Conv2d(shape[0], 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
    return nn.Sequential(features, nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, classes))


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(256, 4)),
        nn.ModuleDict({"AuxLogits": nn.ModuleDict({"fc": nn.Linear(8, 4)}), "fc": nn.Linear(8, 4)}),
    ],
)
def test_weight_decay_that_would_change_nothing_is_refused(network):
    build_optimiser(network, settings_with(weight_decay=0.1))
    build_optimiser(network, settings_with(weight_decay=0.0, weight_decay_on="hidden_linear"))
    with pytest.raises(UserError, match=r"is hidden_linear, but .*; give weight_decay_on: weights, or leave"):
        build_optimiser(network, settings_with(weight_decay=0.1, weight_decay_on="hidden_linear"))
    with pytest.raises(UserError, match=r"is weights, but the network has no such weights .*; leave 'wd' out"):
        build_optimiser(nn.Conv1d(3, 4, 3), settings_with(weight_decay=0.1))


# Another value of each setting, beside those that change no training of this network.
OTHER_VALUES = {
    "epochs": 3, "batch_size": 8, "learning_rate": 0.1, "learning_rate_decay": 0.5, "momentum": 0.0, "precision": "bfloat16",
    "initialisation": "he_normal", "weight_decay": 0.5, "weight_decay_on": "hidden_linear", "input_size": 8,
    "rmsprop": {"decay": 0.9, "epsilon": 1.0}, "decay_every": 2, "label_smoothing": 0.1, "average_decay": 0.5, "micro_batch": 4,
}  # fmt: skip
WITHOUT_EFFECT = {
    "thresholds": "they are looked up in the finished curve",
    "architecture": "options are those of a network",
    "auxiliary_loss": "of networks with an auxiliary head",
    "reduction": "of several workers",
}


def test_every_setting_has_a_value_here():
    missing = CellSettings.model_fields.keys() - OTHER_VALUES.keys() - WITHOUT_EFFECT.keys()
    assert missing == set(), "give it another value in OTHER_VALUES"


@pytest.mark.parametrize("setting", OTHER_VALUES)
def test_a_setting_changes_what_is_trained(data, monkeypatch, setting):
    """By itself: whichever way a step is made, it must not ignore the setting."""
    monkeypatch.setattr(initial_weights, "build_model", small_network)
    values = {"epochs": 2, "weight_decay": 0.1}
    plain, other = (train(data, **values | changed) for changed in ({}, {setting: OTHER_VALUES[setting]}))
    assert other.train.loss != plain.train.loss


def test_the_average_counts_the_steps_of_all_epochs_from_one(data, monkeypatch):
    """By which its first steps are forgotten sooner."""
    counted = []
    monkeypatch.setattr(training.AveragedNetwork, "update", lambda self, step: counted.append(step))
    train(data, epochs=2, average_decay=0.99)  # of three steps each
    assert counted == [1, 2, 3, 4, 5, 6]


def test_input_larger_than_the_images(data):
    with pytest.raises(UserError, match=r"datasets\.cifar10\.input_size is 11.*10x10; give at most 10"):
        train(data, input_size=11)


def test_crop_without_room(data):
    with pytest.raises(UserError, match=r"crop.*larger than datasets\.cifar10\.input_size \(10\)"):
        train(data, make_cell(regularisers="crop"), input_size=10)


@pytest.mark.parametrize("sizes", [{"batch_size": 1}, {"batch_size": 39}, {"batch_size": 18, "micro_batch": 3}])
def test_a_batch_of_one_image_is_refused_where_it_cannot_be_normalised(data, sizes):
    with pytest.raises(UserError, match=r"40 training images in batches of .* leave a batch of one image"):
        train(data, make_cell("inception"), input_size=4, **sizes)
