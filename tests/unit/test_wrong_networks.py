"""What is wrong with a plug-in's network is named before it is trained; what is not wrong is left alone."""

import re

import pytest

from .test_wrong_plugins import message
from .tiny import make_cell, train

NETWORK = """\
from torch import nn, rand
class Dropped(nn.Linear):
    def forward(self, x):
        return super().forward(nn.functional.dropout(x.flatten(1)))
class Unused(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.spare = nn.Linear(2, 3)
    def forward(self, x):
        return super().forward(x.flatten(1))
class Cut(nn.Linear):
    def forward(self, x):
        return super().forward(x.flatten(1))[:10]
class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(rand(1))
    def forward(self, x):
        return self.scale * x
@model("wrong")
def wrong(image_shape, num_classes):
    return {}
class Scaled(Scale):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(300, 4))
    def forward(self, x):
        return super().forward(self.layers(x))
class Gain(nn.Linear):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.gain = nn.Parameter(rand(outputs))
    def forward(self, x):
        return self.gain * super().forward(x)
class Centred(nn.Linear):
    def __init__(self, persistent, change):
        super().__init__(300, 4)
        self.register_buffer("mean", rand(300), persistent)
        self.change = change
    def forward(self, x):
        x = x.flatten(1)
        if self.training:
            self.change(self, 0.9 * self.mean + 0.1 * x.detach().mean(0))
        return super().forward(x - self.mean)
def bind(network, mean):
    network.mean = mean
def copy(network, mean):
    network.mean.copy_(mean)
"""


@pytest.mark.parametrize(
    ("body", "line", "expected"),
    [
        ("nn.Sequential(nn.Flatten(), nn.Linear(300, 7))", 22, "into (2, 7), not logits (2, 4)"),
        ("nn.Sequential(nn.Flatten(), nn.LSTM(300, 4))", 22, "into a tuple, not logits (2, 4)"),
        ("Cut(300, 4)", 22, "turns images (16, 3, 10, 10) into (10, 4), not logits (16, 4)"),
        ("nn.Sequential(nn.Flatten(), nn.Linear(30, 4))", 22, "(2x300 and 30x4), on images (2, 3, 10, 10)"),
        ("1 / 0", 23, "ZeroDivisionError"),
        ("__import__('nosuch')", 23, "No module named 'nosuch' beside the plug-in or in "),
        ("None", 22, "returns None, not a torch.nn.Module"),
        ("nn.Sequential(nn.Flatten(), nn.LazyLinear(4))", 22, "has lazy layers; give each the size of its input"),
        ("nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(4))", 22, "has no trainable parameter"),
        ("Unused(300, 4)", 22, "no logit depends on spare.weight, spare.bias of the network 'wrong'"),
        ("Centred(True, bind)", 22, "forward binds another tensor to the buffer 'mean'"),
        ("Centred(False, copy)", 22, "training changes the buffer 'mean', which no file keeps"),
        ("Dropped(300, 4)", 22, "the network 'wrong' draws random numbers in evaluation mode"),
    ],
)  # fmt: skip
def test_networks(plugin, data, body, line, expected):
    file = plugin(NETWORK.format(body))
    said = message(train, data, make_cell("wrong"))
    assert said.startswith(f"{file}:{line}: ")
    assert expected in said


HIDDEN = """\
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
GLOBAL = torch.ones(300, 300, requires_grad=True)
class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.variable = 2  # as the node of a parameter has one
        return 2 * x
    @staticmethod
    def backward(ctx, slope):
        return 2 * slope
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = {layers}
        self.last = nn.Linear(300, 4)
        self.register_buffer("passes", torch.zeros(()))
    def forward(self, x):
        x = x.requires_grad_().flatten(1)
        if self.training:
            self.passes += 1
        for layer in self.layers:
            x = {x}
        return self.passes * self.last(x)
@model("net")
def net(image_shape, num_classes): return Net()
"""


