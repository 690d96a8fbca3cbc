"""Measures of complexity, most of them proposed after the paper, on the networks that it trains.

The paper ends with the statement that no formal measure is known under which these networks are simple; section 2.2
names bounds by norms of the weights (Neyshabur et al. 2015), which do not seem to explain generalisation either. Each
measure here is larger for networks that its source calls more complex, so a measure that explained generalisation
would grow with the gap. All but the number of parameters and the distance are measured on the network with its batch
normalisation folded into the convolutions; margins, the Fisher-Rao norm and sharpness on some of the training images.
Those built from norms of weights are defined for networks whose weights are in convolutions and linear layers alone, with
rectified linear units or what else lets a positive factor through; the Fisher-Rao norm is for all that compute with no
other numbers than their parameters.
"""

import copy
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rethinking import registry
from rethinking.measures import norms
from rethinking.measures.folding import (
    Layer,
    beyond_norms,
    beyond_parameters,
    fold_batch_norm,
    is_homogeneous,
    weight_layers,
)
from rethinking.measures.sharpness import INCREASE, largest_noise
from rethinking.models import parameter_count
from rethinking.registry import measure
from rethinking.run.files import UserError

MARGIN_PERCENTILE = 10  # Jiang et al. 2020
TRIED = 16  # images on which the assumptions of norms are tried


class Undefined(UserError):
    """Why a measure is not defined for a network."""


@dataclass
class Network:
    """A trained network and what several measures need of it.

    Args:
        model: the trained network.
        initial: the same network with its initial weights.
        inputs: (m, channels, height, width), of the training set.
        labels: (m,) as given in training.
        n: images in the training set.
        draws: of the noise for sharpness.
        seed: of that noise.
        initial_sees_images: whether the initial weights depend on training images.
    """

    model: nn.Module
    initial: nn.Module
    inputs: Tensor
    labels: Tensor
    n: int
    draws: int
    seed: int
    initial_sees_images: bool = False

    @cached_property
    def folded(self) -> nn.Module:
        """The network with its batch normalisation folded into its convolutions."""
        return fold_batch_norm(self.model)

    @cached_property
    def logits(self) -> Tensor:
        """(m, classes) in float64."""
        with torch.inference_mode():
            return torch.cat([self.folded(block).double() for block in self.inputs.split(1000)])

    @cached_property
    def margin(self) -> float:
        """Tenth percentile of the margins.

        Raises:
            Undefined: less than nine tenths of the images are fitted.
        """
        margin = margin_percentile(self.logits, self.labels)
        if margin <= 0:
            raise Undefined("less than nine tenths of the images are fitted")
        return margin

    @cached_property
    def layers(self) -> list[Layer]:
        """The convolutions and linear layers of the folded network.

        Raises:
            Undefined: it has other layers with weights, or nonlinearities that do not let factors through.
        """
        if others := beyond_norms(self.folded):
            raise Undefined(f"the network has {', '.join(others)} besides convolutions and linear layers")
        if not is_homogeneous(self.folded, self.inputs[:TRIED]):
            raise Undefined(
                "the logits do not scale with the images and the weights of each layer, as with another nonlinearity than "
                "ReLU and its like, a normalisation without parameters or a constant"
            )
        return weight_layers(self.folded, self.inputs[:1])

    @cached_property
    def operator_norms(self) -> list[float]:
        """The operator norm of each layer."""
        return [norms.operator_norm(layer) for layer in self.layers]


def measure_complexity(network: Network) -> dict[str, float | None]:
    """All registered measures of one network by name, None where one is undefined or not finite; the log says why."""
    found: dict[str, float | None] = {}
    for entry in registry.entries("measure"):
        # A plug-in's may change what it is given, for example take a step, which the next one must not see.
        given = copy.deepcopy(network) if entry.own else network
        try:
            value = entry.number(entry.call(network=given))
            found[entry.name] = value if math.isfinite(value) else None
            print(f"{entry.name}: {value}")
        except Undefined as error:
            found[entry.name] = None
            print(f"{entry.name}: undefined, because {error}")
    return found


# ---- the measures, in the order in which tables show them


@measure("parameters", title="number of parameters", source="Zhang et al. 2017, table 1", logarithmic=False)
def parameters(network: Network) -> float:
    """Number of trainable parameters."""
    return parameter_count(network.model)


@measure("distance", title="distance from initialisation", source="Nagarajan and Kolter 2019", logarithmic=False)
def distance(network: Network) -> float:
    """Distance of the weights from the initial ones."""
    return norms.distance_from_initialisation(network.model, network.initial)


@measure("frobenius_product", title="product of Frobenius norms", source="Neyshabur et al. 2015")
def frobenius_product(network: Network) -> float:
    """Product of the layers' Frobenius norms."""
    return norms.log_product([norms.frobenius_norm(layer) for layer in network.layers])


