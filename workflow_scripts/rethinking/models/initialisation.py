"""Initial weights. The paper does not name its own, so the scheme is a setting."""

import math

import torch
from torch import nn

from rethinking.run.files import UserError
from rethinking.streams import torch_seed

DEVIATION = 0.1  # of truncated_normal


def initialise(model: nn.Module, scheme: str, generator: torch.Generator) -> None:
    """Draw all weights of ``model`` again from ``generator``.

    Args:
        model: any network. The scheme is that of its 2-D convolutions and linear layers; all other layers with
            parameters are reset by their own ``reset_parameters``, from the seed of ``generator``.
        scheme: ``glorot_uniform`` (Glorot and Bengio 2010; TensorFlow's default),
            ``he_normal`` (He et al. 2015), ``truncated_normal`` (of the layer's ``deviation``, by default 0.1, cut off
            at two deviations: TensorFlow's inception package) or ``lecun_uniform``, which is torch's default:
            U(-1/sqrt(fan_in), 1/sqrt(fan_in)), for the biases too. In the others biases are zero.
        generator: CPU generator; the same one gives the same weights on any device.

    Raises:
        UserError: a layer has parameters of its own and no ``reset_parameters``; the message names it.
    """
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            reset(name, module, generator.initial_seed())
            continue
        weight, bias = module.weight, module.bias
        receptive = weight[0, 0].numel()
        fan_in, fan_out = weight.shape[1] * receptive, weight.shape[0] * receptive
        with torch.no_grad():
            if bias is not None:
                bias.zero_()
            if scheme == "glorot_uniform":
                limit = math.sqrt(6 / (fan_in + fan_out))
                weight.uniform_(-limit, limit, generator=generator)
            elif scheme == "he_normal":
                weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            elif scheme == "truncated_normal":
                deviation = getattr(module, "deviation", DEVIATION)
                nn.init.trunc_normal_(
                    weight, 0.0, deviation, -2 * deviation, 2 * deviation, generator=generator
                )
            elif scheme == "lecun_uniform":
                limit = 1 / math.sqrt(fan_in)
                weight.uniform_(-limit, limit, generator=generator)
                if bias is not None:
                    bias.uniform_(-limit, limit, generator=generator)
            else:
                raise ValueError(f"unknown initialisation '{scheme}'")


def reset(name: str, module: nn.Module, seed: int) -> None:
    """Let a layer draw its own parameters, if it has any; each layer has its own random numbers."""
    own = [key for key, _ in module.named_parameters(recurse=False)]
    if not own:
        return
    reset_parameters = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    if reset_parameters is None:
        where = f"the layer '{name}'" if name else "the network itself"
        raise UserError(
            f"{where} ({type(module).__name__}) has parameters ({', '.join(own)}) but no method "
            "reset_parameters that draws them, so its initial weights would not follow from the seed; give it one"
        )
    # Layers draw from torch's own generator.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "initial weights", name))
        reset_parameters()
