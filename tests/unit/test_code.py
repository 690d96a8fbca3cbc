"""Which code decides a number: every edit that can change one is seen, and no other."""

import ast
import shutil

import pytest

from rethinking import registry
from rethinking.run import code as module
from rethinking.run.code import SCRIPTS, code_of, combined, parse, plainly, relative, script_code

MODELS = registry.names("model")

LIBRARY = SCRIPTS / "rethinking"
# Code on which no script's numbers depend, and why.
DECIDES_NOTHING = {
    "data/archives.py: _remedy": "texts of errors",
    "data/decoding.py: _fault": "texts of errors",
    "data/download.py: DownloadError": "an error",
    "data/download.py: _explain": "texts of errors",
    "data/image_checksums.py: _states": "its value is part of the identity of prepared images",
    "data/image_checksums.py: contents_digest": "its value is part of the identity of prepared images",
    "data/image_checksums.py: to_stderr": "lines of progress",
    "data/image_files.py: listed": "texts of errors",
    "data/imagenet_classes.py: classes_of": "its value is among the settings of prepared images",
    "data/sources.py: what_lies_in": "texts of errors",
    "models/__init__.py: training_megaflops": "shares out cells to jobs",
    "registry.py: advice": "texts of errors",
    "registry.py: unknown": "texts of errors",
    "registry.py: titles": "its value, what things are called, is part of the identity of what shows them",
    "report/layout.py: place_of": "captions for Snakemake's own report",
    "report/layout.py: titles": "its value, what things are called, is part of the identity of the report",
    "theory/cholesky.py: Tiled": "a type",
    "training/batches.py: Feeder": "a type",
}


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the scripts and the library that a test can edit."""
    folder = tmp_path / "workflow_scripts"
    shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "SCRIPTS", folder)
    monkeypatch.setattr(module, "RUN", folder / "rethinking" / "run")
    forget()
    yield folder
    forget()


def forget():
    module.parse.cache_clear()
    module.examine.cache_clear()


def edit(folder, name, old, new):
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    forget()


def model_root(folder, name):
    file, function = registry.entry("model", name).root
    return folder / "rethinking" / file.relative_to(LIBRARY), function


@pytest.fixture(scope="module")
def before():
    return cells(SCRIPTS)


def cells(folder):
    return {name: combined(script_code("train_cell", [model_root(folder, name)])) for name in MODELS}


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


NEUTRAL = [
    # Texts never change a number.
    ("training/loop.py", "# ---- epochs", "# ---- passes"),
    ("training/loop.py", 'log("first step done")', 'log("the first step is done")'),
    ("training/loop.py", "random cropping needs images larger", "crops need larger images"),
    ("models/mlp.py", "Fully connected network", "Network"),
    ("models/mlp.py", "[512, 512, 512]", "[\n        512, 512,\n        512\n    ]"),
    ("training/evaluation.py", "labels: np.ndarray", "labels: object"),
    # Nor does code that only runs, names or shows things.
    ("run/files.py", "1024", "2048"),
    ("run/checkpoint.py", "time.monotonic()", "time.time()"),
    ("figures/style.py", "200", "300"),
    ("analysis/aggregation.py", "seeds", "runs"),
    ("models/alexnet.py", 'title="AlexNet"', 'title="alexnet"'),
]


def test_edits_that_can_change_no_number_make_nothing_stale(before, copy):
    for name, old, new in NEUTRAL:
        edit(copy, f"rethinking/{name}", old, new)
    assert cells(copy) == before


def test_scripts_count(copy):
    before = combined(script_code("prepare_dataset"))
    edit(copy, "prepare_dataset.py", "train_limit=args.train_limit", "train_limit=args.train_limit // 2")
    assert combined(script_code("prepare_dataset")) != before


def test_data_files_count_where_they_are_read(copy):
    before = {script: combined(script_code(script)) for script in ("aggregate_table", "train_cell")}
    edit(copy, "rethinking/paper/data/zhang2017.json", "50.51", "50.52")
    assert combined(script_code("aggregate_table")) != before["aggregate_table"]
    assert combined(script_code("train_cell")) == before["train_cell"]


def test_moved_code_is_the_same(copy):
    before = combined(script_code("train_cell"))
    old, new = copy / "rethinking/training/optimisers.py", copy / "rethinking/training/descent.py"
    old.rename(new)
    for path in copy.rglob("*.py"):
        path.write_text(
            path.read_text().replace("rethinking.training.optimisers", "rethinking.training.descent")
        )
    forget()
    found = script_code("train_cell")
    assert "training/descent.py: SGD" in found
    assert combined(found) == before


def test_a_definition_is_named():
    found = script_code("train_cell", [model_root(SCRIPTS, "inception")])
    assert {"training/loop.py: train_cell", "models/inception.py: Inception"} <= found.keys()
    # Imported inside a function
    assert "training/batches_imagenet.py: ImageBatches" in found
    assert not any(label.startswith(("models/mlp.py", "run/", "figures/")) for label in found)


def everything():
    """The code behind all that the workflow can make."""
    entries = [model_root(SCRIPTS, name) for name in MODELS]
    entries += [entry.root for kind in registry.KINDS for entry in registry.entries(kind)]
    found = code_of(*entries)
    for script in SCRIPTS.glob("*.py"):
        found |= script_code(script.stem)
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
