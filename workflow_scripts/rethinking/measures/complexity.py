"""Measures of complexity beyond the paper, on the networks that it trains.

The paper ends with the statement that no formal measure is known under which these networks are simple. Each
measure here is larger for networks that its source calls more complex, so a measure that explained generalisation
would grow with the gap.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rethinking.measures import norms
from rethinking.measures.complexity_measures import MEASURES
from rethinking.measures.folding import beyond_norms, depth, fold_batch_norm, weight_layers
from rethinking.measures.sharpness import largest_noise

MARGIN_PERCENTILE = 10  # Jiang et al. 2020


def measure_complexity(
    model: nn.Module, initial: nn.Module, inputs: Tensor, labels: Tensor, n: int, draws: int, seed: int
) -> dict[str, float | None]:
    """All measures of one network, by their names in :data:`rethinking.measures.complexity_measures.MEASURES`.

    All but the number of parameters and the distance are measured on the network with its batch normalisation folded
    into the convolutions. Margins, the Fisher-Rao norm and sharpness are measured on the given images.

    Args:
        model: the trained network.
        initial: the same network with its initial weights.
        inputs: (m, channels, height, width), of the training set.
        labels: (m,) as given in training.
        n: images in the training set.
        draws: of the noise for sharpness.
        seed: of that noise.

    Returns:
        None where a measure is undefined: those with a margin, if the network has not fitted nine tenths of the images;
        those with norms of weights, if the network has other layers than convolutions and linear ones
        (:func:`rethinking.measures.folding.beyond_norms`).
    """
    folded, image = fold_batch_norm(model), inputs[:1]
    logits = predict(folded, inputs)
    margin = margin_percentile(logits, labels)
    found: dict[str, float | None] = {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "distance": norms.distance_from_initialisation(model, initial),
        "inverse_margin": -math.log10(margin) if margin > 0 else None,
        "sharpness": -2 * math.log10(largest_noise(folded, inputs, labels, draws, seed)),
        "relative_sharpness": -2
        * math.log10(largest_noise(folded, inputs, labels, draws, seed, relative=True)),
    }
    if others := beyond_norms(folded):
        print(
            f"no norms of weights: the network has {', '.join(others)} besides convolutions and linear layers"
        )
    else:
        found |= norms_of_weights(folded, initial, inputs, margin, n)
        found["fisher_rao"] = math.log10(fisher_rao(logits, labels, depth(folded, image)))
    values = {name: found.get(name) for name in MEASURES}
    return {
        name: value if value is not None and math.isfinite(value) else None for name, value in values.items()
    }


def norms_of_weights(
    folded: nn.Module, initial: nn.Module, inputs: Tensor, margin: float, n: int
) -> dict[str, float | None]:
    """The measures that are built from norms of the weights of convolutions and linear layers."""
    image = inputs[:1]
    layers = weight_layers(folded, image)
    reference = [layer.module.weight.detach() for layer in weight_layers(initial.eval(), image)]
    operator_norms = [norms.operator_norm(layer) for layer in layers]
    norm_of_images = float(inputs.double().flatten(1).square().sum(1).mean().sqrt())  # root mean square
    complexity = norms.spectral_complexity(layers, reference, operator_norms)
    return {
        "frobenius_product": norms.log_product([norms.frobenius_norm(layer) for layer in layers]),
        "spectral_product": norms.log_product(operator_norms),
        "kernel_spectral_product": norms.log_product([norms.kernel_norm(layer) for layer in layers]),
        "path_norm": norms.path_norm(folded, image),
        # Theorem 1.1 without the logarithm of the width: |X| R_A / (margin n), with |X| = sqrt(n) root mean square.
        "spectral_bound": complexity + math.log10(norm_of_images / (math.sqrt(n) * margin))
        if margin > 0
        else None,
    }


@torch.inference_mode()
def predict(model: nn.Module, inputs: Tensor) -> Tensor:
    """Logits in float64, (m, classes)."""
    return torch.cat([model(block).double() for block in inputs.split(1000)])


def margin_percentile(logits: Tensor, labels: Tensor) -> float:
    """Tenth percentile of the margins, logit of the given label minus the largest of the others."""
    given = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -math.inf).max(1).values
    return float(np.percentile((given - others).cpu().numpy(), MARGIN_PERCENTILE))


def fisher_rao(logits: Tensor, labels: Tensor, layers: int) -> float:
    """Fisher-Rao norm of a network of so many layers, layers x root of the mean of <derivative of the loss, logits>^2.

    Liang et al. (2019), theorem 3.1, for the cross-entropy; biases are assumed to be small.
    """
    derivative = F.softmax(logits, 1) - F.one_hot(labels, logits.shape[1])
    return max(layers * math.sqrt(float((derivative * logits).sum(1).square().mean())), 1e-300)
