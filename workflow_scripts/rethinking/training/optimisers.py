"""SGD with momentum (section 3 and appendix A of the paper), RMSProp, and moving averages of weights (ImageNet).

torch's own optimiser classes do the same arithmetic with the same kernel, but creating one imports
torch's compiler, which takes as long as the rest of a cell's start.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class Optimiser(ABC):
    """Parameters with their velocity, learning rate and coefficients of weight decay; subclasses make the step.

    What a subclass keeps from step to step it enters in ``state``, as tensors by parameter, and changes in place: a
    checkpoint saves them, and capturing a step on a GPU puts them back.

    Args:
        weight_decay: the coefficient of the l2 penalty of each parameter, at half its squared norm.
        learning_rate: of the first step.
        momentum: how much of the last update is kept.
    """

    def __init__(self, weight_decay: Mapping[nn.Parameter, float], learning_rate: float, momentum: float) -> None:
        self.momentum = momentum
        self.velocity = {parameter: torch.zeros_like(parameter) for parameter in weight_decay}
        self.state = {"momentum": self.velocity}
        # The kernels of GPUs take parameters of one type at a time.
        kinds: dict[tuple[float, torch.dtype], list[nn.Parameter]] = {}
        for parameter, decay in sorted(weight_decay.items(), key=lambda each: each[1]):
            kinds.setdefault((decay, parameter.dtype), []).append(parameter)
        self.groups = [(decay, parameters) for (decay, _), parameters in kinds.items()]
        # On a GPU a tensor, which a captured step reads from the device, so that a change reaches the graph.
        device = next(iter(weight_decay)).device
        self.learning_rate: Tensor | float = learning_rate
        if device.type == "cuda":
            self.learning_rate = torch.tensor(learning_rate, device=device)

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

    def with_gradient(self) -> Iterator[tuple[float, list[nn.Parameter]]]:
        """Coefficients of weight decay with the parameters that have a gradient; the network does not use the others."""
        for decay, parameters in self.groups:
            if used := [parameter for parameter in parameters if parameter.grad is not None]:
                yield decay, used

    @abstractmethod
    def step(self) -> None:
        """Update the parameters that have a gradient."""


class SGD(Optimiser):
    """Per step, v = momentum v + gradient + decay w, then w = w - learning rate v, with v = 0 at the start."""

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameters that have a gradient."""
        for decay, parameters in self.with_gradient():
            torch._fused_sgd_(
                parameters,
                [parameter.grad for parameter in parameters],
                # The kernel of GPUs refuses velocities where there is no momentum.
                [self.velocity[parameter] for parameter in parameters] if self.momentum else [],
                weight_decay=decay,
                momentum=self.momentum,
                lr=self.learning_rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
                is_first_step=False,
            )


class RMSProp(Optimiser):
    """RMSProp as in TensorFlow 1, which divides by sqrt(s + epsilon) and not by sqrt(s) + epsilon.

    Per step, with g the gradient + weight decay w: s = decay s + (1 - decay) g^2, v = momentum v + rate g / sqrt(s +
    epsilon), w = w - v. At the start s is 1 and v is 0. So a change of the rate reaches the velocity only bit by bit.

    Args:
        weight_decay, learning_rate, momentum: as of any :class:`Optimiser`.
        decay: how much of the mean square is kept.
        epsilon: added to the mean square.
    """

    def __init__(
        self,
        weight_decay: Mapping[nn.Parameter, float],
        learning_rate: float,
        momentum: float,
        decay: float,
        epsilon: float,
    ) -> None:
        super().__init__(weight_decay, learning_rate, momentum)
        self.decay, self.epsilon = decay, epsilon
        self.mean_square = {parameter: torch.ones_like(parameter) for parameter in weight_decay}
        self.state["mean_square"] = self.mean_square

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameters that have a gradient."""
        for weight_decay, parameters in self.with_gradient():
            gradients = [parameter.grad for parameter in parameters]
            if weight_decay:
                gradients = torch._foreach_add(gradients, parameters, alpha=weight_decay)
            squares = [self.mean_square[parameter] for parameter in parameters]
            torch._foreach_mul_(squares, self.decay)
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - self.decay)
            updates = torch._foreach_add(squares, self.epsilon)
            torch._foreach_sqrt_(updates)
            updates = torch._foreach_div(gradients, updates)
            torch._foreach_mul_(updates, self.learning_rate)
            velocities = [self.velocity[parameter] for parameter in parameters]
            torch._foreach_mul_(velocities, self.momentum)
            torch._foreach_add_(velocities, updates)
            torch._foreach_sub_(parameters, velocities)


class AveragedNetwork:
    """A copy of a network whose weights and batch-norm statistics are moving averages over the steps.

    As TensorFlow's ExponentialMovingAverage with a step number, so that the first steps are soon forgotten.

    Args:
        model: the network that is trained; the average starts from its present weights.
        decay: what the average keeps at a step, in the long run.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.model = decay, copy.deepcopy(model)
        pairs = zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        # Counters of batches are no numbers to average.
        self.averaged, self.current = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the network's weights after its step number ``step``, counted from 1."""
        keep = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.averaged, self.current, 1 - keep)
