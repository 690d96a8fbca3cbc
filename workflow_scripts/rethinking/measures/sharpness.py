"""Sharpness: how much noise on its weights a network tolerates (Neyshabur et al. 2017, Jiang et al. 2020)."""

import copy
import math

import torch
from torch import Tensor, nn

INCREASE = 10.0  # percentage points of training error, as in Jiang et al. 2020
RANGE = (1e-4, 1e1)  # of the noise
STEPS = 10  # steps of bisection, after which a factor of 1.011 remains


@torch.inference_mode()
def largest_noise(
    model: nn.Module, inputs: Tensor, labels: Tensor, draws: int, seed: int, relative: bool = False
) -> float:
    """The largest standard deviation of Gaussian noise on all parameters that raises the training error by 10 points.

    The error is the mean over draws of the noise; every step of the bisection scales the same draws.

    Args:
        model: a network in evaluation mode.
        inputs: (n, channels, height, width), from its training set.
        labels: (n,) as given in training.
        draws: of the noise.
        seed: of the noise.
        relative: in units of each parameter's magnitude, which makes sharpness independent of the scale of layers.

    Returns:
        At least the lower end of :data:`RANGE`, and infinity where the upper end does not raise the error so far, as
        that of a network that fits next to nothing cannot rise.
    """
    noisy = copy.deepcopy(model)
    pairs = list(zip(model.parameters(), noisy.parameters(), strict=True))

    def error(deviation: float) -> float:
        generator = torch.Generator().manual_seed(seed)
        wrong = 0
        for _ in range(draws):
            for parameter, changed in pairs:
                noise = torch.randn(parameter.shape, generator=generator).to(parameter.device)
                unit = parameter.abs() if relative else 1.0
                changed.copy_(parameter + deviation * unit * noise)
            wrong += sum(
                int((noisy(block).argmax(1) != given).sum())
                for block, given in zip(inputs.split(1000), labels.split(1000), strict=True)
            )
        return 100 * wrong / (draws * len(labels))

    bound = error(0.0) + INCREASE
    low, high = (math.log(end) for end in RANGE)
    if error(math.exp(high)) <= bound:
        return math.inf
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if error(math.exp(middle)) <= bound else (low, middle)
    return math.exp(low)
