"""A trained network in the form that measures of complexity need: without batch normalisation, layer by layer."""

import copy
import math
from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rethinking.models.alexnet import LocalResponseNorm
from rethinking.models.layers import hooked

FACTOR = 2.0**10  # a power of two, which changes no digit


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer of a network."""

    module: nn.Conv2d | nn.Linear
    input_shape: tuple[int, ...]  # of one image: (channels, height, width), or (features,)
    places: int  # at which each row of the weights is applied: output pixels, 1 for a linear layer


def fold_batch_norm(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode with each batch normalisation folded into the convolution before it.

    The two compute the same function, but only in the copy does the scale of the weights mean something:
    weights before a normalisation can be multiplied by any number without changing the function.
    A normalisation without running statistics stays, and so does one after a convolution that is used elsewhere too.
    """
    model = copy.deepcopy(model).eval()
    uses = Counter(child for block in model.modules() for child in block._modules.values())
    for block in model.modules():
        if not isinstance(block, nn.Sequential):
            continue
        for place in range(1, len(block)):
            convolution, norm = block[place - 1], block[place]
            if not (isinstance(norm, nn.BatchNorm2d) and isinstance(convolution, nn.Conv2d)):
                continue
            if norm.running_mean is not None and uses[convolution] == 1:
                fold(convolution, norm)
                block[place] = nn.Identity()
    return model


@torch.no_grad()
def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    """Scale a convolution's weights and bias as the normalisation after it does in evaluation mode."""
    scale = (norm.running_var + norm.eps).rsqrt()
    if convolution.bias is None:
        convolution.bias = nn.Parameter(torch.zeros_like(norm.running_mean))
    if norm.weight is not None:
        scale = scale * norm.weight
    convolution.weight.mul_(scale[:, None, None, None])
    convolution.bias.sub_(norm.running_mean).mul_(scale)
    if norm.bias is not None:
        convolution.bias.add_(norm.bias)


def beyond_parameters(folded: nn.Module) -> list[str]:
    """Layers of a folded network that compute with other numbers than parameters.

    These are batch normalisations that could not be folded, for example because they do not directly follow a
    convolution, and layers with numbers in a buffer.
    """
    return [
        described(name, module)
        for name, module in folded.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        or (not isinstance(module, LocalResponseNorm) and any(b.is_floating_point() for b in module.buffers(False)))
    ]


def beyond_norms(folded: nn.Module) -> list[str]:
    """Layers of a folded network for which norms of weights are undefined.

    These are those of :func:`beyond_parameters` and others with parameters that are neither convolutions nor linear.
    """
    others = [
        described(name, module)
        for name, module in folded.named_modules()
        if not isinstance(module, nn.Conv2d | nn.Linear) and list(module.parameters(recurse=False))
    ]
    return list(dict.fromkeys(beyond_parameters(folded) + others))


def described(name: str, module: nn.Module) -> str:
    """A layer as messages call it; the network itself has no name."""
    return f"{name} ({type(module).__name__})" if name else type(module).__name__


@torch.no_grad()
def is_homogeneous(folded: nn.Module, images: Tensor) -> bool:
    """Whether norms of weights mean something: without biases, a factor on what a layer gets or on its weights comes out.

    With rectified linear units, pooling, sums and concatenations it does; with other nonlinearities, attention or a
    normalisation without parameters it does not. Local response normalisation is left out, as in the path norm.

    Args:
        folded: a network in evaluation mode, without other layers with weights than convolutions and linear ones.
        images: (n, channels, height, width) on which it is tried.
    """

    def logits(factor: float) -> Tensor:
        model = drop_response_norm(copy.deepcopy(folded))
        layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        for layer in layers:
            layer.weight.mul_(factor)
            if layer.bias is not None:
                layer.bias.zero_()
        with hooked(layers, lambda _layer, _inputs, output: output / factor):
            return model(images * factor).double() / factor

    small, large = logits(1 / FACTOR), logits(FACTOR)
    return bool(((small - large).abs() <= 1e-3 * small.abs().max()).all())  # not with nan, of a division by 0


def drop_response_norm(model: nn.Module) -> nn.Module:
    """The network, now without local response normalisation, which has no weights."""
    for block in model.modules():
        for name, child in block.named_children():
            if isinstance(child, LocalResponseNorm | nn.LocalResponseNorm):
                setattr(block, name, nn.Identity())
    return model


@torch.no_grad()
def weight_layers(model: nn.Module, image: Tensor) -> list[Layer]:
    """The convolutions and linear layers in the order in which a network uses them.

    Args:
        model: a network in evaluation mode.
        image: (1, channels, height, width) of any values.
    """
    layers: list[Layer] = []

    def record(module: nn.Conv2d | nn.Linear, inputs: tuple[Tensor], output: Tensor) -> None:
        layers.append(Layer(module, tuple(inputs[0].shape[1:]), math.prod(output.shape[2:])))

    with hooked((m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)), record):
        model(image)
    return layers


def depth(model: nn.Module, image: Tensor) -> int:
    """Number of convolutions and linear layers, frozen ones too, on the longest path from the image to the logits."""
    model = copy.deepcopy(model)
    for parameter in model.parameters():  # as autograd notes no layer whose weights need no gradient
        parameter.requires_grad_(parameter.is_floating_point())
    with torch.enable_grad():
        root = model(image).grad_fn
    longest: dict[object, int] = {None: 0}
    pending = [root]
    while pending:
        node = pending[-1]
        before = [each for each, _ in node.next_functions]
        unknown = [each for each in before if each not in longest]
        if unknown:
            pending += unknown
            continue
        pending.pop()
        own = node.name() in ("ConvolutionBackward0", "AddmmBackward0", "MmBackward0")
        longest[node] = max((longest[each] for each in before), default=0) + own
    return longest[root]
