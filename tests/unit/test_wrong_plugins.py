"""What is wrong with a plug-in is named by its file and line, in one message."""

import shutil

import numpy as np
import pytest
import torch

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
