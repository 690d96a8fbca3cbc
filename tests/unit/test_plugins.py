"""What plug-ins add, and messages on wrong ones."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rethinking import paper, registry
from rethinking.analysis.aggregation import aggregate_cell, describe_data
from rethinking.analysis.differences import compare
from rethinking.analysis.runs import Run, published_over_p
from rethinking.cells import Cell, parameters, probability
from rethinking.claims.measures import NotMeasured
from rethinking.claims.own import own_claims
from rethinking.claims.report import claims_table, judge
from rethinking.claims.verdicts import examine
from rethinking.config.loading import load_config
from rethinking.corruption import overlays
from rethinking.corruption.overlays import write
from rethinking.data.readers import read_dataset
from rethinking.measures.complexity import Network, measure_complexity
from rethinking.models import build_model, parameter_count
from rethinking.models.initialisation import initialise
from rethinking.run import code
from rethinking.run.code import combined, script_code
from rethinking.run.files import UserError, load_array, read_json, save_array, write_json

from ..default_config import default_values
from .test_differences import epochs_table, ratios
from .tiny import train, without_seconds

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
HEAD = "from rethinking.registry import model\n"


@pytest.fixture(autouse=True)
def no_plugins_left():
    yield
    registry.load([])


@pytest.fixture
def examples():
    files = sorted(EXAMPLES.glob("*.py"))
    registry.load(files)
    return files


# --- the examples of docs/extending.md -----------------------------------------------------------------


def test_examples_are_short(examples):
    assert len(examples) == 5
    for file in examples:
        assert len(file.read_text().splitlines()) <= 60


def test_wide_resnet_has_the_parameters_of_the_first_author(examples):
    assert parameter_count(build_model("wrn_28_1", (3, 28, 28), 10)) == 369_498
    assert parameter_count(build_model("wrn_28_1", (3, 28, 28), 10, blocks=1)) < 369_498


def test_weights_of_all_layers_follow_from_the_generator(examples):
    def weights(seed):
        torch.manual_seed(np.random.default_rng().integers(2**31))
        model = build_model("wrn_28_1", (3, 10, 10), 4)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight)
        initialise(model, "he_normal", torch.Generator().manual_seed(seed))
        return nn.utils.parameters_to_vector(model.parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_asymmetric_noise_is_nested(examples, prepared, tmp_path):
    true = np.array(load_array(prepared / "train_labels.npy"))
    changed = []
    for p in (0.4, 0.8):
        write(prepared, tmp_path, f"asymmetric_p{p}", "cifar10", seed=0)
        labels = np.array(load_array(tmp_path / "train_labels.npy"))
        assert set((labels - true) % 4) == {0, 1}
        changed.append(labels != true)
    assert 0 < changed[0].sum() < changed[1].sum()
    assert not (changed[0] & ~changed[1]).any()
    assert parameters("asymmetric_p0.4") == {"p": 0.4}
    assert probability("asymmetric_p0.4") == 0.4


def test_own_images_have_their_own_name(examples, images):
    dataset, verified = read_dataset("shapes", "plugin", images)
    assert verified
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.images.shape == (6, 3, 4, 5)


def test_the_papers_numbers_are_not_shown_beside_own_data(examples):
    row = aggregate_cell("shapes/true_labels/alexnet/none", [], paper.table1())
    assert row["paper_test_accuracy"] is None
    assert published_over_p({"alexnet": [(0.5, 2.0)]}, ("shapes", "alexnet", "none")) == {}
    loss = epochs_table("gaussian", "inception", "train_loss_end", [3.0, 2.0])
    tables = {"fig1a": loss, "fig1b": ratios("alexnet", "99 %", 3 * [1.0], 3 * [1.0])}
    published = {"fig1a": {"gaussian": np.ones((4, 2))}, "fig1b": {"alexnet": np.ones((3, 2))}}
    assert len(compare(tables, published)) == 2
    assert compare({name: each.assign(dataset="shapes") for name, each in tables.items()}, published).empty
    counts = {part: {"count": 6, "full_count": 6} for part in ("train", "test")}
    data = {"dataset": "shapes", "provenance": None, "source": {"kind": "plugin"}, **counts}
    assert describe_data({"data": data}) == "Shapes, 6 training images"


def test_an_own_cell_trains_as_its_seed_says(examples, data):
    cell = Cell.parse("shapes/asymmetric_p0.4/wrn_28_1/none/seed0")
    first, second = (train(data, cell, epochs=1) for _ in range(2))
    assert without_seconds(first.curve) == without_seconds(second.curve)
    assert np.isfinite(first.curve[-1]["train_loss"])


def test_complexity_says_what_it_cannot_measure(examples, capsys):
    model, initial = (build_model("wrn_28_1", (3, 10, 10), 4, blocks=1).eval() for _ in range(2))
    images = torch.randn(20, 3, 10, 10)
    found = measure_complexity(Network(model, initial, images, model(images).argmax(1), 20, 1, 0))
    assert found["parameters"] == parameter_count(model)
    assert found["distance"] > 0
    assert found["path_norm"] is None
    weights = torch.cat([each.detach().flatten() for each in model.parameters()])
    assert found["l1_norm"] == pytest.approx(float(weights.abs().sum().log10()), abs=1e-5)
    assert "(BatchNorm2d)" in capsys.readouterr().out


def test_the_claim_of_the_example(examples):
    (claim,) = own_claims()
    (check,) = claim.checks
    assert check.cells == ("shapes/asymmetric_p0.4/wrn_28_1/none",)
    assert (check.above, check.at_least) == (0, None)


def test_a_plugin_counts_for_the_cells_that_use_it(plugin):
    def codes(noise):
        plugin(
            "import torch.nn as nn\n"
            "@model('flat')\ndef flat(image_shape, num_classes):\n    return nn.Flatten()\n"
            f"@corruption('noisy')\ndef noisy(labels):\n    return labels + {noise}\n"
        )
        code.parse.cache_clear()
        code.examine.cache_clear()
        entries = registry.entry("model", "flat"), registry.entry("corruption", "noisy")
        return [combined(script_code("train_cell", [entry.root])) for entry in entries]

    before, after = codes(1), codes(2)
    assert before[0] == after[0]
    assert before[1] != after[1]


# --- regularisers --------------------------------------------------------------------------------------


def test_a_regulariser_changes_batches(plugin, data):
    text = "@regulariser('dark')\ndef dark(images, rng):\n    return images * float(rng.random())\n"
    plugin(text)
    dark = Cell.parse("cifar10/labels_p0.5/mlp_1x512/dark/seed0")
    first, second = (train(data, dark, epochs=1) for _ in range(2))
    assert without_seconds(first.curve) == without_seconds(second.curve)
    plain = train(data, Cell.parse("cifar10/labels_p0.5/mlp_1x512/none/seed0"), epochs=1)
    assert first.curve[-1]["train_loss"] != plain.curve[-1]["train_loss"]
    assert str(Cell.parse("cifar10/labels_p0.5/mlp_1x512/crop+dark/seed0")).count("crop+dark") == 1


def test_a_regulariser_works_in_float32_in_every_precision(plugin, data):
    plugin(
        "import torch\n@regulariser('noisy')\ndef noisy(images, rng):\n"
        "    return images + torch.from_numpy(rng.standard_normal(images.shape)).float()\n"
    )
    noisy = Cell.parse("cifar10/labels_p0.5/mlp_1x512/noisy/seed0")
    assert len(train(data, noisy, epochs=1, precision="bfloat16").curve) == 2


# --- wrong plug-ins ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("def broken(:\n", 2, "invalid syntax"),
        ("@model('alexnet')\ndef net(image_shape, num_classes): ...\n", 3, "the model 'alexnet' is taken by"),
        ("@corruption('labels_p0.5')\ndef half(labels): ...\n", 3, "is taken by"),
        ("@model(NAME)\ndef net(image_shape, num_classes): ...\n", 3, "literal values"),
        ("@model('net', tilte='Net')\ndef net(image_shape, num_classes): ...\n", 3, "no option 'tilte'"),
        ("@corruption('x_p{p}')\ndef x(labels): ...\n", 3, "takes no argument 'p'"),
        ("@corruption('x')\ndef x(labels, seeds): ...\n", 3, "argument 'seeds' of x is not one of"),
        ("@corruption('x')\ndef x(rng): ...\n", 3, "first argument of x must be labels or images"),
        ("@claim('x', statement='x', cells=['a'])\ndef x(run): ...\n", 3, "needs a statement, cells, and"),
        ("x = 1\n", 1, "registers nothing"),
        ("from .nets import net\n", 2, "import 'nets' without the dot"),
        ("def net():\n    from . import nets\n", 3, "import 'nets' without the dot"),
        (
            "@model\ndef net(image_shape, num_classes): ...\n",
            2,
            "write @model('name') on a function or class",
        ),
        ("class A:\n    @model('x')\n    def net(a, b): ...\n", 3, "at the top of the file"),
        ("@model()\ndef net(image_shape, num_classes): ...\n", 3, "literal values"),
        (
            "@model('x', capture='no')\ndef net(a, b): ...\n",
            3,
            "'capture' of @model must be True or False, not 'no'",
        ),
        ("@model('x_p{p}')\ndef net(a, b): ...\n", 3, "holds parameters, which only corruptions have"),
        ("@model('x')\ndef net(image_shape): ...\n", 3, "net must take the images' shape"),
        ("@model('x')\ndef net(a, b, depth): ...\n", 3, "its other arguments need a default"),
        ("@model('..')\ndef net(a, b): ...\n", 3, "can hold letters"),
        ("@model(123)\ndef net(a, b): ...\n", 3, "can hold letters"),
        (
            "@corruption('x_n{n:1..5}')\ndef x(labels, n: int): ...\n"
            "@corruption('x_n{m:3..4}')\ndef y(labels, m: int): ...\n",
            5,
            "the corruption 'x_n{m:3..4}' is taken by",
        ),
        (
            "@corruption('x_p{p}_q{p}')\ndef x(labels, p): ...\n",
            3,
            "parameters such as {p} or {p:0.0..1.0}, each once",
        ),
        ("@corruption('x_p{p:1..0}')\ndef x(labels, p): ...\n", 3, "the wrong way round"),
        ("@corruption('x', base='y')\ndef x(labels): ...\n", 3, "no option 'base'"),
        ("@regulariser('none')\ndef x(images): ...\n", 3, "stands for something else"),
        ("@regulariser('x')\ndef x(labels): ...\n", 3, "takes no argument 'images'"),
        (
            "@claim('x', statement='x', cells='a/b/c/d', above=0)\ndef x(run): ...\n",
            3,
            "must be a list of names",
        ),
        (
            "@claim('x', statement='x', cells=['a/b/c/d'] * 2, above=0)\ndef x(run): ...\n",
            3,
            "literal values",
        ),
        ("@claim('x', statement='x', cells=['a/b', 'c'], above=0)\ndef x(run): ...\n", 3, "must take 2 runs"),
    ],
)
def test_wrong_registrations_are_named(plugin, tmp_path, text, line, message):
    with pytest.raises(UserError) as error:
        plugin(text)
    assert str(error.value).startswith(f"{tmp_path / 'study.py'}:{line}: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ("labels[:-1]", 3, "not whole numbers (40,)"),
        ("labels + 4", 3, "gives labels from 4 to 7, but there are 4 classes"),
        ("labels / 2", 3, "returns float64"),
        ("labels[99]", 4, "IndexError: index 99 is out of bounds"),
    ],
)
def test_wrong_corruptions_are_named(plugin, prepared, tmp_path, body, line, message):
    file = plugin(f"@corruption('wrong')\ndef wrong(labels):\n    return {body}\n")
    with pytest.raises(UserError) as error:
        write(prepared, tmp_path / "overlay", "wrong", "cifar10", seed=0)
    assert str(error.value).startswith(f"{file}:{line}: ")
    assert message in str(error.value)


def test_blocks_of_another_type_are_refused(plugin, prepared, tmp_path, monkeypatch):
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
    write_json(own / "manifest.json", read_json(own / "manifest.json") | {"train": {"count": 40}})
    with pytest.raises(UserError) as error:
        write(own, tmp_path / "overlay", "bright", "cifar10", seed=0)
    assert str(error.value).startswith(
        f"{file}:4: bright returns uint8 for some images and float32 for others"
    )


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ("nn.Sequential(nn.Flatten(), nn.Linear(300, 7))", 4, "into (2, 7), not logits (2, 4)"),
        ("nn.Sequential(nn.Flatten(), nn.LSTM(300, 4))", 4, "into a tuple, not logits (2, 4)"),
        ("nn.Sequential(nn.Flatten(), nn.Linear(30, 4))", None, "(2x300 and 30x4), on images (2, 3, 10, 10)"),
        ("1 / 0", 5, "ZeroDivisionError"),
        ("__import__('nosuch')", 5, "No module named 'nosuch' beside the plug-in or in "),
        ("None", 4, "returns None, not a torch.nn.Module"),
        (
            "nn.Sequential(nn.Flatten(), nn.LazyLinear(4))",
            4,
            "has lazy layers; give each the size of its input",
        ),
        ("nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(4))", 4, "has no trainable parameter"),
    ],
)
def test_wrong_networks_are_named(plugin, data, body, line, message):
    file = plugin(
        f"from torch import nn\n@model('wrong')\ndef wrong(image_shape, num_classes):\n    return {body}\n"
    )
    with pytest.raises(UserError) as error:
        train(data, Cell.parse("cifar10/labels_p0.5/wrong/none/seed0"))
    assert str(error.value).startswith(f"{file}:{line or 4}: ")
    assert message in str(error.value)


def test_dropout_in_evaluation_is_refused(plugin, data):
    file = plugin(
        "from torch import nn\nclass Net(nn.Linear):\n    def forward(self, x):\n"
        "        return super().forward(nn.functional.dropout(x.flatten(1)))\n"
        "@model('dropped')\ndef dropped(image_shape, num_classes):\n    return Net(300, num_classes)\n"
    )
    with pytest.raises(UserError) as error:
        train(data, Cell.parse("cifar10/labels_p0.5/dropped/none/seed0"))
    assert str(error.value).startswith(
        f"{file}:7: the network 'dropped' draws random numbers in evaluation mode"
    )


def test_a_regulariser_that_returns_no_tensor_is_named(plugin, data):
    file = plugin("@regulariser('array')\ndef array(images):\n    return images.numpy()\n")
    with pytest.raises(UserError) as error:
        train(data, Cell.parse("cifar10/labels_p0.5/mlp_1x512/array/seed0"))
    assert str(error.value) == f"{file}:3: array returns a ndarray, not torch.float32 (16, 3, 10, 10)"


def test_a_layer_that_cannot_be_reset_is_refused(plugin, data):
    plugin(
        "import torch\nfrom torch import nn\n"
        "class Scale(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.scale = nn.Parameter(torch.rand(1))\n"
        "    def forward(self, x):\n        return self.scale * x\n"
        "@model('scaled')\ndef scaled(image_shape, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), Scale(), nn.Linear(300, num_classes))\n"
    )
    with pytest.raises(
        UserError, match=r"'1' \(Scale\) has parameters \(scale\) but no method reset_parameters"
    ):
        train(data, Cell.parse("cifar10/labels_p0.5/scaled/none/seed0"))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("1", "must return a Dataset, or"),
        ("x, y, x, y, 2", "must return a Dataset, or"),
        ("x, y, x[:, 0], y, 'ab'", "not uint8 (n, 1 or 3, height, width)"),
        ("x, y + 2, x, y, 'ab'", "training labels from 2 to 2, but 2 names"),
        ("x, y[:3], x, y, 'ab'", "gives 4 training images, but labels of int64 (3,)"),
    ],
)
def test_wrong_data_sets_are_named(plugin, returned, message):
    file = plugin(
        "import numpy as np\n@dataset('own')\ndef own():\n"
        f"    x, y = np.zeros((4, 1, 5, 5), np.uint8), np.zeros(4, int)\n    return {returned}\n"
    )
    with pytest.raises(UserError) as error:
        read_dataset("own", "plugin", None)
    assert str(error.value).startswith(f"{file}:4: own ")
    assert message in str(error.value)


def test_what_a_measure_or_a_claim_returns_must_be_a_number(plugin):
    file = plugin(
        "@measure('m')\ndef m(network):\n    return 'large'\n"
        "@claim('c', statement='s', cells=['digits/true_labels/mlp_1x512/none'], above=0)\ndef c(run): ...\n"
    )
    measure = own_claims()[0].checks[0].measure
    with pytest.raises(UserError) as error:
        measure(Run({"cell": "x", "status": "finished"}))
    assert str(error.value) == f"{file}:6: c returns None, not a number"
    with pytest.raises(NotMeasured, match="x diverged"):
        measure(Run({"cell": "x", "status": "diverged"}))
    torch.manual_seed(0)
    network = build_model("mlp_1x512", (1, 3, 3), 2).eval()
    images = torch.ones(
        4, 1, 3, 3
    )  # the measures of the library come first, and have no logarithm of a norm of 0
    with pytest.raises(UserError) as error:
        measure_complexity(Network(network, network, images, torch.zeros(4).long(), 4, 1, 0))
    assert str(error.value) == f"{file}:3: m returns 'large', not a number"


def test_a_bar_in_a_statement_begins_no_column(plugin):
    plugin(
        "@claim('c', statement='|a - b| is small.', cells=['digits/true_labels/mlp_1x512/none'], above=0)\n"
        "def c(run):\n    return 1\n"
    )
    *_, row = claims_table(judge({}, "", own_claims())).splitlines()
    assert row.startswith("| \\|a - b\\| is small. | own |")


def test_a_misspelt_name_in_a_claim_is_no_missing_number(plugin):
    file = plugin(
        "@claim('c', statement='s', cells=['digits/true_labels/mlp_1x512/none'], above=0)\n"
        "def c(run):\n    return run.summary['train_acuracy']\n"
    )
    runs = {"digits/true_labels/mlp_1x512/none": {0: Run({"cell": "x", "status": "finished"})}}
    with pytest.raises(UserError) as error:
        examine(own_claims()[0].checks[0], runs, "")
    assert str(error.value) == f"{file}:4: KeyError: 'train_acuracy'"


def test_an_error_in_a_module_beside_a_plugin_has_its_place(plugin, prepared, tmp_path):
    helper = tmp_path / "helper_with_an_error.py"
    helper.write_text("def shift(labels):\n    return labels[99]\n")
    plugin(
        "from helper_with_an_error import shift\n"
        "@corruption('wrong')\ndef wrong(labels):\n    return shift(labels)\n"
    )
    with pytest.raises(UserError) as error:
        write(prepared, tmp_path / "overlay", "wrong", "cifar10", seed=0)
    assert str(error.value).startswith(f"{helper}:2: IndexError")


def test_plugins_of_one_name_and_what_lies_beside_them(tmp_path):
    files = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "study.py")
        files[-1].write_text(
            f"{HEAD}from helper_of_{folder} import LAYER\n"
            f"class Net(LAYER): ...\n@model('{folder}')\ndef net(image_shape, num_classes):\n    return Net()\n"
        )
        helper = f"from torch import nn\nclass LAYER(nn.Module):\n    place = '{folder}'\n"
        (tmp_path / folder / f"helper_of_{folder}.py").write_text(helper)
    registry.load(files)
    nets = [build_model(folder, (1, 2, 2), 2) for folder in ("a", "b")]
    assert [net.place for net in nets] == ["a", "b"]
    assert [net.place for net in pickle.loads(pickle.dumps(nets))] == ["a", "b"]


def test_bounds_that_leave_out_the_usual_numbers_have_names(plugin):
    plugin("@corruption('shift_n{n:1..5}')\ndef shift(labels, n: int): ...\n")
    assert "shift_n5" in registry.entry("corruption", "shift_n3").examples()


def study(folder, module):
    """A plug-in in a folder of its own, and a module that it imports."""
    folder.mkdir()
    text = f"{HEAD}from {module} import X\n@model('net_{folder.name}')\ndef net(image_shape, num_classes): return X\n"
    file = folder / "study.py"
    file.write_text(text)
    (folder / f"{module}.py").write_text(f"X = '{folder.name}'\n")
    return file


def test_modules_of_one_name_are_refused(tmp_path):
    """Python would import one of them for both plug-ins."""
    files = [study(tmp_path / folder, "helpers") for folder in ("a", "b")]
    with pytest.raises(
        UserError, match=r"b/helpers\.py: plug-ins in .*/a have a module 'helpers' too.*rename one"
    ):
        registry.load(files)
    with pytest.raises(
        UserError, match=r"statistics\.py: 'statistics' is a module of Python; give yours another name"
    ):
        registry.load([study(tmp_path / "c", "statistics")])


def test_both_files_of_one_name_count(tmp_path):
    """Modules in folders beside a plug-in, each used by another definition."""
    for folder in ("nets", "noise"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "common.py").write_text("def make():\n    return 1\n")
    text = "from nets import common\nfrom noise import common as other\n"
    text += "def net():\n    return common.make() + other.make()\n"
    (tmp_path / "study.py").write_text(text)

    def identity():
        code.parse.cache_clear()
        code.examine.cache_clear()
        return code.combined(code.code_of((tmp_path / "study.py", "net")))

    found = [identity()]
    for folder in ("nets", "noise"):
        (tmp_path / folder / "common.py").write_text("def make():\n    return 2\n")
        found.append(identity())
    assert len(set(found)) == 3


def test_paths_of_plugins_are_those_of_other_files(tmp_path, monkeypatch):
    file = study(tmp_path / "a", "helpers")
    monkeypatch.setenv("STUDY", str(file.parent))
    values = default_values() | {"plugins": ["$STUDY/study.py"]}
    assert load_config(values, []).plugins == [str(file)]
    with pytest.raises(UserError, match="the path of a plug-in cannot hold ':'"):
        registry.load([study(tmp_path / "b:c", "other")])


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"nowhere.py cannot be read .*; correct 'plugins'"):
        registry.load(["nowhere.py"])


@pytest.mark.parametrize("body", ["return images // s", "images //= s\n    return images"])
def test_pixels_can_be_corrupted(plugin, prepared, tmp_path, body):
    plugin(f"@corruption('dim_s{{s:1..}}')\ndef dim(images, s: int):\n    {body}\n")
    write(prepared, tmp_path, "dim_s3", "cifar10", seed=0)
    before = np.array(load_array(prepared / "train_images.npy"))
    np.testing.assert_array_equal(load_array(tmp_path / "train_images.npy"), before // 3)
    for wrong in ("dim_s0", "dim_s03", "dim_s1.5", "dim_s"):
        with pytest.raises(UserError, match="unknown corruption"):
            Cell.from_name(f"cifar10/{wrong}/mlp_1x512/none", 0)
