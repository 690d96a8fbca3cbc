"""Edits change the fingerprints of what they decide and of nothing else."""

import shutil

import pytest

from rethinking.models import MODELS
from rethinking.run import fingerprint as module
from rethinking.run.fingerprint import cell_code, cell_fingerprint, combined, data_code, fingerprint


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A copy of the library that can be edited."""
    copy = tmp_path / "rethinking"
    shutil.copytree(module.LIBRARY, copy)
    monkeypatch.setattr(module, "LIBRARY", copy)
    forget()
    yield copy
    forget()


def forget():
    module.examine.cache_clear()


def edit(library, name, old, new):
    path = library / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def stale_after(library, name, old, new):
    """Models whose cells an edit makes stale."""
    before = {model: cell_fingerprint(model, "true_labels") for model in MODELS}
    edit(library, name, old, new)
    forget()
    return {model for model in MODELS if cell_fingerprint(model, "true_labels") != before[model]}


CORRUPTIONS = {
    "labels": "labels_p0.5",
    "pixels": "gaussian",
    "signs": "random_signs_n500",
    "replacements": "true_labels_replaced0",
}
INCEPTIONS = {"inception", "inception_no_bn"}
MLPS = {"mlp_3x512", "mlp_1x512"}


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        ("models/mlp.py", "nn.ReLU()", "nn.Tanh()", MLPS),
        ("models/alexnet.py", "quarter, 384", "quarter, 385", {"alexnet"}),
        ("models/inception.py", "(32, 48)", "(32, 49)", INCEPTIONS),
        ("models/layers.py", "total // 2", "total // 3", INCEPTIONS | {"alexnet"}),
        ("models/initialisation.py", "math.sqrt(6", "math.sqrt(5", set(MODELS)),
        ("training/loop.py", "epoch - 1", "epoch", set(MODELS)),
        ("training/batches.py", "25.0", "24.0", set(MODELS)),
        ("training/preprocessing.py", "min=255", "min=256", set(MODELS)),
        ("streams.py", "str(seed)", "repr(seed)", set(MODELS)),
        # Comments, docstrings and formatting decide nothing.
        ("training/loop.py", "# ---- epochs", "# ---- passes", set()),
        ("models/mlp.py", "Fully connected network", "Network", set()),
        ("models/mlp.py", "[512, 512, 512]", "[\n        512, 512,\n        512\n    ]", set()),
        # Neither does code that only names, writes or shows.
        ("figures/style.py", "200", "300", set()),
        ("analysis/aggregation.py", "seeds", "runs", set()),
        ("run/files.py", "1024", "2048", set()),
        ("models/__init__.py", '"mlp_3x512": ', '"mlp_9x9": ("mlp", "mlp_9x9"),\n    "mlp_3x512": ', set()),
        ("cells.py", "DATASETS = (", 'DATASETS = ("svhn", ', set()),
    ],
)
def test_an_edit_makes_the_cells_stale_that_it_concerns(library, name, old, new, stale):
    assert stale_after(library, name, old, new) == stale


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        # A replaced example takes its label from the draws of labels.
        ("labels", "thresholds < p", "thresholds <= p", {"labels", "replacements"}),
        ("pixels", "standard_normal", "standard_cauchy", {"pixels"}),
        ("signs", "integers(2", "integers(1, 2", {"signs"}),
        ("replacements", "replaced example", "other example", {"replacements"}),
        ("loading", "train_labels=np.array(", "train_labels=np.asarray(", set(CORRUPTIONS)),
    ],
)
def test_draws_make_the_cells_stale_whose_corruption_they_are(library, name, old, new, stale):
    before = {kind: cell_fingerprint("mlp_1x512", corruption) for kind, corruption in CORRUPTIONS.items()}
    edit(library, f"corruption/{name}.py", old, new)
    forget()
    after = {kind: cell_fingerprint("mlp_1x512", corruption) for kind, corruption in CORRUPTIONS.items()}
    assert {kind for kind in CORRUPTIONS if after[kind] != before[kind]} == stale


def test_rules_have_fingerprints_of_their_own(library):
    before = fingerprint("rethinking.figures.style"), fingerprint("rethinking.data.readers")
    edit(library, "figures/style.py", "200", "300")
    forget()
    assert fingerprint("rethinking.figures.style") != before[0]
    assert fingerprint("rethinking.data.readers") == before[1]


def test_code_of_a_cell_names_the_module_that_was_edited(library):
    before = cell_code("inception", "gaussian")
    expected = {"training.loop", "models.inception", "corruption.loading", "corruption.pixels"}
    assert {f"rethinking.{name}" for name in expected} <= before.keys()
    assert not before.keys() & {"rethinking.models.mlp", "rethinking.figures.style", *module.NEUTRAL}
    edit(library, "streams.py", "str(seed)", "repr(seed)")
    forget()
    after = cell_code("inception", "gaussian")
    assert {name for name in before if after[name] != before[name]} == {"rethinking.streams"}


def test_fingerprint_of_a_cell_is_over_its_code():
    assert cell_fingerprint("alexnet", "gaussian") == combined(cell_code("alexnet", "gaussian"))
    assert combined({"one": "1", "two": "2"}) == combined({"two": "2", "one": "1"})
    assert combined({"one": "1", "two": "2"}) != combined({"one": "2", "two": "1"})


def test_code_of_a_prepared_data_set(library):
    before = data_code()
    assert {"rethinking.data.readers", "rethinking.data.prepared"} <= before.keys()
    edit(library, "data/readers.py", "255 / 16", "254 / 16")
    forget()
    assert {name for name in before if data_code()[name] != before[name]} == {"rethinking.data.readers"}


def test_a_hash_is_the_same_in_every_version_of_python():
    # Versions differ in the empty fields that a node has, such as type_params.
    tree = module.ast.parse("def double(x, /):\n    return 2 * x")
    name, load = ("id", "x"), ("ctx", ["Load"])
    product = [
        "BinOp",
        ("left", ["Constant", ("value", 2)]),
        ("op", ["Mult"]),
        ("right", ["Name", name, load]),
    ]
    function = [
        "FunctionDef",
        ("name", "double"),
        ("args", ["arguments", ("posonlyargs", [["arg", ("arg", "x")]])]),
        ("body", [["Return", ("value", product)]]),
    ]
    assert module.plain(tree) == ["Module", ("body", [function])]


def test_neutral_modules_exist():
    assert all(module.source(name).exists() for name in module.NEUTRAL)
