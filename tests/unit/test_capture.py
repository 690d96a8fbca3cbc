"""The captured training step. Without a GPU, a record of the operations on tensors stands for CUDA's graph."""

import random
import weakref
from contextlib import contextmanager, nullcontext
from itertools import count

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rethinking import registry
from rethinking.models import build_model
from rethinking.run.files import UserError
from rethinking.training.evaluation import evaluate
from rethinking.training.optimisers import SGD, Optimiser, RMSProp
from rethinking.training.steps import WARM_UP_STEPS, CapturedStep, build_optimiser, build_step, memory_layout

from .tiny import CPU, settings_with


class PretendedGraph(TorchDispatchMode):
    """As in CUDA's graph, Python takes no part in a replay: the same operations run on the same tensors."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, operation, _types, arguments=(), named=None):
        result = operation(*arguments, **(named or {}))
        self.operations.append((operation, arguments, named or {}, result))
        return result

    @torch.no_grad()
    def replay(self):
        for operation, arguments, named, result in self.operations:
            new = operation(*arguments, **named)
            for old, value in zip(tree_leaves(result), tree_leaves(new), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != value.data_ptr():
                    old.copy_(value)


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
        "synchronize": lambda: None,
        "CUDAGraph": PretendedGraph,
        "graph": lambda graph: graph,
        "get_rng_state": torch.get_rng_state,
        "set_rng_state": torch.set_rng_state,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    # What they draw comes from the CPU's numbers, which stand still on a GPU.
    monkeypatch.setattr(torch, "get_rng_state", lambda: torch.zeros(0))
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


def results(device, capture, make, replaced=0, steps=8):
    """Losses of some steps whose rate changes in the middle, and the network after them.

    A smaller batch comes in between, and step ``replaced`` is the first of a new process where training was
    interrupted: there it is captured again.
    """
    torch.manual_seed(0)
    model, optimiser, step = make(device)
    optimiser.learning_rate = torch.tensor(0.1, device=device)  # as on a GPU
    run, found = step, []
    for number in range(steps):
        draw = torch.Generator().manual_seed(number)
        size = 5 if number == 2 else 16
        images = torch.randn(size, 3, 10, 10, generator=draw).to(device)
        labels = torch.randint(4, (size,), generator=draw).to(device)
        if capture and number in (0, replaced):
            run = CapturedStep(step, "mlp_1x512", model, optimiser, 16)
        optimiser.set_learning_rate(0.1 if number < steps // 2 else 0.01)
        torch.manual_seed(number)
        found.append(run(images, labels)[0].item())
    return found, [value.cpu() for value in (*model.parameters(), *model.buffers())]


def with_optimiser(name):
    """A network that has all, with one of the optimisers."""

    def make(device):
        model = Network().to(device).train()
        optimiser = OPTIMISERS[name](dict.fromkeys(model.parameters(), 0.01))
        return model, optimiser, build_step("mlp_1x512", model, optimiser, settings_with(), CPU)

    return make


def registered(name, **settings):
    """A network of the library as it is trained."""

    def make(device):
        model = build_model(name, (3, 10, 10), 4)
        model = model.to(device, memory_format=memory_layout(model)).train()
        optimiser = build_optimiser(model, settings_with(weight_decay=0.01, **settings))
        return model, optimiser, build_step(name, model, optimiser, settings_with(**settings), CPU)

    return make


def assert_capture_changes_nothing(*arguments, **named):
    """To the last bit: weights, momentum, statistics and random numbers after the warm-up are those before it."""
    (eager, expected), (captured, state) = (results(CPU, each, *arguments, **named) for each in (False, True))
    assert captured == eager
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(state, expected, strict=True))


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("replaced", [0, 5])
def test_capture_changes_nothing(pretended, replaced, optimiser):
    assert_capture_changes_nothing(with_optimiser(optimiser), replaced)


@pytest.mark.parametrize(
    ("name", "precision"),
    [(name, "float32") for name in registry.names("model") if name != "inception_v3"] + [("inception", "bfloat16")],
)
def test_capture_changes_no_network(pretended, name, precision):
    """Inception V3 is trained over micro-batches, which are not captured."""
    assert_capture_changes_nothing(registered(name, precision=precision), steps=6)


def test_what_a_replay_does_not_see_is_found(pretended, monkeypatch):
    """A rate in a new tensor, say: that these tests can fail."""

    def bind(optimiser, value):
        optimiser.learning_rate = torch.tensor(value)

    monkeypatch.setattr(SGD, "set_learning_rate", bind)
    with pytest.raises(AssertionError):
        assert_capture_changes_nothing(with_optimiser(SGD))


@pytest.fixture
def searched(monkeypatch):
    """Whether cuDNN may search for the fastest algorithm of a convolution, at each call of ``note``."""
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    found = []

    def note(*_):
        found.append(torch.backends.cudnn.benchmark)

    yield found, note
    assert torch.backends.cudnn.benchmark


def test_no_algorithm_is_searched_for_a_smaller_batch(pretended, searched):
    found, note = searched
    model = nn.Linear(2, 2)
    optimiser = SGD(dict.fromkeys(model.parameters(), 0.0), 0.1, 0.9)
    captured = CapturedStep(lambda images, labels: note() or (images, labels), "mlp_1x512", model, optimiser, 4)
    for size in (3, 4):
        captured(torch.zeros(size, 2), torch.zeros(size))
    assert found == [False] + [True] * (WARM_UP_STEPS + 1)


def test_no_algorithm_is_searched_for_the_rest_of_an_evaluation(searched):
    found, note = searched
    model = nn.Linear(2, 2)
    model.register_forward_hook(note)
    evaluate(model, torch.zeros(7, 2).split(3), np.zeros(7, np.int64), settings_with(), block_size=3)
    assert found == [True, True, False]


@pytest.mark.parametrize("keep", [lambda table: table, lambda table: {"last": [table]}])
def test_a_graph_holds_the_tables_that_it_reads(pretended, keep):
    """A smaller batch replaces them; their memory could then be anyone's."""

    class Network(nn.Linear):
        table, size = None, 0

        def forward(self, x):
            if self.size != len(x):
                self.size, self.table = len(x), keep(torch.ones(len(x), 1))
            return super().forward(x) * tree_leaves(self.table)[0]

    model = Network(2, 2)
    optimiser = SGD(dict.fromkeys(model.parameters(), 0.0), 0.1, 0.9)
    captured = CapturedStep(lambda images, labels: (model(images).detach(), labels), "mlp_1x512", model, optimiser, 4)
    captured(torch.zeros(4, 2), torch.zeros(4))
    read = weakref.ref(tree_leaves(model.table)[0])
    captured.graph.operations.clear()  # a graph of CUDA refers to memory alone
    captured(torch.zeros(3, 2), torch.zeros(3))
    assert tree_leaves(model.table)[0].shape == (3, 1)
    assert read() is not None


