"""Initial weights. The paper does not name its own, so the scheme is a setting."""

import math

import torch
from torch import nn


def initialise(model: nn.Module, scheme: str, generator: torch.Generator) -> None:
    """Draw all weights of ``model`` anew from ``generator``; biases become zero.

    Args:
        model: a network of convolutions and linear layers.
        scheme: ``glorot_uniform`` (Glorot and Bengio 2010; TensorFlow's default),
            ``he_normal`` (He et al. 2015) or ``lecun_uniform``, which is torch's default:
            U(-1/sqrt(fan_in), 1/sqrt(fan_in)), for the biases too.
        generator: CPU generator; the same one gives the same weights on any device.
    """
    for module in model.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        weight = module.weight
        receptive = weight[0, 0].numel()
        fan_in, fan_out = weight.shape[1] * receptive, weight.shape[0] * receptive
        with torch.no_grad():
            module.bias.zero_()
            if scheme == "glorot_uniform":
                limit = math.sqrt(6 / (fan_in + fan_out))
                weight.uniform_(-limit, limit, generator=generator)
            elif scheme == "he_normal":
                weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            elif scheme == "lecun_uniform":
                limit = 1 / math.sqrt(fan_in)
                weight.uniform_(-limit, limit, generator=generator)
                module.bias.uniform_(-limit, limit, generator=generator)
            else:
                raise ValueError(f"unknown initialisation '{scheme}'")
