"""What whole cells do not show of optimisers; test_training.py and test_micro_batches.py have their steps written out."""

import numpy as np
import pytest
import torch
from torch import nn

from rethinking.training.optimisers import SGD, AveragedNetwork


def test_without_momentum_a_gpu_takes_the_step(monkeypatch):
    """Plain SGD; the kernel of GPUs is checked as it checks its arguments."""
    fused = torch._fused_sgd_

    def as_on_a_gpu(parameters, gradients, velocities, **settings):
        assert (settings["momentum"] > 0) == bool(velocities)
        fused(parameters, gradients, velocities, **settings)

    monkeypatch.setattr(torch, "_fused_sgd_", as_on_a_gpu)
    for momentum in (0.0, 0.9):
        weight = nn.Parameter(torch.tensor([1.0, 2.0]))
        optimiser = SGD({weight: 0.5}, 0.1, momentum)
        for _ in range(2):
            optimiser.zero_grad()
            (3 * weight).sum().backward()
            optimiser.step()
        first, second = torch.tensor([[3.5, 4.0], [3.5 - 0.175, 4.0 - 0.2]])
        expected = torch.tensor([1.0, 2.0]) - 0.1 * (first + momentum * first + second)
        torch.testing.assert_close(weight.detach(), expected)


def test_the_kernel_gets_parameters_of_one_type_at_a_time(monkeypatch):
    """That of GPUs takes no others; the CPU's takes any."""
    fused, seen = torch._fused_sgd_, []

    def as_on_a_gpu(parameters, *arguments, **settings):
        (dtype,) = {parameter.dtype for parameter in parameters}
        seen.append((settings["weight_decay"], dtype))
        fused(parameters, *arguments, **settings)

    monkeypatch.setattr(torch, "_fused_sgd_", as_on_a_gpu)
    types = (torch.float64, torch.float32, torch.float32, torch.float64)
    weights = [nn.Parameter(torch.ones(2, dtype=dtype)) for dtype in types]
    optimiser = SGD(dict(zip(weights, (0.5, 0.5, 0.0, 0.5), strict=True)), 0.1, 0.9)
    sum(weight.double().sum() for weight in weights).backward()
    optimiser.step()
    assert seen == [(0.0, torch.float32), (0.5, torch.float64), (0.5, torch.float32)]
    assert [weight[0].item() for weight in weights] == [pytest.approx(value) for value in (0.85, 0.85, 0.9, 0.85)]


def test_averages_are_those_of_tensorflow():
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double()
    average = AveragedNetwork(network, decay=0.4)  # from the fifth step on
    expected = network[0].weight.detach().numpy().copy()
    for step in range(1, 8):
        with torch.no_grad():
            network[0].weight.add_(step)
            network[1].running_var.fill_(step)
        average.update(step)
        keep = min(0.4, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * network[0].weight.detach().numpy()
    np.testing.assert_allclose(average.model[0].weight.detach().numpy(), expected, rtol=1e-12)
    assert 5 < average.model[1].running_var[0] < 7
    assert average.model[0].weight.data_ptr() != network[0].weight.data_ptr()
