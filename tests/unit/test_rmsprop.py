"""RMSProp and averaged weights against the formulas of TensorFlow 1, written out in numpy."""

import numpy as np
import pytest
import torch
from torch import nn

from rethinking.training.optimisers import AveragedNetwork, RMSProp


def reference(weights, gradients, rates, weight_decay, epsilon, momentum=0.9, decay=0.9):
    """tf.train.RMSPropOptimizer: ms = 1, mom = 0 at the start; mom = momentum mom + rate g / sqrt(ms + epsilon)."""
    mean_square, velocity = np.ones_like(weights), np.zeros_like(weights)
    for gradient, rate in zip(gradients, rates, strict=True):
        gradient = gradient + weight_decay * weights
        mean_square = decay * mean_square + (1 - decay) * gradient**2
        velocity = momentum * velocity + rate * gradient / np.sqrt(mean_square + epsilon)
        weights = weights - velocity
    return weights


@pytest.mark.parametrize("epsilon", [1.0, 1e-3])
def test_steps_are_those_of_tensorflow(epsilon):
    rng = np.random.default_rng(0)
    start = {"decayed": rng.normal(size=(4, 3)), "free": rng.normal(size=5)}
    gradients = {name: [3 * rng.normal(size=value.shape) for _ in range(6)] for name, value in start.items()}
    rates = [0.1, 0.1, 0.05, 0.05, 0.02, 0.02]
    weights = {name: nn.Parameter(torch.tensor(value)) for name, value in start.items()}
    coefficients = {"decayed": 0.01, "free": 0.0}
    optimiser = RMSProp(
        {weights[name]: coefficients[name] for name in weights}, rates[0], 0.9, decay=0.9, epsilon=epsilon
    )
    for step, rate in enumerate(rates):
        optimiser.set_learning_rate(rate)
        for name, weight in weights.items():
            weight.grad = torch.tensor(gradients[name][step])
        optimiser.step()
    for name, weight in weights.items():
        expected = reference(start[name], gradients[name], rates, coefficients[name], epsilon)
        np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-12)


def test_averages_are_those_of_tensorflow():
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double()
    average = AveragedNetwork(network, decay=0.5)
    expected = network[0].weight.detach().numpy().copy()
    for step in range(1, 8):
        with torch.no_grad():
            network[0].weight.add_(step)
            network[1].running_var.fill_(step)
        average.update(step)
        keep = min(0.5, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * network[0].weight.detach().numpy()
    np.testing.assert_allclose(average.model[0].weight.detach().numpy(), expected, rtol=1e-12)
    assert 5 < average.model[1].running_var[0] < 7
    assert average.model[0].weight.data_ptr() != network[0].weight.data_ptr()
