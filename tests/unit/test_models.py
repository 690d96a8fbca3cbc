"""The networks against the paper's numbers and against independent implementations."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rethinking import paper, registry
from rethinking.models import build_model, parameter_count, training_megaflops
from rethinking.models.alexnet import LocalResponseNorm, SameConv2d, SameMaxPool2d
from rethinking.models.inception import ConvModule
from rethinking.models.initialisation import initialise
from rethinking.run.files import UserError

MODELS = [name for name in registry.names("model") if name != "inception_v3"]  # it takes larger images

CIFAR_SHAPE = (3, 28, 28)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def layers(model):
    return [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


# --- all networks ---------------------------------------------------------------------------------


def build_on_meta(*arguments, **options):
    """A network on the meta device: shapes without numbers, which costs no time."""
    with torch.device("meta"):
        return build_model(*arguments, **options)


def test_parameter_counts_are_the_papers():
    expected = {row["model"]: row["params"] for row in paper.read("zhang2017")["table1"]}
    assert len(expected) == 5
    assert {name: parameter_count(build_on_meta(name, CIFAR_SHAPE, 10)) for name in expected} == expected


def test_the_cost_of_training_grows_with_the_pixels_of_an_image():
    assert training_megaflops("alexnet", 56) == 4 * training_megaflops("alexnet", 28) == 4 * 147


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [(7, 7), (24, 24), (28, 28), (32, 32), (9, 14)])
@pytest.mark.parametrize(("channels", "classes"), [(1, 10), (3, 100)])
def test_shapes(name, size, channels, classes):
    model = build_on_meta(name, (channels, *size), classes)
    assert model(torch.zeros(2, channels, *size, device="meta")).shape == (2, classes)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("inception", {"local_response_norm": True}, "it has batch_norm_affine, batch_norm_shift"),
        ("inception_no_bn", {"batch_norm_affine": True}, "it has none"),
    ],
)
def test_option_of_another_network(name, options, message):
    with pytest.raises(UserError, match=f"the network '{name}' has no option .*; {message}"):
        build_model(name, CIFAR_SHAPE, 10, **options)


@pytest.mark.parametrize(
    ("name", "option", "default"),
    [("inception", "batch_norm_affine", False), ("alexnet", "local_response_norm", True)],
)
def test_the_paper_is_the_default_of_an_option(name, option, default):
    assert str(build_on_meta(name, CIFAR_SHAPE, 10)) == str(build_on_meta(name, CIFAR_SHAPE, 10, **{option: default}))


def test_affine_batch_norm_adds_a_scale_and_a_shift_per_filter():
    model = build_on_meta("inception", CIFAR_SHAPE, 10, batch_norm_affine=True)
    filters = sum(module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d))
    assert parameter_count(model) == 1_649_402 + 2 * filters
    # The paper's figure 3: the first convolution, two in each of eight modules, one in each of two.
    assert filters == 96 + (64 + 80 + 160 + 160 + 160 + 144 + 336 + 336) + (80 + 96)


def test_alexnet_without_local_response_norm_is_a_plain_network():
    model = build_model("alexnet", CIFAR_SHAPE, 10, local_response_norm=False)
    initialise(model, "he_normal", generator())
    conv1, conv2, *linear = layers(model)
    x = images = torch.randn(3, *CIFAR_SHAPE, generator=generator())
    for conv in (conv1, conv2):
        x = F.conv2d(x, conv.weight, conv.bias, padding=2).clamp(min=0)
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2)
    x = x.flatten(1)
    for layer in linear[:-1]:
        x = (x @ layer.weight.T + layer.bias).clamp(min=0)
    with torch.no_grad():
        expected = x @ linear[-1].weight.T + linear[-1].bias
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)
    assert parameter_count(model) == 1_387_786


# --- layers ---------------------------------------------------------------------------------------


def padding_before(size, kernel, stride):
    """SAME padding as in TensorFlow's documentation; the odd pixel goes at the end."""
    left_over = size % stride
    return max(kernel - stride if left_over == 0 else kernel - left_over, 0) // 2


