"""What is wrong with a plug-in is named by its file and line, in one message."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from rethinking import registry
from rethinking.analysis.runs import TABLES, Run
from rethinking.claims.measures import NotMeasured
from rethinking.claims.own import own_claims
from rethinking.claims.verdicts import examine
from rethinking.config.loading import check_own_claims, check_titles
from rethinking.corruption import overlays
from rethinking.corruption.overlays import write
from rethinking.data.prepared import digests
from rethinking.measures.complexity import Network, measure_complexity
from rethinking.models import build_model
from rethinking.run.files import UserError, load_array, read_json, save_array, write_json
from rethinking.training.feeders import build_feeder

from .tiny import CPU, make_cell, settings_with, train


def message(action, *arguments):
    """What an action says that must fail."""
    with pytest.raises(UserError) as error:
        action(*arguments)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("def broken(:", 2, "invalid syntax"),
        ("@model('alexnet')\ndef net(image_shape, num_classes): ...", 3, "the model 'alexnet' is taken by"),
        ("@corruption('labels_p0.5')\ndef half(labels): ...", 3, "is taken by"),
        ("@model(NAME)\ndef net(image_shape, num_classes): ...", 3, "literal values"),
        ("@model('net', tilte='Net')\ndef net(image_shape, num_classes): ...", 3, "no option 'tilte'"),
        ("@corruption('x_p{p}')\ndef x(labels): ...", 3, "takes no argument 'p'"),
        ("@corruption('x')\ndef x(labels, seeds): ...", 3, "argument 'seeds' of x is not one of"),
        ("@corruption('x')\ndef x(rng): ...", 3, "first argument of x must be labels or images"),
        ("@claim('x', statement='x', cells=['a'])\ndef x(run): ...", 3, "needs a statement, cells, and"),
        ("@claim('x', statement='x', cells=['a/b/c/d'], at_least=2, at_most=1)\ndef x(run): ...", 3, "no number is above 2 and at most 1"),
        ("@claim('x', statement='x', cells=['a/b/c/d'], above=0, step=0)\ndef x(run): ...", 3, "'step' of @claim must be a positive number"),
        ("x = 1", 1, "registers nothing"),
        ("@corruption('x')\ndef f(labels): ...\n@corruption('y')\ndef f(labels): ...", 3, "f is defined again in line 5"),
        ("@model('x')\nclass F: ...\nfor i in 'a': pass\ndef F(a, b): ...", 3, "F is defined again in line 5"),
        ("from .nets import net", 2, "import 'nets' without the dot"),
        ("def net():\n    from . import nets", 3, "import 'nets' without the dot"),
        ("@model\ndef net(image_shape, num_classes): ...", 2, "write @model('name') on a function or class"),
        ("class A:\n    @model('x')\n    def net(a, b): ...", 3, "at the top of the file"),
        ("@model()\ndef net(image_shape, num_classes): ...", 3, "literal values"),
        ("@model('x', capture='no')\ndef net(a, b): ...", 3, "'capture' of @model must be True or False, not 'no'"),
        ("@dataset('x', published='yes')\ndef x(): ...", 3, "must be True or False, not 'yes'"),
        ("@model('x_p{p}')\ndef net(a, b): ...", 3, "holds parameters, which only corruptions have"),
        ("@model('x')\ndef net(image_shape): ...", 3, "net must take the images' shape"),
        ("@model('x')\ndef net(a, b, depth): ...", 3, "its other arguments need a default"),
        ("@model('..')\ndef net(a, b): ...", 3, "can hold letters"),
        ("@model(123)\ndef net(a, b): ...", 3, "can hold letters"),
        ("@corruption('x_n{n:1..5}')\ndef x(labels, n: int): ...\n@corruption('x_n{m:3..4}')\ndef y(labels, m: int): ...",
         5, "the corruption 'x_n{m:3..4}' is taken by"),
        ("@corruption('x_p{p}_q{p}')\ndef x(labels, p): ...", 3, "parameters such as {p} or {p:0.0..1.0}, each once"),
        ("@corruption('x_p{p:1..0}')\ndef x(labels, p): ...", 3, "the wrong way round"),
        ("@corruption('x', base='y')\ndef x(labels): ...", 3, "no option 'base'"),
        ("@regulariser('none')\ndef x(images): ...", 3, "stands for something else"),
        ("@measure('gap')\ndef x(network): ...", 3, "stands for something else"),
        ("@regulariser('x')\ndef x(labels): ...", 3, "takes no argument 'images'"),
        ("@claim('x', statement='x', cells='a/b/c/d', above=0)\ndef x(run): ...", 3, "must be a list of names"),
        ("@claim('x', statement='x', cells=['a/b/c/d'] * 2, above=0)\ndef x(run): ...", 3, "literal values"),
        ("@claim('x', statement='x', cells=['a/b', 'c'], above=0)\ndef x(run): ...", 3, "must take 2 runs"),
        ("@table('mine', title='Mine')\ndef mine(): ...", 3, "a plug-in cannot register a table"),
    ],
)  # fmt: skip
def test_registrations(plugin, tmp_path, text, line, expected):
    said = message(plugin, f"{text}\n")
    assert said.startswith(f"{tmp_path / 'study.py'}:{line}: ")
    assert expected in said


@pytest.mark.parametrize("name", ["fits_random_labels", "imagenet_parameters", "sgd_finds_minimum_norm"])
def test_name_of_a_claim_of_the_workflow(plugin, name):
    """It would stand twice in claims.csv."""
    file = plugin(
        f"@claim('{name}', statement='s', cells=['digits/true_labels/alexnet/none'], above=0)\ndef c(run): ...\n"
    )
    said = message(check_own_claims)
    assert said.startswith(f"{file}:3: the claim '{name}' is taken by this workflow's '")
    assert said.endswith("'; give it another name")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("@model('a', title='Net')\ndef a(x, y): ...", "@model('b', title='Net')\ndef b(x, y): ...",
         "the title of the model 'b' looks in tables like that of 'a' ({}:3); give it another title"),
        ("@dataset('a')\ndef a(): ...", "@dataset('b', title='CIFAR-10')\ndef b(): ...",
         "the title of the data set 'b' looks in tables like that of 'cifar10' ("),
        ("@measure('a')\ndef a(network): ...", "@measure('b', title='a')\ndef b(network): ...",
         "the title of the measure of complexity 'b' looks in tables like that of 'a' ({}:3)"),
        ("@regulariser('a', heading=('cut', 'out'))\ndef a(images): ...",
         "@regulariser('b', heading=('', 'cut out'))\ndef b(images): ...",
         "the heading of the regulariser 'b' looks in tables like that of 'a' ({}:3); give it another heading"),
        ("@regulariser('a')\ndef a(images): ...",
         "@regulariser('b', heading=('random', 'crop'))\ndef b(images): ...",
         "the heading of the regulariser 'b' looks in tables like that of 'crop' ("),
        ("@corruption('a')\ndef a(labels): ...", "@corruption('random')\ndef b(labels): ...",
         "the name of the corruption 'random' looks in tables like that of 'random_labels' ("),
    ],
)  # fmt: skip
def test_a_title_or_heading_that_is_taken(plugin, first, second, expected):
    """Rows and columns of tables would be one, or look like one."""
    check_titles()
    file = plugin(f"{first}\n{second}\n")
    said = message(check_titles)
    assert said.startswith(f"{file}:5: {expected.format(file)}")


@pytest.mark.parametrize(
    ("body", "line", "expected"),
    [
        ("labels[:-1]", 3, "not whole numbers (40,)"),
        ("labels + 4", 3, "gives labels from 4 to 7, but there are 4 classes"),
        ("labels / 2", 3, "returns float64 (40,), not whole"),
        ("None", 3, "returns None, not whole"),
        ("labels[99]", 4, "IndexError: index 99 is out of bounds"),
        ("exit(3)", 4, "SystemExit: 3"),
    ],
)
def test_corruptions(plugin, prepared, tmp_path, body, line, expected):
    file = plugin(f"@corruption('wrong')\ndef wrong(labels):\n    return {body}\n")
    said = message(write, prepared, tmp_path / "overlay", "wrong", "cifar10", 0)
    assert said.startswith(f"{file}:{line}: ")
    assert expected in said


def test_blocks_of_another_type(plugin, prepared, tmp_path, monkeypatch):
    """float32 would be cut off to the bytes of the first block."""
    monkeypatch.setattr(overlays, "BLOCK", 10)
    file = plugin(
        "import numpy as np\n@corruption('bright')\ndef bright(images, labels):\n"
        "    return images if (labels != labels[0]).any() else images + np.float32(300.5)\n"
    )
    own = shutil.copytree(prepared, tmp_path / "prepared")
    labels = np.sort(load_array(own / "train_labels.npy"))
    labels[:10] = np.arange(10) % 2
    save_array(own / "train_labels.npy", labels)
    manifest = read_json(own / "manifest.json")
    manifest["train"] |= digests(own, "train")
    write_json(own / "manifest.json", manifest)
    said = message(write, own, tmp_path / "overlay", "bright", "cifar10", 0)
    assert said.startswith(f"{file}:4: bright returns uint8 for some images and float32 for others")


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


def test_a_regulariser_that_returns_no_tensor(plugin, data):
    file = plugin("@regulariser('array')\ndef array(images):\n    return images.numpy()\n")
    said = message(train, data, make_cell(regularisers="array"))
    assert said == f"{file}:3: array returns a ndarray, not torch.float32 (16, 3, 10, 10) on cpu"


def test_a_regulariser_that_leaves_the_device(plugin, data):
    """That of no data stands for a GPU."""
    file = plugin("import torch\n@regulariser('noise')\ndef noise(images):\n    return torch.randn(images.shape)\n")
    feeder = build_feeder(data, make_cell(regularisers="noise"), settings_with(), CPU)
    images = torch.zeros(2, 3, 4, 4, device="meta")
    said = message(feeder.changed, *feeder.own, images, feeder.labels[:2], 1, 0)
    tensor = "torch.float32 (2, 3, 4, 4) on"
    assert said == f"{file}:4: noise returns {tensor} cpu, not {tensor} meta"


def test_a_measure_that_is_no_number(plugin):
    file = plugin("@measure('m')\ndef m(network):\n    return 'large'\n")
    torch.manual_seed(0)
    network = build_model("mlp_1x512", (1, 3, 3), 2).eval()
    # The measures of the library come first, and have no logarithm of a norm of 0.
    images, labels = torch.ones(4, 1, 3, 3), torch.zeros(4).long()
    said = message(measure_complexity, Network(network, network, images, labels, 4, 1, 0))
    assert said == f"{file}:3: m returns 'large', not a number"


@pytest.mark.parametrize(
    ("body", "line", "expected"),
    [
        ("None", 3, "c returns None, not a number"),
        (
            "__import__('numpy').ones((3, 9))",
            3,
            "c returns array([[1., 1., 1., 1., 1., 1., 1., 1., 1.], [1., 1., 1., 1., 1., 1., 1., [...], not a number",
        ),
    ],
)
def test_claims(plugin, body, line, expected):
    cell = "digits/true_labels/mlp_1x512/none"
    file = plugin(f"@claim('c', statement='s', cells=['{cell}'], above=0)\ndef c(run):\n    return {body}\n")
    ((check,),) = (claim.checks for claim in own_claims())
    runs = {cell: {0: Run({"cell": "x", "status": "finished"})}}
    assert message(examine, check, runs, "") == f"{file}:{line}: {expected}"
    with pytest.raises(NotMeasured, match="x diverged"):
        check.measure(Run({"cell": "x", "status": "diverged"}))


@pytest.mark.parametrize(
    ("body", "said", "meant"),
    [
        ("run.summary['wall_second']", "KeyError: 'wall_second'", "wall_seconds"),  # not a missing number
        ("run.curve['train_acuracy'].iloc[-1]", "KeyError: 'train_acuracy'", "train_accuracy"),
        ("run.curve.iloc[-1]['train_acuracy']", "KeyError: 'train_acuracy'", "train_accuracy"),
        ("run.curve.train_acuracy.max()", "AttributeError: 'DataFrame' object has no attribute 'train_acuracy'", "train_accuracy"),
        ("run.sumary['cell']", "AttributeError: 'Run' object has no attribute 'sumary'", "summary"),
        ("run.curve['cell']", "KeyError: 'cell'", None),
        ("run.measured['path_nrm']", "KeyError: 'path_nrm'", "path_norm"),
        ("run.measured['all_chnge']", "KeyError: 'all_chnge'", "all_change"),
        ("run.summary['train_acuracy']", "KeyError: 'train_acuracy'", "train_accuracy"),  # only the other run has it
        ("run.memorisation.changed_accuracy_giv", "AttributeError: 'DataFrame' object has no attribute 'changed_accuracy_giv'", "changed_accuracy_given"),
    ],
)  # fmt: skip
def test_a_misspelt_name_in_a_claim(plugin, body, said, meant):
    names = ["digits/true_labels/mlp_1x512/none", "digits/random_labels/mlp_1x512/none"]
    file = plugin(f"@claim('c', statement='s', cells={names}, above=0)\ndef c(other, run):\n    return {body}\n")
    ((check,),) = (claim.checks for claim in own_claims())
    summary = {"cell": "x", "status": "finished"}
    tables = {name: pd.DataFrame(0.0, [0], [*columns]) for name, columns in TABLES.items()}
    runs = [Run(summary | more, **tables) for more in ({"train_accuracy": 9.0}, {"wall_seconds": 1.0})]
    hint = f"did you mean '{meant}'? " if meant else ""
    assert message(examine, check, {name: {0: run} for name, run in zip(names, runs, strict=True)}, "") == (
        f"{file}:4: {said}; {hint}run.summary has cell, status, train_accuracy, wall_seconds, and run.measured has "
        f"{', '.join(registry.names('measure'))}, test_change, all_change, mean_change, changed_predictions, and "
        "run.curve has epoch, step, train_loss, train_accuracy, train_loss_end, train_accuracy_end, test_accuracy, "
        "test_accuracy_corrupted, and run.memorisation has epoch, unchanged_accuracy, changed_accuracy_given, "
        "changed_accuracy_true"
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("run.measured['path_norm']", "x has no complexity.json with path_norm"),
        ("run.measured['sharpness'] + 1", "x has a complexity.json without a number for sharpness"),  # undefined
        (
            "run.measured['all_change']",
            "x has a stability.json of an earlier network ('snakemake capacity' without finished_only makes it again)",
        ),
        ("run.measured.get('path_norm')", "seed0 has nothing to measure"),
        ("run.curve.set_index('epoch').test_accuracy.loc[50]", "seed0 has nothing to measure (KeyError: 50)"),
    ],
)
def test_a_number_that_a_network_lacks_leaves_a_claim_undecided(plugin, body, reason):
    cell = "digits/true_labels/mlp_1x512/none"
    plugin(f"@claim('c', statement='s', cells=['{cell}'], above=0)\ndef c(run):\n    return {body}\n")
    ((check,),) = (claim.checks for claim in own_claims())
    curve = pd.DataFrame({"epoch": [0, 1], "test_accuracy": [10.0, 20.0]})
    measured, unread = {"sharpness": None}, {"stability.json": "a stability.json of an earlier network"}
    run = Run({"cell": "x", "status": "finished"}, curve, measured=measured, unread=unread)
    assert examine(check, {cell: {0: run}}, "").reasons[0] == reason


def test_the_measures_that_a_network_has_are_those_of_a_dict(plugin):
    cell = "digits/true_labels/mlp_1x512/none"
    body = "run.measured.get('sharpness', 2) + len(run.measured) + sum(dict(run.measured).values()) + ('path_norm' in run.measured)"
    plugin(f"@claim('c', statement='s', cells=['{cell}'], above=0)\ndef c(run):\n    return {body}\n")
    ((check,),) = (claim.checks for claim in own_claims())
    measured = {"distance": 4.0, "frobenius_product": 8.0, "sharpness": None, "images": 500}
    run = Run({"cell": "x", "status": "finished"}, pd.DataFrame(), measured=measured)
    assert check.measure(run) == 2 + 2 + 12


def test_an_error_in_a_claim_outside_the_plugin_keeps_its_text(plugin):
    cell = "digits/true_labels/mlp_1x512/none"
    claim = f"@claim('c', statement='s', cells=['{cell}'], above=0)\ndef c(run):\n    return 0\n"
    file = plugin(claim + """c = eval("lambda run: run.summary['n']")\n""")
    ((check,),) = (claim.checks for claim in own_claims())
    runs = {cell: {0: Run({"cell": "x", "status": "finished"})}}
    said = message(examine, check, runs, "")
    assert re.fullmatch(rf"{re.escape(str(file))}:\d: KeyError: 'n'; run\.summary has cell, status, .*", said)
