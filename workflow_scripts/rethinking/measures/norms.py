"""Norms of a network's weights from which bounds on the generalisation error are built, in float64.

Products over layers are returned as decimal logarithms. As usual for these measures (Jiang et al. 2020),
a product is over all layers with weights, whether in series or in parallel; pooling and
local response normalisation have no weights. Biases count only in the path norm.
"""

import copy
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rethinking.measures.folding import Layer, drop_response_norm
from rethinking.models import AUXILIARY_HEAD

TOLERANCE = 1e-6  # largest relative error of the square of an operator norm
SMALL = 64  # the map of a convolution with at most so many inputs is formed as a matrix
# All that torch says where types differ, or are not those of an operation, names a type. So do the lines by which cuDNN's
# errors can be repeated, whatever went wrong.
OTHER_TYPE = re.compile("(?!cudnn).*(dtype|datatype|float|double)", re.IGNORECASE | re.DOTALL)


def distance_from_initialisation(model: nn.Module, initial: nn.Module) -> float:
    """Frobenius distance of all convolution and linear weights from their initial values."""
    square = sum(
        float((weight.double() - other.double()).square().sum())
        for weight, other in zip(weights(model), weights(initial), strict=True)
    )
    return math.sqrt(square)


def weights(model: nn.Module) -> list[Tensor]:
    """The weights of the convolutions and linear layers, without biases and without those of an auxiliary head."""
    return [
        module.weight.detach()
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and not name.startswith(AUXILIARY_HEAD)
    ]


def frobenius_norm(layer: Layer) -> float:
    """Frobenius norm of a layer's weights; of a convolution, those of its kernel."""
    return float(torch.linalg.vector_norm(layer.module.weight.detach().double()))


def kernel_norm(layer: Layer) -> float:
    """Spectral norm of the weights as a matrix; a convolution's kernel is reshaped to (out, in x height x width)."""
    return float(torch.linalg.matrix_norm(layer.module.weight.detach().double().flatten(1), 2))


def operator_norm(layer: Layer) -> float:
    """Largest factor by which a layer lengthens an input: its largest singular value as a linear map.

    For a convolution it is found by Lanczos iteration on the map itself, at its image size, with its padding and
    stride; the norm of the reshaped kernel (:func:`kernel_norm`) is a different number. nan if a weight is not finite.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh  # imported here: planning does not need it

    if isinstance(layer.module, nn.Linear):
        return kernel_norm(layer)
    module = copy.deepcopy(layer.module).double().requires_grad_(False)
    module.bias = None
    if not module.weight.isfinite().all():
        return math.nan
    size = math.prod(layer.input_shape)
    if size <= SMALL:
        units = torch.eye(size, dtype=torch.float64, device=module.weight.device)
        matrix = module(units.reshape(size, *layer.input_shape)).flatten(1)
        return float(torch.linalg.matrix_norm(matrix, 2))

    @torch.enable_grad()
    def gram(vector: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(vector.reshape(1, *layer.input_shape)).to(module.weight.device).requires_grad_()
        (twice,) = torch.autograd.grad(module(x).square().sum(), x)
        return (twice / 2).cpu().numpy().ravel()

    # Any start that is not orthogonal to the singular vector will do; a fixed one gives the same digits each time.
    start = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()
    if not gram(start).any():
        return 0.0
    operator = LinearOperator((size, size), matvec=gram, dtype=np.float64)
    (square,) = eigsh(operator, k=1, v0=start, tol=TOLERANCE, return_eigenvectors=False)
    return math.sqrt(square)


def log_product(values: Sequence[float]) -> float:
    """Decimal logarithm of a product; minus infinity if a factor is 0."""
    return sum(math.log10(value) if value > 0 else -math.inf for value in values)


def path_norm(model: nn.Module, image: Tensor) -> float:
    """Decimal logarithm of the l2 path norm (Neyshabur, Salakhutdinov and Srebro 2015).

    The root of the sum over all paths from an input to a logit of the squared product of the weights
    along it; a bias is an edge from a unit that is 1. Computed as a forward pass of ones through the network
    with squared weights, with pooling as it is and without local response normalisation. In float64, or in the network's
    own precision where its forward takes no other.

    Args:
        model: a network without batch normalisation, in evaluation mode.
        image: (1, channels, height, width) of any values.
    """
    total = in_float64(sum_over_paths, model, torch.ones_like(image))
    return 0.5 * math.log10(total) if total > 0 else -math.inf


def in_float64(compute: Callable[..., float], model: nn.Module, inputs: Tensor, *others: Any) -> float:
    """What a function gives for a copy of a network in float64, or in its own precision where its forward takes no other.

    Any error but that of a type is raised: where memory is short, say, float32 would still fit and pass as float64.
    """
    try:
        return compute(copy.deepcopy(model).double(), inputs.double(), *others)
    except (RuntimeError, ValueError) as error:
        if not OTHER_TYPE.match(str(error)):
            raise
    return compute(copy.deepcopy(model), inputs, *others)  # forward fixes a dtype, as x.float() does


@torch.no_grad()
def sum_over_paths(squared: nn.Module, ones: Tensor) -> float:
    """The sum of all logits of a network, whose weights are squared in place and whose normalisations are left out."""
    drop_response_norm(squared)
    for parameter in squared.parameters():
        parameter.square_()
    return float(squared(ones).sum())


def spectral_complexity(layers: Sequence[Layer], reference: Sequence[Tensor], norms: Sequence[float]) -> float:
    """Decimal logarithm of R_A in equation 1.2 of Bartlett, Foster and Telgarsky (2017).

    R_A = prod_i s_i x (sum_i (b_i / s_i)^(2/3))^(3/2), with s_i the operator norm of layer i and b_i the sum over
    its output units of the l2 norms of their incoming weights minus the reference's. A convolution counts as the
    matrix that it represents, with rows as if none were cut off at the border.

    Args:
        layers: those of a network without batch normalisation.
        reference: weights that do not depend on the data, one for each layer and of its shape.
        norms: the operator norm of each layer.
    """
    if min(norms) == 0:
        return -math.inf
    total = 0.0
    for layer, other, norm in zip(layers, reference, norms, strict=True):
        rows = (layer.module.weight.detach() - other).double().flatten(1)
        total += (layer.places * float(torch.linalg.vector_norm(rows, dim=1).sum()) / norm) ** (2 / 3)
    return log_product(norms) + (1.5 * math.log10(total) if total > 0 else -math.inf)