def windows(image, kernel, stride, fill):
    """The SAME windows of a (channels, height, width) image: (rows, columns, channels, kernel, kernel)."""
    channels, height, width = image.shape
    padded = np.full((channels, height + 2 * kernel, width + 2 * kernel), fill)
    padded[:, kernel : kernel + height, kernel : kernel + width] = image
    starts = [
        [place * stride - padding_before(size, kernel, stride) + kernel for place in range(-(-size // stride))]
        for size in (height, width)
    ]
    return np.array([[padded[:, y : y + kernel, x : x + kernel] for x in starts[1]] for y in starts[0]])


SIZES = [(7, 7), (8, 8), (7, 10), (28, 5), (1, 2)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2), (3, 3)])
def test_same_convolution(size, kernel, stride):
    layer = SameConv2d(2, 3, kernel, stride).double()
    image = torch.randn(2, *size, dtype=torch.float64, generator=generator())
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    expected = np.einsum("yxckl,ockl->oyx", windows(image.numpy(), kernel, stride, 0.0), weight)
    result = layer(image[None])[0].detach().numpy()
    np.testing.assert_allclose(result, expected + bias[:, None, None], atol=1e-12)


def test_same_convolution_refuses_even_kernels():
    with pytest.raises(ValueError, match="odd"):
        SameConv2d(1, 1, 2)


@pytest.mark.parametrize("size", SIZES)
def test_same_pooling(size):
    # Negative values: padding with zeros would show.
    image = -1 - torch.rand(2, *size, dtype=torch.float64, generator=generator())
    expected = windows(image.numpy(), 3, 2, -np.inf).max((3, 4)).transpose(2, 0, 1)
    np.testing.assert_array_equal(SameMaxPool2d()(image[None])[0].numpy(), expected)


def test_local_response_norm():
    layer = LocalResponseNorm(64)
    stock = nn.LocalResponseNorm(9, alpha=1e-3, beta=0.75, k=1.0)
    # Large enough for the denominator to matter.
    x = 30 * torch.randn(2, 64, 5, 6, generator=generator())
    expected = stock(x)
    assert (x / expected).median() > 1.3
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)
    # bfloat16 rounds by up to 2^-9: input, its square, their sum, the factor and the result,
    # where the exponent of 0.75 weakens the first three.
    low = layer(x.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), expected, rtol=6 * 2**-9, atol=0)


def test_gradient_of_local_response_norm():
    x = (30 * torch.randn(2, 64, 5, 6, generator=generator(), dtype=torch.float64)).requires_grad_()
    upstream = torch.randn(x.shape, generator=generator(1))
    stock = nn.LocalResponseNorm(9, alpha=1e-3, beta=0.75, k=1.0)
    expected, ours = (
        torch.autograd.grad((layer(x.float()) * upstream).sum(), x)[0] for layer in (stock, LocalResponseNorm(64))
    )
    # The part that comes through the denominator matters.
    assert (expected / upstream - stock(x) / x).abs().max() > 0.1
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)


# --- the small Inception --------------------------------------------------------------------------


