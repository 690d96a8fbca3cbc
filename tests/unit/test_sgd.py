"""Steps of SGD against those of torch's own class."""

import pytest
import torch
from torch import nn

from rethinking.training.optimisers import SGD


@pytest.mark.parametrize("channels_last", [False, True])
def test_steps_are_those_of_torch(channels_last):
    torch.manual_seed(0)
    networks = []
    for _ in range(2):
        network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
        networks.append(network.to(memory_format=torch.channels_last) if channels_last else network)
    ours, theirs = networks
    theirs.load_state_dict(ours.state_dict())
    optimiser = SGD({p: 0.1 if p.dim() > 1 else 0.0 for p in ours.parameters()}, 0.05, momentum=0.9)
    groups = [
        {"params": [p for p in theirs.parameters() if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in theirs.parameters() if p.dim() == 1]},
    ]
    reference = torch.optim.SGD(groups, lr=0.05, momentum=0.9, fused=True)
    for number in range(5):
        rate = 0.05 * 0.5**number
        optimiser.set_learning_rate(rate)
        for group in reference.param_groups:
            group["lr"] = rate
        images, labels = torch.randn(4, 3, 8, 8), torch.randint(5, (4,))
        for network, each in ((ours, optimiser), (theirs, reference)):
            each.zero_grad()
            nn.functional.cross_entropy(network(images), labels).backward()
            each.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


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