@pytest.mark.parametrize(
    ("layers", "x"),
    [
        ("[nn.Linear(300, 300), nn.Linear(300, 300)]", "layer(x)"),
        ("[nn.Linear(300, 300)]", "checkpoint(layer, x, use_reentrant=False)"),
        ("[torch.ones(300, 300, requires_grad=True)]", "Double.apply(x @ layer)"),
        ("range(3)", "x @ GLOBAL"),
    ],
)
def test_a_trainable_tensor_that_is_no_parameter(plugin, data, layers, x):
    """Layers in a list are hidden, and would stay as they were drawn."""
    file = plugin(HIDDEN.format(layers=layers, x=x))
    said = message(train, data, make_cell("net"))
    assert said.startswith(f"{file}:28: the network 'net' uses trainable tensors that are not among its parameters")
    assert "the largest has the shape (300, 300)" in said


@pytest.mark.parametrize(
    ("layers", "x"),
    [
        ("nn.ModuleList([nn.Linear(300, 300)])", "layer(layer(x))"),
        ("nn.ModuleList([nn.Linear(300, 300)])", "checkpoint(layer, x, use_reentrant=False)"),
        (
            "nn.ModuleList([nn.Linear(300, 300)])",
            "checkpoint(layer, x, use_reentrant=True) if self.training else layer(x)",
        ),
        ("nn.ModuleList([nn.Linear(300, 300)])", "Double.apply(layer(x.detach().requires_grad_()))"),
        ("[torch.eye(300)]", "x @ layer"),
    ],
)
def test_no_other_tensor_is_taken_for_a_trainable_one(plugin, data, layers, x):
    plugin(HIDDEN.format(layers=layers, x=x))
    train(data, make_cell("net"), epochs=1)


KEEPS = """\
import random
import numpy as np
import torch
from torch import nn
class Net(nn.Linear):
    def __init__(self):
        super().__init__(300, 4)
        self.mean, self.steps, self.seen, self.table = 0.0, 0, [], None
        self.draws = np.random.default_rng(0)
    def forward(self, x):
        x = x.flatten(1)
        {forward}
        return super().forward(x)
@model("net", capture=False)
def net(image_shape, num_classes): return Net()
"""
FOLLOW = "self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0) if self.training else self.mean"


@pytest.mark.parametrize(
    ("forward", "changed"),
    [
        (f"{FOLLOW}; x = x - self.mean", "mean"),
        (f"{FOLLOW}; x = x if self.training else x - self.mean", "mean"),
        ("self.steps += 1; x = x * min(1, self.steps / 10)", "steps"),
        ("self.steps += 1; x = x * (self.steps % 3)", "steps"),
        ("self.seen.append(x.detach().mean(0)); x = x - self.seen[0]", "seen"),
        ("x = x * self.draws.random() if self.training else x", None),
    ],
)
def test_a_network_that_remembers_outside_its_buffers(plugin, data, forward, changed):
    """A run that is resumed, or captured, would have other numbers, and reloaded weights would be another function."""
    file = plugin(KEEPS.format(forward=forward))
    said = message(train, data, make_cell("net"))
    assert said.startswith(f"{file}:16: the logits of the network 'net' depend on what earlier passes leave outside")
    assert f"(its attributes that change: {changed})" in said or changed is None


@pytest.mark.parametrize("draw", ["random.random()", "np.random.rand()"])
def test_a_network_that_draws_without_a_seed(plugin, data, draw):
    """Seldom enough to change no logit of a few passes."""
    plugin(KEEPS.format(forward=f"x = 2 * x if self.training and {draw} < 1e-9 else x"))
    assert "draws from the generators of Python or NumPy" in message(train, data, make_cell("net"))


def test_a_network_that_makes_layers_as_it_runs(plugin, data):
    plugin(
        KEEPS.format(
            forward="self.table = nn.Linear(300, 300) if self.table is None else self.table; x = self.table(x)"
        )
    )
    assert "forward makes table.bias, table.weight of the network 'net'" in message(train, data, make_cell("net"))