def same(x, kernel, value):
    """Pad for a window that moves by two."""
    widths = []
    for size in (x.shape[3], x.shape[2]):
        before = padding_before(size, kernel, 2)
        after = (-(-size // 2) - 1) * 2 + kernel - size - before
        widths += [before, after]
    return F.pad(x, widths, value=value)


def figure3(x, model, training):
    """The network as figure 3 draws it, from the weights and statistics of ``model`` in their order."""
    convolutions = iter([module for module in model.modules() if isinstance(module, nn.Conv2d)])
    norms = iter([module for module in model.modules() if isinstance(module, nn.BatchNorm2d)])
    batch_norm = any(isinstance(module, nn.BatchNorm2d) for module in model.modules())

    def conv_module(x, filters, kernel, stride):
        layer = next(convolutions)
        assert layer.weight.shape == (filters, x.shape[1], kernel, kernel)
        if stride == 2:
            x = same(x, kernel, 0.0)
        x = F.conv2d(x, layer.weight, layer.bias, stride, kernel // 2 if stride == 1 else 0)
        if batch_norm:
            norm = next(norms)
            mean, variance = norm.running_mean[:, None, None], norm.running_var[:, None, None]
            if training:
                mean = x.mean((0, 2, 3), keepdim=True)
                variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
            x = (x - mean) / torch.sqrt(variance + 1e-5)
            if norm.bias is not None:
                x = x + norm.bias[:, None, None]
        return x.clamp(min=0)

    def inception_module(x, ch1, ch3):
        return torch.cat([conv_module(x, ch1, 1, 1), conv_module(x, ch3, 3, 1)], 1)

    def downsample_module(x, ch3):
        return torch.cat([conv_module(x, ch3, 3, 2), F.max_pool2d(same(x, 3, -torch.inf), 3, 2)], 1)

    x = conv_module(x, 96, 3, 1)
    x = inception_module(x, 32, 32)
    x = inception_module(x, 32, 48)
    x = downsample_module(x, 80)
    x = inception_module(x, 112, 48)
    x = inception_module(x, 96, 64)
    x = inception_module(x, 80, 80)
    x = inception_module(x, 48, 96)
    x = downsample_module(x, 96)
    x = inception_module(x, 176, 160)
    x = inception_module(x, 176, 160)
    assert x.shape[1:] == (336, 7, 7)
    x = F.avg_pool2d(x, 7).flatten(1)
    assert not list(convolutions)
    assert not list(norms)
    return x @ model.classifier.weight.T + model.classifier.bias


@pytest.mark.parametrize(
    ("name", "options"),
    [("inception", {}), ("inception", {"batch_norm_shift": True}), ("inception_no_bn", {})],
)
@pytest.mark.parametrize("training", [False, True])
def test_inception_is_that_of_figure_3(name, options, training):
    model = build_model(name, CIFAR_SHAPE, 10, **options).double()
    assert parameter_count(model) == 1_649_402
    initialise(model, "he_normal", generator())
    for module in model.modules():
        if getattr(module, "bias", None) is not None:
            nn.init.normal_(module.bias, generator=generator(1))
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator(2))
            module.running_var.uniform_(0.5, 2, generator=generator(3))
    x = torch.randn(3, *CIFAR_SHAPE, dtype=torch.float64, generator=generator())
    model.train(training)
    with torch.no_grad():
        expected = figure3(x, model, training)
        torch.testing.assert_close(model(x), expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 0.1  # logits that differ


def test_a_shift_starts_at_zero_and_is_either_alone_or_with_a_scale():
    model = build_model("inception", CIFAR_SHAPE, 10, batch_norm_shift=True)
    shifts = [module.bias for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(shifts) == 19
    for shift in shifts:
        nn.init.ones_(shift)
    initialise(model, "he_normal", generator())
    assert not any(shift.any() for shift in shifts)
    with pytest.raises(UserError, match="batch_norm_affine or batch_norm_shift, not both"):
        build_model("inception", CIFAR_SHAPE, 10, batch_norm_shift=True, batch_norm_affine=True)


@pytest.mark.parametrize("affine", [False, True])
def test_bias_before_batch_norm_is_left_out_in_training_without_a_difference(affine):
    """Against the layers one after the other: outputs, gradients and running statistics."""
    module = ConvModule(3, 5, 3, 2, lambda channels: [nn.BatchNorm2d(channels, affine=affine)]).double()
    nn.init.normal_(module[0].bias, generator=generator(1))
    plain = nn.Sequential(*copy.deepcopy(module))
    x = torch.randn(4, 3, 6, 6, dtype=torch.float64, generator=generator())
    for training in (True, True, False):
        outputs = [each.train(training)(x) for each in (module, plain)]
        torch.testing.assert_close(*outputs)
        for each, output in zip((module, plain), outputs, strict=True):
            each.zero_grad()
            output.square().sum().backward()
        torch.testing.assert_close(module[0].weight.grad, plain[0].weight.grad)
        for name, running in module[1].named_buffers():
            torch.testing.assert_close(running, plain[1].get_buffer(name))
        if training:
            assert module[0].bias.grad is None
            assert plain[0].bias.grad.abs().max() < 1e-12
