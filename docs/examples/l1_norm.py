"""A measure of complexity beside the others: the l1 norm of all weights."""

import math

from rethinking.registry import measure


@measure("l1_norm", title="l1 norm of the weights", source="this study")
def l1_norm(network):
    """The decimal logarithm of the sum of all absolute values."""
    return math.log10(sum(float(weights.detach().abs().sum()) for weights in network.model.parameters()))
