"""Measures of complexity against their definitions written out, and changes that must not affect them."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from rethinking import registry
from rethinking.measures import norms
from rethinking.measures.complexity import Network, fisher_rao, margin_percentile, measure_complexity
from rethinking.measures.folding import beyond_norms, depth, fold_batch_norm, is_homogeneous, weight_layers
from rethinking.measures.sharpness import largest_noise
from rethinking.models import build_model, parameter_count
from rethinking.models.mlp import mlp

IMAGE = torch.rand(1, 3, 10, 10, generator=torch.Generator().manual_seed(1))


def network(name="inception", seed=0, **options):
    torch.manual_seed(seed)
    return build_model(name, (3, 10, 10), 4, **options)


def trained_statistics(model):
    """Running statistics and affine parameters as training may leave them."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(1e-3, 2.0)  # from where epsilon matters
            if module.weight is not None:
                nn.init.uniform_(module.weight, 0.5, 1.5)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -0.5, 0.5)
    return model.eval()


# --- folding and layers -------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"batch_norm_affine": True}, {"batch_norm_shift": True}])
def test_folding_keeps_the_function(options):
    model = trained_statistics(network(**options))
    images = torch.randn(4, 3, 10, 10)
    folded = fold_batch_norm(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(images), model(images), rtol=1e-4, atol=1e-5)
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def test_what_cannot_be_folded_stays_and_leaves_norms_undefined():
    """A normalisation by the batch, and a convolution with two normalisations."""
    twice = nn.Conv2d(3, 3, 3, padding=1)
    for layers in (
        (nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3, track_running_stats=False)),
        (twice, nn.BatchNorm2d(3), nn.ReLU(), twice, nn.BatchNorm2d(3)),
    ):
        model = trained_statistics(nn.Sequential(*layers))
        folded = fold_batch_norm(model)
        images = torch.randn(4, 3, 10, 10)
        torch.testing.assert_close(folded(images), model(images))
        assert beyond_norms(folded)


@pytest.mark.parametrize(
    ("name", "layers", "longest"),
    [("inception", 20, 12), ("alexnet", 5, 5), ("mlp_3x512", 4, 4), ("mlp_1x512", 2, 2)],
)
def test_layers_and_depth(name, layers, longest):
    # Inception: a convolution, eight modules of two, two of one, a linear layer.
    model = fold_batch_norm(network(name))
    assert len(weight_layers(model, IMAGE)) == layers
    assert depth(model, IMAGE) == longest


def test_frozen_layers_count_in_the_depth():
    model = mlp((1, 2, 2), 3, [5, 4])
    model[1].requires_grad_(False)
    model.register_parameter("steps", nn.Parameter(torch.zeros(1, dtype=torch.int64), requires_grad=False))
    assert depth(model, torch.zeros(1, 1, 2, 2)) == 3
    assert [each.requires_grad for each in model[1].parameters()] == [False, False]


class Standardised(nn.Linear):
    """The scale of its weights is divided out again."""

    def forward(self, x):
        return nn.functional.linear(x, self.weight / self.weight.std(), self.bias)


