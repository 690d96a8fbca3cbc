"""Which code of the library decides a number: every edit that can change one is seen, and no other."""

import ast
import shutil

import pytest

from rethinking import registry
from rethinking.run import code as module
from rethinking.run.code import SCRIPTS, combined, parse, relative, script_code
from rethinking.run.syntax import plainly

MODELS = registry.names("model")

LIBRARY = SCRIPTS / "rethinking"
# Code on which no script's numbers depend, and why.
DECIDES_NOTHING = {
    "cells.py: UnknownName": "texts of errors",
    "claims/own.py: known_names": "texts of errors",
    "corruption/overlays.py: type_of": "texts of errors",
    "data/archives.py: _remedy": "texts of errors",
    "data/decoding.py: _fault": "texts of errors",
    "data/download.py: _explain": "texts of errors",
    "data/image_checksums.py: _digests": "its value is part of the identity of prepared images",
    "data/image_checksums.py: _entries": "its value is part of the identity of prepared images",
    "data/image_checksums.py: states": "its value is part of the identity of prepared images",
    "data/image_checksums.py: images_digest": "its value is part of the identity of prepared images",
    "data/image_checksums.py: to_stderr": "lines of progress",
    "data/image_files.py: listed": "texts of errors",
    "data/published.py: _what_is_missing": "texts of errors",
    "data/published.py: what_lies_in": "texts of errors",
    "models/__init__.py: training_megaflops": "shares out cells to jobs",
    "models/initialisation.py: named": "texts of errors",
    "registry.py: advice": "texts of errors",
    "registry.py: described": "texts of errors",
    "registry.py: form": "texts of errors",
    "registry.py: registration": "it returns a function unchanged",
    "registry.py: unknown": "texts of errors",
    "registry.py: titles": "its value, what things are called, is part of the identity of what shows them",
    "registry.py: with_numbers": "texts of errors",
    "report/layout.py: place_of": "captions for Snakemake's own report",
}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the scripts and the library that a test can edit."""
    folder = tmp_path / "workflow_scripts"
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "SCRIPTS", folder)
    monkeypatch.setattr(module, "LIBRARY", folder / "rethinking")
    monkeypatch.setattr(module, "RUN", folder / "rethinking" / "run")
    reader = [(folder / "rethinking" / path.relative_to(LIBRARY), name) for path, name in module.READS_IMAGES]
    monkeypatch.setattr(module, "READS_IMAGES", reader)
    forget()
    yield folder
    forget()


def forget():
    module.source.cache_clear()
    module.parse.cache_clear()
    module.examine.cache_clear()


def edit(folder, name, old, new):
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    forget()


def root_in(folder, kind, name):
    file, function = registry.entry(kind, name).root
    return folder / "rethinking" / file.relative_to(LIBRARY), function


@pytest.fixture(scope="module")
def before():
    return cells(SCRIPTS)


def cells(folder):
    return {name: combined(script_code("train_cell", [root_in(folder, "model", name)])) for name in MODELS}


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        ("models/mlp.py", "nn.ReLU()", "nn.Tanh()", {"mlp_3x512", "mlp_1x512"}),
        ("models/mlp.py", "[512, 512, 512]", "[512, 512]", {"mlp_3x512"}),
        ("models/alexnet.py", "mul_(1.5 * ctx.a)", "mul_(1.6 * ctx.a)", {"alexnet"}),
        ("training/loop.py", "epoch - 1", "epoch", set(MODELS)),
        ("training/batches.py", "25.0", "24.0", set(MODELS)),
        ("training/preprocessing.py", "min=255", "min=256", set(MODELS)),
        ("streams.py", "str(seed)", "repr(seed)", set(MODELS)),
        ("cells.py", "canonical_name(self.base.name)", "self.base.name", set(MODELS)),
    ],
)
def test_an_edit_makes_the_cells_stale_that_it_concerns(before, copy, name, old, new, stale):
    edit(copy, f"rethinking/{name}", old, new)
    after = cells(copy)
    assert {each for each in MODELS if after[each] != before[each]} == stale


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        ("cifar.py", "170_052_171", "170_052_172", {"cifar10"}),
        ("mnist.py", "0x08", "0x09", {"mnist"}),
        ("mnist.py", 'tuple("0123456789")', 'tuple("abcdefghij")', {"mnist", "digits"}),
        ("prepared.py", "sorted(", "list(", {"cifar10", "cifar100", "mnist", "digits"}),
    ],
)
def test_an_edit_makes_the_data_stale_that_it_concerns(copy, name, old, new, stale):
    def data():
        names = ("cifar10", "cifar100", "mnist", "digits")
        roots = {each: root_in(copy, "dataset", each) for each in names}
        return {each: combined(script_code("prepare_dataset", [root])) for each, root in roots.items()}

    before = data()
    edit(copy, f"rethinking/data/{name}", old, new)
    after = data()
    assert {each for each in after if after[each] != before[each]} == stale


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("data/imagenet.py", "np.load(folder", "np.load(path"),
        ("data/archives.py", "sorted(", "list("),
        ("training/batches_imagenet.py", "EVALUATION_BLOCK = 100", "EVALUATION_BLOCK = 50"),
        ("training/inception_preprocessing.py", "32 / 255, 0.2", "32 / 255, 0.3"),
    ],
)
def test_an_edit_of_what_reads_images_from_files_concerns_those_alone_that_have_them(copy, name, old, new):
    def codes():
        network = root_in(copy, "model", "mlp_1x512")
        return [combined(script_code("train_cell", [network, *reader])) for reader in ((), module.READS_IMAGES)]

    whitened, from_files = codes()
    edit(copy, f"rethinking/{name}", old, new)
    assert [whitened == codes()[0], from_files == codes()[1]] == [True, False]


NEUTRAL = [
    # Texts never change a number.
    ("training/loop.py", "# ---- epochs", "# ---- passes"),
    ("training/loop.py", 'log("first step done")', 'log("the first step is done")'),
    ("training/loop.py", "random cropping needs images larger", "crops need larger images"),
    ("models/mlp.py", "Fully connected network", "Network"),
    ("models/mlp.py", "[512, 512, 512]", "[\n        512, 512,\n        512\n    ]"),
    ("training/evaluation.py", "labels: np.ndarray", "labels: object"),
    # Nor does code that only runs, names or shows things.
    ("run/files.py", "indent=2", "indent=4"),
    ("run/network_checks.py", "rtol=1e-3", "rtol=1e-2"),
    ("run/checkpoint.py", "time.monotonic()", "time.time()"),
    ("figures/style.py", "200", "300"),
    ("analysis/aggregation.py", "seeds", "runs"),
    ("models/alexnet.py", 'title="AlexNet"', 'title="alexnet"'),
    ("config/cell_settings.py", "Share of the target that", "The share of the target which"),
    ("models/options.py", "it has none", "there is none"),
]


def test_edits_that_can_change_no_number_make_nothing_stale(before, copy):
    for name, old, new in NEUTRAL:
        edit(copy, f"rethinking/{name}", old, new)
    assert cells(copy) == before


@pytest.mark.parametrize("package", ["", "training/"])
def test_what_a_package_does_when_it_is_imported_counts(before, copy, package):
    with (copy / "rethinking" / package / "__init__.py").open("a") as file:
        file.write("import torch\ntorch.set_default_dtype(torch.float64)\n")
    forget()
    after = cells(copy)
    assert all(after[each] != before[each] for each in MODELS)


def test_scripts_count(copy):
    before = combined(script_code("prepare_dataset"))
    edit(copy, "prepare_dataset.py", "train_limit=args.train_limit", "train_limit=args.train_limit // 2")
    assert combined(script_code("prepare_dataset")) != before


def test_data_files_count_where_they_are_read(copy):
    def codes():
        scripts = ("aggregate_table", "compare_curves", "render_report", "train_cell")
        return {script: combined(script_code(script)) for script in scripts}

    before = codes()
    for file, stale in (
        # The curves' steps become epochs by the number of images.
        ("paper/data/zhang2017.json", ["aggregate_table", "compare_curves"]),
        ("paper/data/figures.json", ["compare_curves"]),
        ("report/layout.yaml", ["render_report"]),
        ("report/report.html.jinja", ["render_report"]),
    ):
        with (copy / "rethinking" / file).open("a") as data:
            data.write(" ")
        after = codes()
        assert [each for each in before if after[each] != before[each]] == stale, file
        before = after


def test_moved_code_is_the_same(copy):
    before = combined(script_code("train_cell"))
    old, new = copy / "rethinking/training/optimisers.py", copy / "rethinking/training/descent.py"
    old.rename(new)
    for path in copy.rglob("*.py"):
        path.write_text(path.read_text().replace("rethinking.training.optimisers", "rethinking.training.descent"))
    forget()
    found = script_code("train_cell")
    assert "training/descent.py: SGD" in found
    assert combined(found) == before


def test_a_definition_is_named():
    found = script_code("train_cell", [root_in(SCRIPTS, "model", "inception"), *module.READS_IMAGES])
    assert {"training/loop.py: train_cell", "models/inception.py: Inception"} <= found.keys()
    # Imported inside a function
    assert "training/batches_imagenet.py: ImageBatches" in found
    assert not any(label.startswith(("models/mlp.py", "run/", "figures/")) for label in found)


@pytest.mark.parametrize("script", ["count_sizes", "check_claims"])
def test_a_network_that_no_cell_needs_to_have_counts_where_it_is_counted(script):
    assert "models/inception_v3.py: inception_v3" in script_code(script)


def everything():
    """The code behind all that the workflow can make."""
    entries = [root_in(SCRIPTS, "model", name) for name in MODELS]
    entries += [entry.root for kind in registry.KINDS for entry in registry.entries(kind)]
    entries += module.READS_IMAGES
    found = {}
    for script in SCRIPTS.glob("*.py"):
        found |= script_code(script.stem, entries)
    return found


def changed(statement):
    """A copy of a function with one number or operator changed, or None if it has neither."""
    tree = ast.parse(ast.unparse(statement)).body[0]
    # Arguments of registrations are part of identities if they can change a number.
    tree.decorator_list = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise):
            node.exc = node.cause = None  # texts
    swaps = {
        ast.Add: ast.Sub,
        ast.Sub: ast.Add,
        ast.Mult: ast.Div,
        ast.Div: ast.Mult,
        ast.Lt: ast.GtE,
        ast.Eq: ast.NotEq,
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            node.value += 1
            return tree
        if isinstance(node, ast.BinOp) and type(node.op) in swaps:
            node.op = swaps[type(node.op)]()
            return tree
        if isinstance(node, ast.Compare) and type(node.ops[0]) in swaps:
            node.ops[0] = swaps[type(node.ops[0])]()
            return tree
    return None


def test_every_function_that_can_change_a_number_is_seen():
    """All functions and classes outside run/ and config/ are behind something, and a changed number changes their hash.

    Settings are part of each identity as they are resolved, so code of config/ counts by its values.
    """
    behind, unseen, blind = everything(), [], []
    for path in sorted(LIBRARY.rglob("*.py")):
        if {"run", "config"} & set(path.relative_to(LIBRARY).parts):
            continue
        for name, statements in parse(path).definitions.items():
            if not isinstance(statements[0], ast.FunctionDef | ast.ClassDef):
                continue
            label = f"{relative(path)}: {name}"
            if label not in behind:
                unseen.append(label)
            other = changed(statements[0])
            same = ast.parse(ast.unparse(statements[0])).body[0]
            same.decorator_list = []
            if other is not None and plainly(other, []) == plainly(same, []):
                blind.append(label)
    assert blind == []
    assert sorted(unseen) == sorted(DECIDES_NOTHING)


def test_a_hash_is_the_same_in_every_version_of_python():
    # Versions differ in the empty fields that a node has, such as type_params.
    tree = ast.parse("def double(x, /):\n    return 2 * x").body[0]
    name, load = ["id", "x"], ["ctx", ["Load"]]
    product = [
        "BinOp",
        ["left", ["Constant", ["value", 2]]],
        ["op", ["Mult"]],
        ["right", ["Name", name, load]],
    ]
    arguments = ["arguments", ["posonlyargs", [["arg", ["arg", "x"]]]]]
    body = ["body", [["Return", ["value", product]]]]
    assert plainly(tree, []) == ["FunctionDef", ["name", "double"], ["args", arguments], body]
