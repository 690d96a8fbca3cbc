"""The examples of docs/extending.md do what it says of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rethinking import paper
from rethinking.analysis.aggregation import aggregate_cell
from rethinking.analysis.descriptions import describe_data
from rethinking.analysis.differences import compare
from rethinking.analysis.runs import published_at_p
from rethinking.cells import Cell, parameters, probability
from rethinking.claims.own import own_claims
from rethinking.corruption.overlays import write
from rethinking.data.readers import read_dataset
from rethinking.measures.complexity import Network, measure_complexity
from rethinking.models import build_model, parameter_count
from rethinking.run.files import load_array

from .test_differences import epochs_table, ratios
from .tiny import train, without_seconds

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(autouse=True)
def examples(plugins):
    files = sorted(EXAMPLES.glob("*.py"))
    plugins(files)
    return files


def test_examples_are_short(examples):
    assert len(examples) == 6
    for file in examples:
        assert len(file.read_text().splitlines()) <= 60


def test_wide_resnet_has_the_parameters_of_the_first_author():
    assert parameter_count(build_model("wrn_28_1", (3, 28, 28), 10)) == 369_498
    assert parameter_count(build_model("wrn_28_1", (3, 28, 28), 10, blocks=1)) < 369_498


def test_asymmetric_noise_is_nested(prepared, tmp_path):
    true = np.array(load_array(prepared / "train_labels.npy"))
    changed = []
    for p in (0.4, 0.8):
        write(prepared, tmp_path, f"asymmetric_p{p}", "cifar10", seed=0)
        labels = np.array(load_array(tmp_path / "train_labels.npy"))
        assert set((labels - true) % 4) == {0, 1}
        changed.append(labels != true)
    assert 0 < changed[0].sum() < changed[1].sum()
    assert not (changed[0] & ~changed[1]).any()
    assert parameters("asymmetric_p0.4") == {"p": 0.4}
    assert probability("asymmetric_p0.4") == 0.4


def test_own_images_have_their_own_name(images):
    dataset, verified = read_dataset("shapes", "plugin", images)
    assert verified
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.images.shape == (6, 3, 4, 5)


def test_the_papers_numbers_are_not_shown_beside_own_data_and_noise():
    row = aggregate_cell("shapes/true_labels/alexnet/none", [], paper.table1())
    assert row["paper_test_accuracy"] is None
    ratios_of_paper = {"alexnet": [(0.5, 2.0)]}
    assert published_at_p(ratios_of_paper, "cifar10/labels_p0.5/alexnet/none") == 2
    for other in ("shapes/labels_p0.5/alexnet/none", "cifar10/asymmetric_p0.5/alexnet/none"):
        assert np.isnan(published_at_p(ratios_of_paper, other))
    loss = epochs_table("gaussian", "inception", "train_loss_end", [3.0, 2.0])
    tables = {"fig1a": loss, "fig1b": ratios("alexnet", "99 %", 3 * [1.0], 3 * [1.0])}
    published = {"fig1a": {"gaussian": np.ones((4, 2))}, "fig1b": {"alexnet": np.ones((3, 2))}}
    assert len(compare(tables, published)) == 2
    assert compare({name: each.assign(dataset="shapes") for name, each in tables.items()}, published).empty
    counts = {part: {"count": 6, "full_count": 6} for part in ("train", "test")}
    for kind in ("plugin", "images"):
        data = {"dataset": "shapes", "provenance": None, "source": {"kind": kind}, **counts}
        assert describe_data({"data": data}) == "Shapes, 6 training images"
    data |= {"dataset": "fashion_mnist", "num_classes": 10}
    assert describe_data({"data": data}) == "Fashion-MNIST (exact), 6 training images"  # compared with its checksums


def test_an_own_cell_trains_as_its_seed_says(data):
    cell = Cell.parse("shapes/asymmetric_p0.4/wrn_28_1/none/seed0")
    first, second = (train(data, cell, epochs=1) for _ in range(2))
    assert without_seconds(first.curve) == without_seconds(second.curve)
    assert np.isfinite(first.curve[-1]["train_loss"])


def test_complexity_says_what_it_cannot_measure(capsys):
    model, initial = (build_model("wrn_28_1", (3, 10, 10), 4, blocks=1).eval() for _ in range(2))
    images = torch.randn(20, 3, 10, 10)
    found = measure_complexity(Network(model, initial, images, model(images).argmax(1), 20, 1, 0))
    assert found["parameters"] == parameter_count(model)
    assert found["distance"] > 0
    assert found["path_norm"] is None
    weights = torch.cat([each.detach().flatten() for each in model.parameters()])
    assert found["l1_norm"] == pytest.approx(float(weights.abs().sum().log10()), abs=1e-5)
    assert "(BatchNorm2d)" in capsys.readouterr().out


def test_the_claim_of_the_example():
    (claim,) = own_claims()
    (check,) = claim.checks
    assert check.cells == ("shapes/asymmetric_p0.4/wrn_28_1/none",)
    assert (check.above, check.at_least) == (0, None)