class Projected(nn.Module):
    """Weights in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("projection", torch.rand(8, 8))

    def forward(self, x):
        return x @ self.projection


class Normalised(nn.Module):
    def forward(self, x):
        return x / x.norm(dim=1, keepdim=True)


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


FROM_NORMS = ["frobenius_product", "spectral_product", "kernel_spectral_product", "path_norm", "spectral_bound"]


@pytest.mark.parametrize(
    ("layers", "defined"),
    [
        ([nn.LeakyReLU()], True),
        ([Residual(nn.Linear(8, 8), nn.ReLU()), nn.Unflatten(1, (4, 2)), nn.MaxPool1d(2), nn.Flatten()], True),
        ([nn.Unflatten(1, (8, 1, 1)), nn.LocalResponseNorm(2), nn.Flatten(), nn.ReLU()], True),
        ([nn.LayerNorm(8, elementwise_affine=False), nn.ReLU()], False),
        ([nn.GroupNorm(2, 8, affine=False), nn.ReLU()], False),
        ([nn.Tanh()], False),
        ([nn.ReLU6()], False),
        ([nn.GELU()], False),
        ([nn.Softmax(1)], False),
        ([nn.ReLU(), Standardised(8, 8)], False),
        ([nn.ReLU(), Projected()], False),
    ],
    ids=lambda each: each[-1]._get_name() if isinstance(each, list) else str(each),
)
def test_norms_mean_something_where_a_factor_comes_out(layers, defined):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), *layers, nn.LazyLinear(3)).eval()
    inputs = torch.randn(10, 3, 2, 2)
    labels = model(inputs).argmax(1)  # so that they are fitted
    initial = copy.deepcopy(model)
    nn.init.zeros_(initial[1].weight)
    found = measure_complexity(Network(model, initial, inputs, labels, 10, 1, 0))
    assert [found[name] is not None for name in FROM_NORMS] == [defined] * 5
    assert (found["fisher_rao"] is None) == (Projected in map(type, layers))
    assert found["inverse_margin"] is not None


def test_norms_mean_nothing_where_a_network_without_biases_has_no_logits():
    """0 / 0, though its own logits are finite."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), Normalised(), nn.Linear(8, 3)).eval()
    nn.init.zeros_(model[1].weight)
    nn.init.ones_(model[1].bias)
    images = torch.randn(4, 3, 2, 2)
    assert model(images).isfinite().all()
    assert not is_homogeneous(model, images)


def test_what_is_in_the_way_of_norms_has_a_name():
    model = Projected()
    assert beyond_norms(nn.Sequential(model)) == ["0 (Projected)"]
    assert beyond_norms(model) == ["Projected"]


# --- measures on images -------------------------------------------------------------------------------


def test_margin_is_the_tenth_percentile():
    logits = torch.zeros(11, 3, dtype=torch.float64)
    logits[:, 1] = torch.arange(11)
    logits[:, 2] = 1.0
    labels = torch.ones(11, dtype=torch.int64)
    assert margin_percentile(logits, labels) == pytest.approx(np.percentile(np.arange(11) - 1.0, 10))


def biased_mlp(biases):
    model = mlp((3, 10, 10), 4, [5, 6])
    for module in model:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.bias, std=biases)
    return model


@pytest.mark.parametrize(
    "construct",
    [
        lambda: biased_mlp(0.0),
        lambda: biased_mlp(1.0).requires_grad_(False),
        lambda: fold_batch_norm(trained_statistics(network())),  # large biases, and paths of several lengths
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(300, 8), Residual(nn.Linear(8, 8), nn.Tanh()), nn.Linear(8, 4)),
        lambda: network("alexnet"),  # whose derivatives local response normalisation computes itself
    ],
    ids=["no biases", "frozen", "batch normalisation", "paths of two lengths", "alexnet"],
)
def test_fisher_rao_is_the_derivative_along_all_parameters(construct):
    """Against the difference of the losses with all parameters a little larger and a little smaller."""
    torch.manual_seed(0)
    model = construct().eval()
    images, labels, step = torch.randn(6, 3, 10, 10), torch.arange(6) % 4, 1e-5
    losses = []
    for factor in (1 + step, 1 - step):
        scaled = copy.deepcopy(model).double()
        with torch.no_grad():
            for parameter in scaled.parameters():
                parameter.mul_(factor)
            losses.append(nn.functional.cross_entropy(scaled(images.double()), labels, reduction="none"))
    expected = float(((losses[0] - losses[1]) / (2 * step)).square().mean().sqrt())
    assert fisher_rao(model, images, labels) == pytest.approx(expected, rel=1e-3)


def test_fisher_rao_of_equal_paths_without_biases_is_depth_times_the_derivative_along_the_logits():
    """Theorem 3.1 of Liang et al. (2019)."""
    torch.manual_seed(0)
    model, images, labels = biased_mlp(0.0).double(), torch.randn(6, 3, 10, 10).double(), torch.arange(6) % 4
    logits = model(images).detach()
    derivative = torch.softmax(logits, 1) - nn.functional.one_hot(labels, 4)
    expected = 3 * float((derivative * logits).sum(1).square().mean().sqrt())
    assert fisher_rao(model, images, labels) == pytest.approx(expected)