REFUSED = "CUDA error: operation not permitted when stream is capturing"


@pytest.mark.parametrize(
    ("step", "end", "kind", "said"),
    [
        # Where the step fails, the end of the capture fails too.
        ("CUDA out of memory. Tried to allocate 2 GiB", "invalidated", RuntimeError, "Tried to allocate"),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED", "invalidated", RuntimeError, "CUBLAS"),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "invalidated", RuntimeError, "CUDNN"),
        ("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", "invalidated", RuntimeError, "CUDNN"),  # version 9
        ("FIND was unable to find an engine to execute this computation", "invalidated", RuntimeError, "FIND was"),
        (
            REFUSED,
            "invalidated",
            UserError,
            rf"cannot be captured in a CUDA graph \({REFUSED}\); register it",
        ),
        ("", "CUDA error: out of memory", RuntimeError, "out of memory"),
        ("", REFUSED, UserError, REFUSED),
    ],
)
def test_a_capture_that_fails_says_why(pretended, monkeypatch, step, end, kind, said):
    """And a full GPU is not blamed on the network."""

    @contextmanager
    def graph(_):
        try:
            yield
        finally:
            raise RuntimeError(end)

    monkeypatch.setattr(torch.cuda, "graph", graph)
    model, calls = nn.Linear(2, 2), count()
    optimiser = SGD(dict.fromkeys(model.parameters(), 0.0), 0.1, 0.9)

    def fails_after_the_warm_up(*_):
        if step and next(calls) == WARM_UP_STEPS:
            raise RuntimeError(f"{step}\nmore")

    captured = CapturedStep(fails_after_the_warm_up, "mlp_1x512", model, optimiser, 1)
    with pytest.raises(kind, match=said) as error:
        captured(torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64))
    assert type(error.value) is kind


def test_an_error_of_the_warm_up_is_none_of_the_capture(pretended, monkeypatch):
    """CUDA reports it later, to the first that waits for the device, which torch's capture does as it begins."""

    @contextmanager
    def graph(_):
        torch.cuda.synchronize()
        yield

    def wait():
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    model = nn.Linear(2, 2)
    optimiser = SGD(dict.fromkeys(model.parameters(), 0.0), 0.1, 0.9)
    captured = CapturedStep(lambda *batch: batch, "mlp_1x512", model, optimiser, 1)
    with pytest.raises(RuntimeError, match=r"^CUDA error: device-side assert") as error:
        captured(torch.zeros(1, 2), torch.zeros(1))
    assert type(error.value) is RuntimeError


@pytest.mark.parametrize("draw", [lambda: torch.rand(()), np.random.rand, np.random.randn, random.random])
def test_a_step_that_draws_on_the_cpu_is_not_captured(pretended, monkeypatch, draw):
    """Stochastic depth, say: Python would decide once, and all replays would keep to that."""
    monkeypatch.setattr(torch, "get_rng_state", torch.cuda.get_rng_state)

    class Depth(nn.Linear):
        def forward(self, x):
            return super().forward(x.flatten(1)) if draw() < 0.5 else torch.zeros(len(x), 4)

    def make(device):
        model = Depth(300, 4)
        optimiser = SGD(dict.fromkeys(model.parameters(), 0.0), 0.1, 0.9)
        return model, optimiser, lambda images, labels: (model(images).sum(), labels)

    with pytest.raises(
        UserError, match=r"mlp_1x512.* draws random numbers on the CPU.* register it with capture=False"
    ):
        results(CPU, True, make)


@pytest.mark.gpu
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("replaced", [0, 5])
def test_capture_changes_nothing_on_a_gpu(replaced, optimiser):
    device, make = torch.device("cuda"), with_optimiser(optimiser)
    (eager, expected), (captured, state) = (results(device, each, make, replaced) for each in (False, True))
    assert captured == pytest.approx(eager, rel=1e-4)
    for ours, theirs in zip(state, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
