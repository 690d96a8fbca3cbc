"""Inception V3: its number of parameters, the package's initial weights, sizes of images."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from rethinking import registry
from rethinking.models import build_model, parameter_count
from rethinking.models.initialisation import initialise
from rethinking.run.files import UserError

from .test_models import build_on_meta


def build(size, classes, **options):
    return build_on_meta("inception_v3", (3, size, size), classes, **options)


@pytest.mark.parametrize("size", [75, 299])
def test_parameters_without_the_auxiliary_head(size):
    assert parameter_count(build(size, 1000)) == 23_834_568


@pytest.mark.parametrize(("size", "head"), [(75, False), (298, False), (299, True)])
def test_the_auxiliary_head_needs_299_pixels(size, head):
    assert head == (size >= registry.entry("model", "inception_v3").options["auxiliary_head"])
    network = build(size, 10).train()
    outputs = network(torch.zeros(2, 3, size, size, device="meta"))
    logits = list(outputs) if head else [outputs]
    assert [each.shape for each in logits] == [(2, 10)] * (1 + head)
    assert network.eval()(torch.zeros(2, 3, size, size, device="meta")).shape == (2, 10)


@pytest.mark.parametrize("shape", [(3, 74, 74), (1, 75, 75)])
def test_images_that_do_not_fit(shape):
    with pytest.raises(UserError, match=r"3 channels and at least 75x75 pixels, not .*input_size"):
        build_model("inception_v3", shape, 10)


def test_options_reach_the_network():
    network = build(75, 10, dropout=0.2, batch_norm_decay=0.99)
    assert network.dropout.p == 0.2
    norms = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    assert {(each.eps, round(each.momentum, 9)) for each in norms} == {(0.001, 0.01)}
    assert len(norms) == 94


def test_scales_that_the_package_does_not_have_are_counted_in_the_documentation():
    scales = {True: 0, False: 0}
    for name, each in build(299, 1000).named_modules():
        if isinstance(each, nn.BatchNorm2d):
            scales[name.startswith("AuxLogits")] += each.weight.numel()
    text = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert f"adds {scales[False]:,} parameters to the network and {scales[True]} to its auxiliary head" in text


def test_initial_weights_are_those_of_the_package():
    network = build_model("inception_v3", (3, 299, 299), 100)
    initialise(network, "truncated_normal", torch.Generator().manual_seed(0))
    shrunk = math.sqrt(0.7737)  # variance of a normal variable that is cut off at two deviations
    for name, deviation in (
        ("Mixed_7c.branch1x1.conv", 0.1), ("fc", 0.01), ("AuxLogits.conv1.conv", 0.01), ("AuxLogits.fc", 0.001),
    ):  # fmt: skip
        weight = network.get_submodule(name).weight
        assert weight.abs().max() <= 2 * deviation
        assert weight.std().item() == pytest.approx(shrunk * deviation, rel=0.01)
    assert not network.fc.bias.any()
    norm = network.Mixed_7c.branch1x1.bn
    assert (norm.weight == 1).all()
    assert (norm.bias == 0).all()