def test_fisher_rao_of_a_forward_that_fixes_its_dtype():
    class Single(nn.Sequential):
        def forward(self, x):
            return super().forward(x.float())

    torch.manual_seed(0)
    model, images, labels = biased_mlp(1.0), torch.randn(6, 3, 10, 10), torch.arange(6) % 4
    assert fisher_rao(Single(model), images, labels) == pytest.approx(fisher_rao(model, images, labels), rel=1e-4)


def linear_classifier(scale=1.0):
    """Class 1 where the only input is positive."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[-scale], [scale]]))
        model[1].bias.zero_()
    return model


def test_largest_noise_raises_the_error_by_the_increase():
    """Two weights w and -w with noise s: their difference changes sign with probability P(Z > 2 w / (s root 2))."""
    inputs = torch.tensor([-1.0, 1.0]).repeat(50).reshape(-1, 1, 1, 1)
    labels = (inputs.flatten() > 0).long()
    found = largest_noise(linear_classifier(), inputs, labels, draws=200, seed=0)
    # With noise on the biases of the same size: error of x = +-1 is P(2 w + s N(0, 4) < 0) = 10 %.
    assert found == pytest.approx(2 / (1.2816 * 2), rel=0.1)


def test_noise_raises_the_error_beyond_that_without_noise():
    """Where a fifth of the labels is wrong, a share f of changed predictions adds 0.6 f; z is 0.9674 at f = 1 / 6."""
    inputs = torch.tensor([-1.0, 1.0]).repeat(50).reshape(-1, 1, 1, 1)
    labels = (inputs.flatten() > 0).long()
    labels[:20] = 1 - labels[:20]
    found = largest_noise(linear_classifier(), inputs, labels, draws=200, seed=0)
    assert found == pytest.approx(1 / 0.9674, rel=0.1)


def test_relative_noise_does_not_see_the_scale():
    inputs = torch.randn(50, 1, 1, 1)
    labels = (inputs.flatten() > 0).long()
    small, large = (
        largest_noise(linear_classifier(scale), inputs, labels, 20, 0, relative=True) for scale in (1.0, 8.0)
    )
    assert small == pytest.approx(large)
    small, large = (largest_noise(linear_classifier(scale), inputs, labels, 20, 0) for scale in (1.0, 8.0))
    assert large == pytest.approx(8 * small, rel=0.05)


def test_a_network_that_no_noise_makes_worse_has_no_sharpness(capsys):
    """One that fits nothing would be the simplest of all."""
    inputs = torch.rand(10, 3, 10, 10)
    one = nn.Sequential(nn.Flatten(), nn.Linear(300, 1))
    assert largest_noise(one, inputs, torch.zeros(10, dtype=torch.int64), 2, 0) == math.inf
    model = network("mlp_1x512").eval()
    labels = (model(inputs).argmax(1) + 1) % 4
    found = measure_complexity(Network(model, copy.deepcopy(model), inputs, labels, n=10, draws=1, seed=0))
    assert (found["sharpness"], found["relative_sharpness"]) == (None, None)
    assert "sharpness: undefined, because no noise raises the training error by 10 points" in capsys.readouterr().out


def test_a_measure_that_is_not_finite_is_none():
    """The logarithm of a product of norms of which one is 0; JSON has no infinity."""
    model = network("mlp_1x512").eval()
    nn.init.zeros_(model[1].weight)
    found = measure_complexity(Network(model, network("mlp_1x512"), IMAGE, torch.zeros(1, dtype=torch.int64), 1, 1, 0))
    assert [found[name] for name in ("frobenius_product", "spectral_product", "kernel_spectral_product")] == [None] * 3
    assert found["distance"] > 0


@pytest.mark.parametrize("name", ["inception", "alexnet", "mlp_3x512"])
def test_all_measures_of_all_networks(name):
    model, initial = trained_statistics(network(name, seed=1)), network(name, seed=0)
    inputs = torch.randn(12, 3, 10, 10)
    with torch.no_grad():
        labels = model(inputs).argmax(1)  # so that they are fitted
    found = measure_complexity(Network(model, initial, inputs, labels, n=40, draws=3, seed=0))
    assert list(found) == list(registry.names("measure"))
    folded = fold_batch_norm(model)
    kernels = [layer.module.weight.detach().flatten(1) for layer in weight_layers(folded, IMAGE)]
    for key, order in (("frobenius_product", "fro"), ("kernel_spectral_product", 2)):
        lengths = [float(torch.linalg.matrix_norm(kernel, order)) for kernel in kernels]
        assert found[key] == pytest.approx(sum(map(math.log10, lengths)), abs=1e-4)
    noise = largest_noise(folded, inputs, labels, 3, 0)
    assert found["sharpness"] == pytest.approx(-2 * math.log10(noise))
    assert all(math.isfinite(value) for value in found.values())
    assert found["parameters"] == parameter_count(model)


def test_measures_of_a_linear_classifier_by_hand():
    """Weights -3 and 3, at first -1 and 1, on inputs of length 2: all margins are 12, and R_A is 2 + 2."""
    model, initial = linear_classifier(3.0), linear_classifier()
    inputs = torch.tensor([-2.0, 2.0]).repeat(10).reshape(-1, 1, 1, 1)
    labels = (inputs.flatten() > 0).long()
    found = measure_complexity(Network(model, initial, inputs, labels, n=40, draws=10, seed=0))
    assert found["inverse_margin"] == pytest.approx(-math.log10(12))
    assert found["spectral_bound"] == pytest.approx(math.log10(2 * math.sqrt(40) * 4 / (12 * 40)))
    assert found["distance"] == pytest.approx(math.sqrt(8))
    for name in ("frobenius_product", "spectral_product", "kernel_spectral_product", "path_norm"):
        assert found[name] == pytest.approx(math.log10(math.sqrt(18)))
    # Logits of -6 and 6; the wrong class has a probability of 1 / (1 + e^12).
    assert found["fisher_rao"] == pytest.approx(math.log10(12 / (1 + math.exp(12))), rel=1e-4)
    for name, relative in (("sharpness", False), ("relative_sharpness", True)):
        noise = largest_noise(model, inputs, labels, 10, 0, relative)
        assert found[name] == pytest.approx(math.log10(1 / noise**2))


def test_an_auxiliary_head_is_not_measured():
    model, initial = linear_classifier(3.0), linear_classifier()
    inputs, labels = torch.ones(10, 1, 1, 1), torch.ones(10, dtype=torch.int64)
    without = measure_complexity(Network(model, initial, inputs, labels, n=10, draws=1, seed=0))
    for each in (model, initial):
        each.AuxLogits = nn.Identity()  # at the end of the network, where it changes no logit
        each.AuxLogits.fc = nn.Linear(2, 2)
    found = measure_complexity(Network(model, initial, inputs, labels, n=10, draws=1, seed=0))
    for name in ("parameters", "distance"):
        assert found[name] == without[name]


def test_network_that_has_not_fitted_its_labels_has_no_margin():
    model, inputs = network("mlp_1x512", seed=1), torch.randn(12, 3, 10, 10)
    with torch.no_grad():
        labels = (model(inputs).argmax(1) + 1) % 4
    wrong = measure_complexity(Network(model, network("mlp_1x512"), inputs, labels, n=40, draws=1, seed=0))
    assert {name for name, value in wrong.items() if value is None} == {
        *("inverse_margin", "spectral_bound"),
        *("sharpness", "relative_sharpness"),
    }


def test_network_of_equal_logits_has_no_margin():
    inputs, labels = torch.ones(10, 1, 1, 1), torch.zeros(10, dtype=torch.int64)
    equal = measure_complexity(Network(linear_classifier(0.0), linear_classifier(), inputs, labels, 10, 1, 0))
    assert equal["inverse_margin"] is None
    assert equal["spectral_bound"] is None


def test_scale_before_batch_norm_does_not_matter():
    """A factor that the normalisation divides out again must not change the norms of the folded network."""
    model = network()
    inputs = torch.randn(30, 3, 10, 10)
    model.train()
    for _ in range(10):
        model(inputs)  # running statistics
    found = []
    for factor in (1.0, 10.0):
        with torch.no_grad():
            block = model.features[0]
            block[0].weight.mul_(factor)
            block[0].bias.mul_(factor)
            block[1].running_mean.mul_(factor)
            block[1].running_var.mul_(factor**2)
        layers = weight_layers(fold_batch_norm(model), IMAGE)
        found.append(norms.log_product([norms.frobenius_norm(layer) for layer in layers]))
    assert found[1] == pytest.approx(found[0], abs=1e-3)