@pytest.mark.parametrize(
    "forward",
    [
        "self.table = torch.linspace(0, 1, 300) if self.table is None else self.table; x = x + self.table",
        "self.later = x.relu(); x = self.later",
        "self.table = nn.ReLU() if self.table is None else self.table; x = self.table(x)",
        "self.later = [0] * 2 if self.steps == 0 else self.later; self.later[self.steps] = x.detach(); self.steps ^= 1",
        "self.mean = x.mean().item(); self.steps += 1; self.steps % 100 or print(self.mean)",
        "self.seen.append(len(x))",
        "x = nn.functional.dropout(x, 0.5, self.training)",
        "x = x + torch.autograd.grad((x.requires_grad_() ** 2).sum(), x)[0] if self.training else x",
    ],
)
def test_a_network_may_keep_what_does_not_change_its_logits(plugin, data, forward):
    plugin(KEEPS.format(forward=forward))
    train(data, make_cell("net"), epochs=1)


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        ("Centred(True, copy)", "mean"),
        ("nn.Sequential(nn.InstanceNorm2d(3, track_running_stats=True), *LAST)", "0.running_mean"),
        ("nn.Sequential(nn.BatchNorm2d(3), *LAST)", None),
        ("nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), *LAST)", None),
    ],
)
def test_a_buffer_that_each_micro_batch_changes(plugin, data, body, changed):
    """Each of several workers would have another one, and worker 0 would keep its own."""
    file = plugin(NETWORK.format(body.replace("LAST", "(nn.Flatten(), nn.Linear(300, 4))")))
    if not changed:
        train(data, make_cell("wrong"), micro_batch=4)
        return
    train(data, make_cell("wrong"))  # where each step is one part
    said = message(lambda: train(data, make_cell("wrong"), micro_batch=4))
    assert said.startswith(f"{file}:22: each micro-batch changes the buffer '{changed}', so with several workers")


def test_a_buffer_that_is_kept_and_changed_in_place_is_averaged(plugin, data):
    plugin(NETWORK.format("Centred(True, copy)"))
    average, last = (train(data, make_cell("wrong"), average_decay=decay).model for decay in (0.9, None))
    assert 0 < (average.mean - last.mean).abs().max() < 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [("nn.Sequential(nn.Flatten(), Scale(), nn.Linear(300, 4))", "the layer '1' (Scale)"),
     ("Scaled()", "the network itself (Scaled)")],
)  # fmt: skip
def test_what_cannot_be_reset(plugin, data, body, expected):
    plugin(NETWORK.format(body))
    said = message(train, data, make_cell("wrong"))
    assert f"{expected} has parameters (scale) but no method reset_parameters" in said


@pytest.mark.parametrize(
    ("layer", "has"),
    [
        ("Gain(300, 4)", "weight, bias, gain"),
        ("nn.utils.spectral_norm(nn.Linear(300, 4))", "bias, weight_orig"),
        ("nn.utils.parametrizations.weight_norm(nn.Linear(300, 4, bias=False))", "none"),
    ],
)
def test_a_linear_layer_with_other_parameters(plugin, data, layer, has):
    """Whose initial weights would not be those of the scheme, and not decay."""
    plugin(NETWORK.format(f"nn.Sequential(nn.Flatten(), {layer})"))
    said = message(train, data, make_cell("wrong"))
    assert re.match(r"the layer '1' \(\w+\) must have the parameter weight, perhaps bias, and no other", said)
    assert f"but it has {has};" in said


def test_one_tensor_of_two_names(plugin, data):
    """A file of weights cannot hold it, which was found out after training."""
    plugin(NETWORK.format("nn.Sequential(nn.Flatten(), (one := nn.Linear(300, 300)), one, nn.Linear(300, 4))"))
    said = message(train, data, make_cell("wrong"))
    assert "'1.weight' and '2.weight' of the network are one tensor" in said