@measure("spectral_product", title="product of operator norms", source="Bartlett et al. 2017")
def spectral_product(network: Network) -> float:
    """Product of the layers' operator norms."""
    return norms.log_product(network.operator_norms)


@measure("kernel_spectral_product", title="product of kernels' spectral norms", source="Yoshida and Miyato 2017")
def kernel_spectral_product(network: Network) -> float:
    """Product of the spectral norms of the layers' kernels as matrices."""
    return norms.log_product([norms.kernel_norm(layer) for layer in network.layers])


@measure("path_norm", title="path norm", source="Neyshabur et al. 2015")
def path_norm(network: Network) -> float:
    """Sum over all paths of the products of squared weights, its root."""
    _ = network.layers  # which must be convolutions and linear layers
    return norms.path_norm(network.folded, network.inputs[:1])


@measure("inverse_margin", title="inverse margin", source="Jiang et al. 2020")
def inverse_margin(network: Network) -> float:
    """One over the margin."""
    return -math.log10(network.margin)


@measure("spectral_bound", title="spectral bound with margin", source="Bartlett et al. 2017")
def spectral_bound(network: Network) -> float:
    """Theorem 1.1 without the logarithm of the width: |X| R_A / (margin n), with |X| = sqrt(n) root mean square."""
    if network.initial_sees_images:
        raise Undefined("the initial weights depend on the images, and the reference of the bound must not")
    initial = weight_layers(network.initial.eval(), network.inputs[:1])
    reference = [layer.module.weight.detach() for layer in initial]
    complexity = norms.spectral_complexity(network.layers, reference, network.operator_norms)
    norm_of_images = float(network.inputs.double().flatten(1).square().sum(1).mean().sqrt())
    return complexity + math.log10(norm_of_images / (math.sqrt(network.n) * network.margin))


@measure("fisher_rao", title="Fisher–Rao norm", source="Liang et al. 2019")
def fisher_rao_norm(network: Network) -> float:
    """The Fisher-Rao norm of the folded network."""
    if others := beyond_parameters(network.folded):
        raise Undefined(f"the network computes with numbers of {', '.join(others)} that are not parameters")
    return math.log10(fisher_rao(network.folded, network.inputs, network.labels))


@measure("sharpness", title="sharpness, absolute noise", source="Neyshabur et al. 2017")
def sharpness(network: Network, relative: bool = False) -> float:
    """One over the variance of the largest noise on the weights that the accuracy bears."""
    noise = largest_noise(
        network.folded, network.inputs, network.labels, network.draws, network.seed, relative=relative
    )
    if noise == math.inf:
        raise Undefined(
            f"no noise raises the training error by {INCREASE:g} points, as where it is near that of guessing"
        )
    return -2 * math.log10(noise)


@measure("relative_sharpness", title="sharpness, relative noise", source="Jiang et al. 2020")
def relative_sharpness(network: Network) -> float:
    """The same with noise in proportion to each weight."""
    return sharpness(network, relative=True)


# ---- what they are made of


def margin_percentile(logits: Tensor, labels: Tensor) -> float:
    """Tenth percentile of the margins, logit of the given label minus the largest of the others."""
    given = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -math.inf).max(1).values
    return float(np.percentile((given - others).cpu().numpy(), MARGIN_PERCENTILE))


def fisher_rao(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Fisher-Rao norm, the root of the mean over images of <gradient of the loss, theta>^2, for the cross-entropy.

    Liang et al. (2019); theta is all weights and biases, frozen ones too.
    Their theorem 3.1, depth x <derivative of the loss, logits>, is not used: it is for networks without biases, whose
    paths all have the same length. In float64, or in the network's own precision where its forward takes no other.

    Args:
        model: a network in evaluation mode.
        inputs: (n, channels, height, width).
        labels: (n,).

    Returns:
        At least 1e-300, as its logarithm is wanted and all probabilities may round to 0 and 1.
    """
    return max(math.sqrt(norms.in_float64(mean_square_along_weights, model, inputs, labels)), 1e-300)


@torch.enable_grad()
def mean_square_along_weights(model: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    """Mean over images of <gradient of the loss, parameters>^2; changes which of them need a gradient."""
    parameters = [each.requires_grad_() for each in model.parameters() if each.is_floating_point()]
    squares = []
    for image, label in zip(inputs, labels, strict=True):
        loss = F.cross_entropy(model(image[None]).double(), label[None])
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)  # an auxiliary head has none
        along = [
            (g * p.detach()).sum(dtype=torch.float64)
            for g, p in zip(gradients, parameters, strict=True)
            if g is not None
        ]
        squares.append(float(sum(along)) ** 2)
    return float(np.mean(squares))
