"""The scripts that measure trained networks, on networks trained here."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import measure_capacity
from rethinking import registry
from rethinking.analysis.sizes import count_sizes
from rethinking.cells import CELL_FILES, Cell
from rethinking.corruption.loading import load_corrupted
from rethinking.corruption.overlays import write
from rethinking.corruption.replacements import exchanged
from rethinking.corruption.signs import write_sample
from rethinking.measures.weights import load_weights
from rethinking.models import build_model
from rethinking.run.files import UserError, read_json
from rethinking.run.identity import Identity, record_path, write_record
from rethinking.run.plugin_checks import TAKEN
from rethinking.training import initial_weights
from rethinking.training.batches import to_inputs
from rethinking.training.results import write_cell

from ..summaries import make_data, make_summary, write_summary
from .tiny import CPU, settings_with, train

BASE = "cifar10/random_labels/mlp_1x512/none"
REPLACED = BASE.replace("labels", "labels_replaced0")
SIGNS = "cifar10/random_signs_n24/alexnet/none"


class Networks:
    """Networks in a folder as the workflow leaves them."""

    def __init__(self, root, prepared, script):
        self.root, self.prepared, self.script = root, prepared, script
        self.cells = root / "cells"
        sample = root / "sample"
        write_sample(prepared, sample, 24)
        for name, images in ((BASE, prepared), (REPLACED, prepared), (SIGNS, sample)):
            cell = Cell.from_name(name, 0)
            write(images, self.overlay(name), cell.corruption, "cifar10", 0)
            self.train(cell, images)

    def overlay(self, name):
        return self.root / "corrupted" / name.split("/")[1]

    def train(self, cell, images, folder=None, **values):
        settings = settings_with(epochs=6, **values)
        data = load_corrupted(images, self.overlay(cell.name))
        trained = train(data, cell, epochs=6, **values)
        manifest = read_json(images / "manifest.json") | {"dataset": "cifar10"}
        folder = folder or self.cells / str(cell)
        write_cell(folder, cell, settings, data, manifest, trained, Identity({"cell": str(cell)}))

    def complexity(self, folder, count=30):
        options = {"prepared": self.prepared, "overlay": self.overlay(BASE), "count": count, "draws": 2}
        self.script("measure_complexity", folder=folder, **options, device="cpu", output=folder / "complexity.json")
        return read_json(folder / "complexity.json")

    def stability(self, output, after=None):
        places = {"prepared": self.prepared, "overlay": self.overlay(BASE)}
        before, after = self.cells / f"{BASE}/seed0", after or self.cells / f"{REPLACED}/seed0"
        self.script("measure_stability", before=before, after=after, **places, output=output)
        return read_json(output)


@pytest.fixture(scope="module")
def networks(tmp_path_factory, prepared, script):
    return Networks(tmp_path_factory.mktemp("networks"), prepared, script)


def test_distance_is_from_the_weights_that_training_began_with(networks, tmp_path):
    cell = Cell.from_name(BASE, 0)
    networks.train(cell, networks.prepared, tmp_path, learning_rate=1e-9)
    assert networks.complexity(tmp_path)["distance"] == pytest.approx(0, abs=1e-5)
    assert networks.complexity(networks.cells / str(cell))["distance"] > 0.1


def test_weights_that_saw_the_images_are_no_reference_of_a_bound(networks, tmp_path):
    cell = Cell.from_name(BASE, 0)
    assert networks.complexity(networks.cells / str(cell))["spectral_bound"] is not None
    networks.train(cell, networks.prepared, tmp_path, initialisation="data_dependent")
    found = networks.complexity(tmp_path)
    assert found["spectral_bound"] is None
    assert found["spectral_product"] is not None
    assert found["distance"] > 0.1


def test_own_measures_see_networks_as_they_are_tested(networks, plugin):
    """Not with dropout, or with normalisations that follow the batch."""
    plugin(
        "@measure('training')\ndef training(network):\n    return network.model.training + network.initial.training\n"
    )
    assert networks.complexity(networks.cells / f"{BASE}/seed0")["training"] == 0


def test_a_network_is_measured_with_the_buffer_that_its_constructor_drew(networks, plugin, tmp_path):
    """Also where the file of weights does not hold it."""
    plugin(
        "import torch\n@model('random_features')\nclass Net(torch.nn.Module):\n"
        "    def __init__(self, image_shape, num_classes):\n        super().__init__()\n"
        "        self.register_buffer('drawn', torch.randn(300, 20) / 20, persistent=False)\n"
        "        self.out = torch.nn.Linear(20, num_classes)\n"
        "    def forward(self, x):\n        return self.out(torch.cos(x.flatten(1) @ self.drawn))\n"
        "@measure('loss')\ndef loss(network):\n"
        "    return torch.nn.functional.cross_entropy(network.logits, network.labels).item()\n"
    )
    networks.train(Cell.from_name(BASE.replace("mlp_1x512", "random_features"), 0), networks.prepared, tmp_path)
    expected = read_json(tmp_path / "summary.json")["train_loss"]
    assert networks.complexity(tmp_path, 40)["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("count", "images"), [(30, 30), (1000, 40)])
def test_measured_images_are_at_most_all(networks, count, images):
    assert networks.complexity(networks.cells / f"{BASE}/seed0", count)["images"] == images


def test_a_network_that_diverged_has_no_measures(networks, tmp_path):
    folder = networks.cells / f"{BASE}/seed0"
    summary = read_json(folder / "summary.json") | {"status": "diverged"}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    found = networks.complexity(tmp_path)
    assert [found[name] for name in registry.names("measure")] == [None] * len(registry.names("measure"))


def test_changes_are_those_of_both_networks_on_all_points(networks, tmp_path):
    found = networks.stability(tmp_path / "stability.json")
    data = load_corrupted(networks.prepared, networks.overlay(BASE))
    i, j = exchanged("cifar10", 0, 0, 40, 20)
    images = np.concatenate([data.train_images, data.test_images])
    labels = np.concatenate([data.train_labels, data.test_labels])
    labels[40 + j] = data.test_labels_corrupted[j]
    inputs = to_inputs(images, 10, CPU)
    loss = []
    for name in (BASE, REPLACED):
        given = load_corrupted(networks.prepared, networks.overlay(name))
        trained = train(given, Cell.from_name(name, 0), epochs=6)
        with torch.no_grad():
            probabilities = torch.softmax(trained.model.eval()(inputs), 1)
        loss.append(1 - probabilities[torch.arange(60), torch.from_numpy(labels)])
    change = (loss[1] - loss[0]).abs().numpy()
    assert found["all_change"] == pytest.approx(change.max(), abs=1e-5)
    test = np.delete(change[40:], j)
    assert found["test_change"] == pytest.approx(test.max(), abs=1e-5)
    assert found["mean_change"] == pytest.approx(test.mean(), abs=1e-5)
    assert change[i] > 0.1


def test_stability_is_that_of_networks_in_evaluation_mode(networks, monkeypatch, tmp_path):
    """Networks that would give zeros in training mode change nothing."""
    expected = networks.stability(tmp_path / "expected.json")

    def without_training(*arguments, **named):
        model = build_model(*arguments, **named)
        model.register_forward_hook(lambda model, _, logits: logits * (not model.training))
        return model

    monkeypatch.setattr(initial_weights, "build_model", without_training)
    assert networks.stability(tmp_path / "found.json") == expected


@pytest.mark.parametrize("name", ["predictions.npz", "weights.safetensors"])
def test_damaged_network_is_named(networks, tmp_path, name):
    damaged = shutil.copytree(networks.cells / f"{REPLACED}/seed0", tmp_path / "seed0")
    for damage, message in (
        (lambda: (damaged / name).write_bytes(b"x"), "read"),
        ((damaged / name).unlink, "used"),
    ):
        damage()
        with pytest.raises(UserError, match=f"{name} cannot be {message}"):
            networks.stability(tmp_path / "changes.json", damaged)


def test_predictions_of_another_version_are_named(networks, tmp_path):
    other = shutil.copytree(networks.cells / f"{REPLACED}/seed0", tmp_path / "seed0")
    np.savez(other / "predictions.npz", test_confidence=np.ones(20))
    with pytest.raises(UserError, match=r"predictions\.npz cannot be read .*train_confidence.*; delete it"):
        networks.stability(tmp_path / "changes.json", other)


def test_weights_that_are_not_finite_are_named(networks, tmp_path):
    """They are of a file that was damaged: a network whose loss is not finite diverged, and is not measured."""
    damaged = shutil.copytree(networks.cells / f"{REPLACED}/seed0", tmp_path / "seed0")
    weights = load_file(damaged / "weights.safetensors")
    for value in (torch.nan, torch.inf):
        name = next(reversed(weights))
        weights[name].view(-1)[0] = value
        save_file(weights, damaged / "weights.safetensors")
        says = rf"weights\.safetensors cannot be read .not all values of {name} are finite.; delete it"
        with pytest.raises(UserError, match=says):
            networks.complexity(damaged)
        with pytest.raises(UserError, match=says):
            networks.stability(tmp_path / "changes.json", damaged)


def test_weights_that_zeros_replaced_are_named(networks, tmp_path):
    """A disk can leave them, and the length, behind; measures would be ordinary numbers. A kept network has no record."""
    damaged = shutil.copytree(networks.cells / f"{REPLACED}/seed0", tmp_path / "seed0")
    files = [damaged / name for name in CELL_FILES]
    write_record(files, Identity({}, {}))
    before = networks.complexity(damaged)
    content = (damaged / "weights.safetensors").read_bytes()
    half = len(content) // 2
    (damaged / "weights.safetensors").write_bytes(content[:half] + bytes(40_000) + content[half + 40_000 :])
    says = f"the files of {damaged} have other contents than when they were made; delete {damaged}/summary.json"
    with pytest.raises(UserError, match=says):
        networks.complexity(damaged)
    with pytest.raises(UserError, match=says):
        networks.stability(tmp_path / "changes.json", damaged)
    record_path(files[0]).unlink()
    assert networks.complexity(damaged) != before


def test_a_buffer_can_hold_infinities(tmp_path):
    """Such as the mask of an attention; a statistic that is no number is damage."""
    model = torch.nn.BatchNorm1d(2)
    model.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    load_weights(model, tmp_path)
    model.running_mean[0] = torch.nan
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="running_mean are finite"):
        load_weights(model, tmp_path)


@pytest.fixture
def shown(script, tmp_path):
    """Run a script that makes two tables and a figure of networks; the tables, and the text of the figure."""

    def run(name, root, cells, *tables):
        files = {table: tmp_path / f"{table}.csv" for table in tables}
        script(name, root=root, cells=cells, seeds=[0, 1], **files, images=tmp_path / "figure.svg")
        return *map(pd.read_csv, files.values()), (tmp_path / "figure.svg").read_text()

    return run


CAPACITY = [SIGNS, BASE, REPLACED], "rademacher", "stability"


def test_tables_and_figures_are_written(shown, networks):
    rademacher, stability, figure = shown("measure_capacity", networks.cells, *CAPACITY)
    accuracy = read_json(networks.cells / f"{SIGNS}/seed0/summary.json")["train_accuracy"]
    assert rademacher.rademacher[0] == pytest.approx(accuracy / 50 - 1)
    assert (rademacher.n[0], rademacher.depth[0], rademacher.vc_bound[0]) == (24, 5, 1)
    assert "24 of 50,000 training images" in figure
    assert len(stability) == 1

    networks.complexity(networks.cells / f"{BASE}/seed0")
    ranks, measured, _ = shown("compare_complexity", networks.cells, [BASE, SIGNS], "ranks", "networks")
    assert list(ranks.measure) == list(registry.names("measure"))
    assert {*measured} - {*ranks.measure} <= TAKEN["measure"]  # no measure of a plug-in hides another column
    summary = read_json(networks.cells / f"{BASE}/seed0/summary.json")
    assert list(measured.gap) == [pytest.approx(summary["train_accuracy"] - summary["test_accuracy_corrupted"])]


def test_the_figure_says_where_the_gap_is_of_more_seeds_than_the_change(shown, tmp_path):
    data = make_data(train=24, full=40, image_shape=[3, 32, 32])
    for seed, says in ((0, False), (1, True)):
        given = {"settings": {"input_size": 28}, "data": data, "test_accuracy_corrupted": 10.0 + seed}
        write_summary(tmp_path, make_summary(f"{BASE}/seed{seed}", **given))
        _, _, figure = shown("measure_capacity", tmp_path, *CAPACITY)
        assert ("The gap is over all seeds" in figure) == says


def test_layers_are_counted_once_for_each_model(shown, tmp_path, monkeypatch):
    for seed in range(2):
        data = make_data(train=24, full=40, image_shape=[3, 32, 32])
        write_summary(tmp_path, make_summary(f"{SIGNS}/seed{seed}", settings={"input_size": 28}, data=data))
    counted = []
    build = measure_capacity.build_model
    monkeypatch.setattr(measure_capacity, "build_model", lambda *a, **k: counted.append(a) or build(*a, **k))
    rademacher, *_ = shown("measure_capacity", tmp_path, [SIGNS], "rademacher", "stability")
    assert [model for model, *_ in counted] == ["alexnet"]
    assert list(rademacher.depth) == [5]


def test_a_network_whose_constructor_reads_numbers_is_counted(shown, plugin, tmp_path):
    """As stochastic depth does; without numbers it cannot be built."""
    plugin(
        "import torch\n@model('deep')\ndef deep(image_shape, num_classes):\n"
        "    widths = [int(width.item()) for width in torch.linspace(20, 30, 2)]\n"
        "    layers = [torch.nn.Flatten(), torch.nn.Linear(300, widths[0]), torch.nn.Linear(*widths)]\n"
        "    return torch.nn.Sequential(*layers, torch.nn.Linear(widths[1], num_classes))\n"
    )
    cell, data = SIGNS.replace("alexnet", "deep"), make_data(train=24, full=40, image_shape=[3, 10, 10])
    write_summary(tmp_path, make_summary(f"{cell}/seed0", settings={"input_size": 10}, data=data))
    rademacher, *_ = shown("measure_capacity", tmp_path, [cell], "rademacher", "stability")
    assert list(rademacher.depth) == [3]
    network = {"dataset": "cifar10", "model": "deep", "input_size": 10, "architecture": {}}
    (parameters,) = count_sizes([network], {"cifar10": data}, {}).parameters
    assert parameters == 301 * 20 + 21 * 30 + 31 * data["num_classes"]


def test_number_of_parameters_has_all_digits(shown, tmp_path):
    folder = write_summary(tmp_path, make_summary(f"{BASE}/seed0", test_accuracy_corrupted=10.0))
    measured = dict.fromkeys(registry.names("measure"), 0.5) | {"parameters": 1_387_786}
    (folder / "complexity.json").write_text(json.dumps(measured))
    _, networks, _ = shown("compare_complexity", tmp_path, [BASE], "ranks", "networks")
    assert networks.parameters[0] == 1_387_786


def test_a_network_of_which_the_stability_alone_is_measured_is_no_row(shown, tmp_path):
    folder = write_summary(tmp_path, make_summary(f"{BASE}/seed0", test_accuracy_corrupted=10.0))
    (folder / "stability.json").write_text(json.dumps({"largest_change": 0.5}))
    _, networks, _ = shown("compare_complexity", tmp_path, [BASE], "ranks", "networks")
    assert networks.empty


def test_networks_that_diverged_are_said_to_be_in_no_rank_correlation(shown, tmp_path):
    for seed, diverged_at in ((0, None), (1, (1, 5))):
        given = {"test_accuracy_corrupted": 10.0, "diverged_at": diverged_at}
        folder = write_summary(tmp_path, make_summary(f"{BASE}/seed{seed}", **given))
        measured = dict.fromkeys(registry.names("measure"), None if diverged_at else 0.5)
        (folder / "complexity.json").write_text(json.dumps(measured))
    ranks, _, figure = shown("compare_complexity", tmp_path, [BASE], "ranks", "networks")
    assert ranks.data[0].endswith("2 seeds; without 1 of 2 networks, which diverged")
    assert "without 1 of 2 networks" in figure


def test_without_any_network_there_are_empty_tables(shown, tmp_path):
    rademacher, _, figure = shown("measure_capacity", tmp_path, *CAPACITY)
    assert figure.count(">not trained<") == 2
    assert rademacher.rademacher.isna().all()
    ranks, _, figure = shown("compare_complexity", tmp_path, [BASE], "ranks", "networks")
    assert ">trained yet.<" in figure
    assert ranks.tau_all.isna().all()
