"""The captured training step. Without a GPU, a graph that computes the step again in place of replaying it stands for CUDA's."""

from contextlib import contextmanager, nullcontext

import pytest
import torch
from torch import nn

from rethinking.run.files import UserError
from rethinking.training.optimisers import SGD, Optimiser, RMSProp
from rethinking.training.steps import CapturedStep

from .tiny import CPU


class PretendedGraph:
    """Replaying runs the step on the captured buffers and overwrites the captured results."""

    captured = None

    def replay(self):
        for old, new in zip(
            self.captured.results, self.captured.step(self.captured.images, self.captured.labels), strict=True
        ):
            old.copy_(new)


@pytest.fixture
def pretended(monkeypatch):
    """CUDA's streams, graphs and random numbers on the CPU."""

    class Stream:
        def wait_stream(self, other):
            pass

    for name, value in {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": nullcontext,
        "CUDAGraph": PretendedGraph,
        "graph": nullcontext,
        "get_rng_state": torch.get_rng_state,
        "set_rng_state": torch.set_rng_state,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return CPU


class Network(nn.Module):
    """All that a step changes: weights, statistics (one of them not saved) and random numbers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(256, 4)
        )
        self.register_buffer("steps", torch.zeros(()), persistent=False)

    def forward(self, x):
        self.steps += 1
        return self.layers(x)


OPTIMISERS = {
    SGD: lambda weights: SGD(weights, 0.1, 0.9),
    RMSProp: lambda weights: RMSProp(weights, 0.1, 0.9, 0.9, 1.0),
}


def test_every_optimiser_is_tried():
    """One that leaves a tensor out of its ``state`` fails the tests below; so would its checkpoints."""
    missing = set(Optimiser.__subclasses__()) - set(OPTIMISERS)
    assert missing == set(), "enter it in OPTIMISERS"


def losses(device, capture, optimiser, replaced=0):
    """Losses of eight steps whose rate changes in the middle, and the network after them.

    A smaller batch comes in between, and step ``replaced`` is the first of a new process where training was
    interrupted: there it is captured again.
    """
    torch.manual_seed(0)
    model = Network().to(device).train()
    optimiser = OPTIMISERS[optimiser](dict.fromkeys(model.parameters(), 0.01))

    def step(images, labels):
        logits = model(images)
        loss = nn.functional.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach(), logits.detach()

    def new():
        captured = PretendedGraph.captured = CapturedStep(step, "network", model, optimiser, 16)
        return captured

    run, found = (new() if capture else step), []
    for number in range(8):
        draw = torch.Generator().manual_seed(number)
        size = 5 if number == 2 else 16
        images = torch.randn(size, 3, 10, 10, generator=draw).to(device)
        labels = torch.randint(4, (size,), generator=draw).to(device)
        if capture and number == replaced:
            run = new()
        optimiser.set_learning_rate(0.1 if number < 4 else 0.01)
        torch.manual_seed(number)
        found.append(run(images, labels)[0].item())
    return found, [value.cpu() for value in (*model.parameters(), *model.buffers())]


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("replaced", [0, 5])
def test_capture_changes_nothing(pretended, replaced, optimiser):
    """To the last bit: weights, momentum, statistics and random numbers after the warm-up are those before it."""
    (eager, expected), (captured, state) = (
        losses(pretended, False, optimiser),
        losses(pretended, True, optimiser, replaced),
    )
    assert captured == eager
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(state, expected, strict=True))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("CUDA error: out of memory", RuntimeError),
        ("CUDA error: operation not permitted when stream is capturing", UserError),
    ],
)
def test_a_full_gpu_is_not_blamed_on_the_network(pretended, monkeypatch, message, kind):
    @contextmanager
    def graph(_):
        yield
        raise RuntimeError(message)

    monkeypatch.setattr(torch.cuda, "graph", graph)
    model = nn.Linear(2, 2)
    optimiser = SGD(dict.fromkeys(model.parameters(), 0.0), 0.1, 0.9)
    step = CapturedStep(lambda *_: None, "mlp_1x512", model, optimiser, 1)
    with pytest.raises(kind, match=message):
        step(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))


@pytest.mark.gpu
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("replaced", [0, 5])
def test_capture_changes_nothing_on_a_gpu(replaced, optimiser):
    device = torch.device("cuda")
    (eager, expected), (captured, state) = (
        losses(device, False, optimiser),
        losses(device, True, optimiser, replaced),
    )
    assert captured == pytest.approx(eager, rel=1e-4)
    for ours, theirs in zip(state, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
