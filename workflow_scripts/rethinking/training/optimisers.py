"""Stochastic gradient descent with momentum (section 3 and appendix A of the paper).

torch's own optimiser classes do the same arithmetic with the same kernel, but creating one imports
torch's compiler, which takes as long as the rest of a cell's start.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class SGD:
    """Per step, v = momentum v + gradient + decay w, then w = w - learning rate v, with v = 0 at the start.

    Args:
        decay: the coefficient of the l2 penalty of each parameter, at half its squared norm.
        learning_rate: of the first step.
        momentum: how much of the last update is kept.
    """

    def __init__(self, decay: Mapping[nn.Parameter, float], learning_rate: float, momentum: float) -> None:
        self.momentum = momentum
        self.velocity = {parameter: torch.zeros_like(parameter) for parameter in decay}
        self.groups = [
            (value, [parameter for parameter in decay if decay[parameter] == value])
            for value in sorted(set(decay.values()))
        ]
        # A captured step reads the rate from the device, so that a change reaches the graph.
        device = next(iter(decay)).device
        self.learning_rate: Tensor | float = (
            torch.tensor(learning_rate, device=device) if device.type == "cuda" else learning_rate
        )

    def set_learning_rate(self, value: float) -> None:
        """Set the learning rate of the following steps, in place if it is on the device."""
        if isinstance(self.learning_rate, Tensor):
            self.learning_rate.fill_(value)
        else:
            self.learning_rate = value

    def zero_grad(self) -> None:
        """Discard the gradients."""
        for parameter in self.velocity:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameters; each must have a gradient."""
        for decay, parameters in self.groups:
            torch._fused_sgd_(
                parameters,
                [parameter.grad for parameter in parameters],
                [self.velocity[parameter] for parameter in parameters],
                weight_decay=decay,
                momentum=self.momentum,
                lr=self.learning_rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )
