"""Norms of weights against their definitions written out."""

import copy
import itertools
import math

import pytest
import torch
from torch import nn

from rethinking.measures import norms
from rethinking.measures.folding import weight_layers
from rethinking.models import build_model
from rethinking.models.layers import SameConv2d
from rethinking.models.mlp import mlp


def as_matrix(module, shape):
    """A layer without its bias as a matrix, column by column."""
    units = torch.eye(math.prod(shape)).reshape(-1, *shape)
    with torch.no_grad():
        return (module(units) - module(torch.zeros(1, *shape))).flatten(1).T.double()


def only_layer(module, shape):
    (layer,) = weight_layers(module, torch.zeros(1, *shape))
    return layer


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(3, 1, 5), (3, 2, 5), (3, 1, 12), (3, 2, 9), (5, 1, 8), (5, 3, 10)]
)
def test_operator_norm_is_that_of_the_convolution_as_a_matrix(kernel, stride, size):
    torch.manual_seed(0)
    module = SameConv2d(2, 3, kernel, stride)
    layer = only_layer(module, (2, size, size))
    expected = float(torch.linalg.matrix_norm(as_matrix(module, (2, size, size)), 2))
    assert norms.operator_norm(layer) == pytest.approx(expected, rel=2e-6)
    assert norms.operator_norm(layer) > 1.01 * norms.kernel_norm(layer)
    assert layer.places == math.ceil(size / stride) ** 2


def test_operator_norm_where_many_singular_values_are_close():
    """Where a power iteration takes long, and ends too low if it ends when it changes little."""
    torch.manual_seed(0)
    module = SameConv2d(1, 1, 3)
    with torch.no_grad():
        module.weight.fill_(1 / 9)
        module.weight[0, 0, 1, 1] -= 1
    expected = float(torch.linalg.matrix_norm(as_matrix(module, (1, 24, 24)), 2))
    assert norms.operator_norm(only_layer(module, (1, 24, 24))) == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 0.0), (math.nan, math.nan), (math.inf, math.nan)])
@pytest.mark.parametrize("size", [4, 10])
def test_operator_norm_without_or_with_impossible_weights(weight, expected, size):
    module = SameConv2d(2, 3, 3)
    nn.init.constant_(module.weight, weight)
    layer = norms.Layer(module, (2, size, size), size**2)
    assert norms.operator_norm(layer) == pytest.approx(expected, nan_ok=True)


@pytest.mark.gpu
def test_operator_norm_on_a_gpu():
    torch.manual_seed(0)
    module = SameConv2d(3, 4, 5, 2)
    on_cpu = norms.operator_norm(only_layer(module, (3, 12, 12)))
    on_gpu = norms.operator_norm(norms.Layer(module.cuda(), (3, 12, 12), 36))
    assert on_gpu == pytest.approx(on_cpu, rel=1e-9)


def test_operator_norm_of_a_1x1_convolution_is_that_of_its_kernel():
    layer = only_layer(SameConv2d(4, 6, 1), (4, 5, 5))
    assert norms.operator_norm(layer) == pytest.approx(norms.kernel_norm(layer), rel=2e-6)


def test_path_norm_is_the_sum_over_all_paths():
    torch.manual_seed(0)
    model = mlp((1, 1, 3), 2, [4, 2])
    first, second, third = (m for m in model if isinstance(m, nn.Linear))
    total = 0.0
    for c, b, a, x in itertools.product(range(2), range(2), range(4), range(3)):
        total += (third.weight[c, b] * second.weight[b, a] * first.weight[a, x]).item() ** 2
    for c, b, a in itertools.product(range(2), range(2), range(4)):
        total += (third.weight[c, b] * second.weight[b, a] * first.bias[a]).item() ** 2
    for c, b in itertools.product(range(2), range(2)):
        total += (third.weight[c, b] * second.bias[b]).item() ** 2
    total += third.bias.square().sum().item()
    assert norms.path_norm(model, torch.rand(1, 1, 1, 3)) == pytest.approx(math.log10(total) / 2)


def test_path_norm_of_a_network_that_fixes_a_dtype():
    class Fixed(nn.Sequential):
        def forward(self, x):
            return super().forward(x.float())

    model = mlp((1, 1, 3), 2, [4, 2])
    image = torch.rand(1, 1, 1, 3)
    assert norms.path_norm(Fixed(*model), image) == pytest.approx(norms.path_norm(model, image), abs=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(4, 2), (1, 4)),
        (nn.Linear(4, 2, bias=False), (1, 4)),
        (nn.Conv2d(3, 2, 3), (1, 3, 4, 4)),
        (nn.Conv2d(3, 2, 3, bias=False), (1, 3, 4, 4)),
        (nn.BatchNorm2d(3).eval(), (1, 3, 4, 4)),
        (nn.LayerNorm(4), (1, 4)),
        (nn.PReLU(), (1, 4)),
        (nn.MultiheadAttention(4, 1), (1, 4)),
        (nn.LSTM(4, 2), (1, 4)),
    ],
)
def test_each_layer_that_gets_another_dtype_keeps_its_own(layer, shape):
    def types(model, x):
        x = x.float()
        model(*[x] * (3 if isinstance(model, nn.MultiheadAttention) else 1))
        return {each.dtype for each in model.parameters()}

    assert norms.in_float64(types, layer, torch.rand(shape)) == {torch.float32}


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError(
            "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED\nYou can try\nx = torch.randn([1], dtype=torch.double)"
        ),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("any other"),
    ],
)
def test_short_memory_and_what_else_fails_is_no_forward_that_fixes_a_dtype(error):
    class Full(nn.Sequential):
        def forward(self, x):
            if x.dtype == torch.float64:
                raise error
            return super().forward(x)

    with pytest.raises(RuntimeError) as raised:
        norms.path_norm(Full(*mlp((1, 1, 3), 2, [4, 2])), torch.rand(1, 1, 1, 3))
    assert raised.value is error


def test_spectral_complexity_is_the_formula_on_matrices():
    torch.manual_seed(0)
    model = nn.Sequential(SameConv2d(1, 2, 1), nn.Flatten(), nn.Linear(8, 3))
    layers = weight_layers(model, torch.zeros(1, 1, 2, 2))
    reference = [torch.randn_like(layer.module.weight) for layer in layers]
    matrices = [as_matrix(model[0], (1, 2, 2)), model[2].weight.detach().double()]
    with torch.no_grad():
        other = SameConv2d(1, 2, 1)
        other.weight.copy_(reference[0])
    references = [as_matrix(other, (1, 2, 2)), reference[1].double()]
    spectral = [torch.linalg.matrix_norm(a, 2) for a in matrices]
    total = sum(
        (torch.linalg.vector_norm(a - m, dim=1).sum() / s) ** (2 / 3)
        for a, m, s in zip(matrices, references, spectral, strict=True)
    )
    expected = math.log10(spectral[0] * spectral[1] * total**1.5)
    found = norms.spectral_complexity(layers, reference, [norms.operator_norm(layer) for layer in layers])
    assert found == pytest.approx(expected, rel=1e-4)


def test_distance_is_over_all_weights_and_no_biases():
    initial = build_model("mlp_1x512", (3, 10, 10), 4)
    model = copy.deepcopy(initial)
    with torch.no_grad():
        model[1].weight[0, :3] += torch.tensor([1.0, 2.0, 2.0])
        model[3].weight[1, 1] += 4.0
        model[3].bias += 7.0
    assert norms.distance_from_initialisation(model, initial) == pytest.approx(5.0, rel=1e-5)
