"""Initial weights against the moments of their schemes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from rethinking.models import build_model
from rethinking.models.initialisation import initialise, standardise
from rethinking.training import initial_weights

from .test_models import CIFAR_SHAPE, generator, layers
from .tiny import make_cell, settings_with

# Standard deviation of the weights from fan-in and fan-out, and their kurtosis.
SCHEMES = {
    "glorot_uniform": (lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5, 1.8),
    "uniform_unit_scaling": (lambda fan_in, fan_out: fan_in**-0.5, 1.8),  # keeps a linear layer's variance
    "he_normal": (lambda fan_in, fan_out: (2 / fan_in) ** 0.5, 3.0),
    "torch_default": (lambda fan_in, fan_out: (1 / (3 * fan_in)) ** 0.5, 1.8),
}
# Fan-in and fan-out of the small AlexNet's layers.
ALEXNET_FANS = [(3 * 25, 64 * 25), (64 * 25, 64 * 25), (64 * 49, 384), (384, 192), (192, 10)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_initial_weights_have_the_moments_of_their_scheme(scheme):
    model = build_model("alexnet", CIFAR_SHAPE, 10)
    initialise(model, scheme, generator())
    deviation, kurtosis = SCHEMES[scheme]
    for layer, fans in zip(layers(model), ALEXNET_FANS, strict=True):
        values, expected = layer.weight.detach().double(), deviation(*fans)
        n = values.numel()
        # Five standard errors of a mean and of a standard deviation.
        assert abs(values.mean()) < 5 * expected / n**0.5
        assert abs(values.std() / expected - 1) < 5 * ((kurtosis - 1) / (4 * n)) ** 0.5
        limit = 3**0.5 * expected if kurtosis == 1.8 else torch.inf
        assert values.abs().max() <= limit * (1 + 1e-6)
        assert scheme != "he_normal" or values.abs().max() > 2.5 * expected  # not cut off


@pytest.mark.parametrize("scheme", SCHEMES)
def test_initial_biases(scheme):
    model = build_model("alexnet", CIFAR_SHAPE, 10)
    initialise(model, scheme, generator())
    for layer, (fan_in, _) in zip(layers(model), ALEXNET_FANS, strict=True):
        if scheme == "torch_default":  # draws them like the weights
            assert 0 < layer.bias.abs().max() <= fan_in**-0.5
        else:
            assert not layer.bias.any()


def test_torch_default_is_the_default_of_torch():
    default = build_model("mlp_1x512", CIFAR_SHAPE, 10)
    ours = build_model("mlp_1x512", CIFAR_SHAPE, 10)
    initialise(ours, "torch_default", generator())
    for a, b in zip(default.parameters(), ours.parameters(), strict=True):
        # The largest of n uniform draws is within 10 / n of its limit, except once in 20,000 times.
        torch.testing.assert_close(a.abs().max(), b.abs().max(), rtol=max(20 / a.numel(), 1e-5), atol=0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_initial_weights_follow_from_the_generator_alone(scheme):
    def weights(seed):
        model = build_model("inception", CIFAR_SHAPE, 10, batch_norm_affine=True)
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        initialise(model, scheme, generator(seed))
        return nn.utils.parameters_to_vector(model.parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("name", ["inception_no_bn", "alexnet", "mlp_3x512"])
def test_standardised_channels_have_mean_0_and_variance_1(name):
    model = build_model(name, CIFAR_SHAPE, 10).train()
    initialise(model, "he_normal", generator())
    last = layers(model)[-1].weight.clone()
    images = 2 + torch.randn(64, *CIFAR_SHAPE, generator=generator())
    standardise(model, images)
    assert model.training
    assert torch.equal(layers(model)[-1].weight, last)
    outputs = []
    for layer in layers(model):
        layer.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
    with torch.no_grad():
        model.eval()(images)
    for output in outputs[:-1]:
        channels = output.transpose(0, 1).flatten(1).double()
        assert channels.mean(1).abs().max() < 1e-5
        assert (channels.std(1, correction=0) - 1).abs().max() < 1e-4


def test_a_standardised_network_starts_like_one_with_batch_normalisation():
    images = torch.randn(32, *CIFAR_SHAPE, generator=generator())
    with_norm, without = (build_model(name, CIFAR_SHAPE, 10) for name in ("inception", "inception_no_bn"))
    for model in (with_norm, without):
        initialise(model, "he_normal", generator())
    standardise(without, images)
    for module in with_norm.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-12
    with torch.no_grad():
        torch.testing.assert_close(without(images), with_norm(images), rtol=1e-3, atol=1e-4)


def test_data_dependent_weights_see_256_random_training_images(data, monkeypatch):
    """As the configuration says; of 280, none twice."""
    images, seen = np.random.default_rng(0).integers(0, 256, (280, 3, 10, 10), dtype=np.uint8), []
    many = replace(data, train_images=images, train_labels=np.zeros(280, np.int64))
    monkeypatch.setattr(initial_weights, "standardise", lambda model, some: seen.append(some))
    for seed in (0, 1):
        cell = make_cell(seed=seed)
        model = initial_weights.build_network(cell, images.shape[1:], 4, {})
        initial_weights.draw_initial_weights(model, cell, settings_with(initialisation="data_dependent"), many)
    for some in seen:
        assert len(some.flatten(1).unique(dim=0)) == len(some) == 256
    assert not torch.equal(*seen)


class Odd(nn.Module):
    """A layer without bias, one that is used twice, one that is not used, and one with a constant output."""

    def __init__(self):
        super().__init__()
        self.unused, self.first = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.twice, self.constant, self.last = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.last(self.constant(self.twice(self.twice(self.first(x.flatten(1)))).relu()))


def test_standardising_odd_layers():
    model = Odd()
    initialise(model, "he_normal", generator())
    with torch.no_grad():
        model.constant.weight[1] = 0
        model.constant.bias[1] = 5
    unused = model.unused.weight.clone()
    images = torch.randn(50, 1, 2, 2, generator=generator())
    standardise(model, images)
    assert torch.equal(model.unused.weight, unused)
    with torch.no_grad():
        first = model.first(images.flatten(1))
        second = model.twice(first)
        constant = model.constant(model.twice(second).relu())
    torch.testing.assert_close(first.std(0, correction=0), torch.ones(4))
    torch.testing.assert_close(second.mean(0), torch.zeros(4))
    torch.testing.assert_close(second.std(0, correction=0), torch.ones(4))
    torch.testing.assert_close(constant.mean(0), torch.zeros(3))
    assert not constant[:, 1].any()


def test_layers_have_weights_of_their_own():
    model = build_model("mlp_3x512", CIFAR_SHAPE, 10)
    initialise(model, "he_normal", generator())
    assert not torch.equal(model[3].weight, model[5].weight)


def test_unknown_initialisation():
    with pytest.raises(ValueError, match="'zeros'"):
        initialise(build_model("mlp_1x512", (1, 7, 7), 10), "zeros", generator())
