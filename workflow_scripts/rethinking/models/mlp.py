"""Multi-layer perceptrons with rectified linear units (appendix A)."""

import math
from itertools import pairwise

from torch import nn

from rethinking.registry import model


def mlp(image_shape: tuple[int, int, int], num_classes: int, hidden: list[int]) -> nn.Sequential:
    """Fully connected network on flattened images with the given hidden widths."""
    widths = [math.prod(image_shape), *hidden]
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))


@model("mlp_3x512", title="MLP 3×512", megaflops=8.0)
def mlp_3x512(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """MLP 3x512: 1,735,178 parameters on 28x28x3 images (table 1)."""
    return mlp(image_shape, num_classes, [512, 512, 512])


@model("mlp_1x512", title="MLP 1×512", megaflops=4.8)
def mlp_1x512(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """MLP 1x512: 1,209,866 parameters on 28x28x3 images (table 1)."""
    return mlp(image_shape, num_classes, [512])
