"""Which code decides a number: every edit that can change one is seen, and no other."""

import ast
import shutil

import pytest

from rethinking import registry
from rethinking.run import code as module
from rethinking.run.code import SCRIPTS, code_of, combined, parse, relative, script_code
from rethinking.run.files import UserError
from rethinking.run.syntax import plainly

MODELS = registry.names("model")

LIBRARY = SCRIPTS / "rethinking"
# Code on which no script's numbers depend, and why.
DECIDES_NOTHING = {
    "cells.py: UnknownName": "texts of errors",
    "corruption/overlays.py: type_of": "texts of errors",
    "data/archives.py: _remedy": "texts of errors",
    "data/decoding.py: _fault": "texts of errors",
    "data/download.py: _explain": "texts of errors",
    "data/image_checksums.py: _digests": "its value is part of the identity of prepared images",
    "data/image_checksums.py: _entries": "its value is part of the identity of prepared images",
    "data/image_checksums.py: _states": "its value is part of the identity of prepared images",
    "data/image_checksums.py: images_digest": "its value is part of the identity of prepared images",
    "data/image_checksums.py: to_stderr": "lines of progress",
    "data/image_files.py: listed": "texts of errors",
    "data/imagenet_classes.py: classes_of": "its value is among the settings of prepared images",
    "data/published.py: _what_is_missing": "texts of errors",
    "data/published.py: what_lies_in": "texts of errors",
    "models/__init__.py: training_megaflops": "shares out cells to jobs",
    "registry.py: advice": "texts of errors",
    "registry.py: described": "texts of errors",
    "registry.py: registration": "it returns a function unchanged",
    "registry.py: unknown": "texts of errors",
    "registry.py: titles": "its value, what things are called, is part of the identity of what shows them",
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
    ("run/checkpoint.py", "time.monotonic()", "time.time()"),
    ("figures/style.py", "200", "300"),
    ("analysis/aggregation.py", "seeds", "runs"),
    ("models/alexnet.py", 'title="AlexNet"', 'title="alexnet"'),
    ("config/cell_settings.py", "Share of the target that", "The share of the target which"),
    ("models/__init__.py", "it has none", "there is none"),
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
        path.write_text(
            path.read_text().replace("rethinking.training.optimisers", "rethinking.training.descent")
        )
    forget()
    found = script_code("train_cell")
    assert "training/descent.py: SGD" in found
    assert combined(found) == before


def test_a_definition_is_named():
    found = script_code("train_cell", [root_in(SCRIPTS, "model", "inception")])
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


DISPATCH = """
from functools import singledispatch
@singledispatch
def size(x): return 1
@size.register(int)
def of_int(x): return 2
def main(): return size(3)
"""


TABLE = "class Base:\n  known = {}\n  def __init_subclass__(cls): Base.known[cls.__name__] = cls\n"


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        # What is imported from other packages
        ("from math import log\ndef main(): return log(2)", ("math import log", "math import log10 as log"), True),
        ("import numpy as np\ndef main(): return np.ones(2)", ("numpy", "torch"), True),
        ("def main():\n  from math import sin as f\n  return f(2)", ("sin", "cos"), True),
        ("import numpy as np\ndef main(): return np.ones(2)", ("import numpy", "import math\nimport numpy"), False),
        # The type of an exception can be caught; its text is for people
        ("def main():\n  raise ValueError('a')", ("ValueError", "KeyError"), True),
        ("def main():\n  raise ValueError('a')", ("'a'", "f'b {1}'"), False),
        ("def main(x):\n  assert x, 'a'", ("'a'", "'b'"), False),
        # Calls that only speak, and those that compute
        ("import numpy as np\ndef main(x):\n  np.log(x, out=x)\n  return np.ones(2)", ("  np.log(x, out=x)\n", ""), True),
        ("import numpy as np\ndef main(x):\n  np.log(x, x)\n  return np.ones(2)", ("  np.log(x, x)\n", ""), True),
        ("def main(x): x.log('a')", ("'a'", "'b'"), False),
        ("def main():\n  class A:\n    how = 'a'\n    def f(self): return self.how\n  return A", ("'a'", "'b'"), True),
        ("def main(x):\n  y = z = 'a'\n  print(y)\n  return z", ("'a'", "'b'"), True),
        ("def main(x):\n  y = f'a' if x else ''\n  z = 'b'\n  print(y, z)", ("'a'", "'b'"), False),
        ("def main(x):\n  y = 'a'\n  z = f'{y}'\n  raise ValueError(z)", ("'a'", "'b'"), False),
        ("def main(x):\n  y = 'a'\n  print(y)\n  return y", ("'a'", "'b'"), True),
        ("def main(x):\n  y = 'a'\n  z = f'{y}'\n  return z", ("'a'", "'b'"), True),
        ("def main(x):\n  y = 'a'\n  def f():\n    return y\n  return f", ("'a'", "'b'"), True),
        ("def main(x):\n  y = 1\n  print(y)", ("1", "2"), True),
        # Reached through tables
        (DISPATCH, ("return 2", "return 3"), True),
        ("def f(): return 2\nTABLE = {}\nTABLE['f'] = f\ndef main(): return TABLE", ("2", "3"), True),
        ("T = [n for n in range(3)]\ndef main(k): return T[k]", ("3", "4"), True),
        ("def main(x):\n  match x:\n    case {'a': 3}: return 1", ("3", "4"), True),
        ("def main(x): return f'{x:.3f}'", (".3f", ".4f"), True),
        ("import re\ndef main(x): return re.findall(r'\\d', x)", ("\\d", "\\w"), True),
        ("class A:\n  @property\n  def p(self): return 1\nclass B(A): pass\ndef main(): return B", ("1", "2"), True),
        ("A = {}\nB = A\nB['x'] = 1\ndef main(): return A", ("1", "2"), True),
        ("A = []\nB = A\nB += [1]\ndef main(): return A", ("1", "2"), True),
        (f"{TABLE}class A(Base): x = 1\ndef main(k): return Base.known[k]", ("1", "2"), True),
        (f"{TABLE}class A(Base): pass\nclass B(A): x = 1\ndef main(k): return Base.known[k]", ("1", "2"), True),
        ("class Kind(type): pass\nclass A(metaclass=Kind): x = 1\ndef main(): return Kind", ("1", "2"), True),
        ("class Base: pass\nclass A(Base): x = 1\ndef main(): return Base", ("1", "2"), False),
        # Looked up by names that are made as the file runs
        ("def f(): return 1\ndef main(k): return globals()[k]()", ("1", "2"), True),
        ("def f(): return 1\ndef main(k): return eval(k)()", ("1", "2"), True),
        ("import sys\ndef f(): return 1\ndef main(k): return getattr(sys.modules[__name__], k)()", ("1", "2"), True),
        ("def f(): return 1\ndef main(model): return model.modules(), model.eval()", ("1", "2"), False),
        # What only type checkers see
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  import a\ndef main(): return 1", ("a\n", "b\n"), False),
        ("if TYPE_CHECKING:\n  A = 0\nelse:\n  A = 3\ndef main(): return A", ("3", "4"), True),
    ],
)  # fmt: skip
def test_what_counts_in_a_file(tmp_path, before, after, changes):
    other = before.replace(*after)
    assert other != before
    assert (digest(tmp_path, study=before) != digest(tmp_path, study=other)) == changes


def digest(folder, **files):
    """The code behind main in study.py, which lies in a folder beside these and other files."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    forget()
    return combined(code_of((folder / "study.py", "main")))


@pytest.mark.parametrize(
    "text",
    [
        "import helper\ndef main(): return helper.f()",
        "import helper\ndef main(name): return getattr(helper, name)()",
        "def main():\n  from helper import f as g\n  return g()",
        "def main(x):\n  try: pass\n  finally:\n    match x:\n      case 1: from helper import f\n  return f()",
        # Another function imports something else under this name, which is also defined here.
        "def main():\n  from helper import f\n  return f()\ndef other():\n  from numbers import f\ndef f(): pass",
        "from helper import *\ndef main(): return f()",
        "import helper\ndef main(): return 1",
        "import helper\nfrom other import g\ndef main(): return g()",
        "from pathlib import Path\nNOISE = Path(__file__).with_name('noise.txt')\ndef main(): return NOISE",
        "from pathlib import Path\nSETS = Path(__file__).parent / 'sets'\ndef main(): return SETS / f'{\"noise\"}.csv'",
    ],
)
def test_what_lies_beside_a_plugin_counts_where_it_is_used(tmp_path, text):
    (tmp_path / "sets").mkdir()
    codes = []
    for number in "112":
        (tmp_path / "noise.txt").write_text(number)
        (tmp_path / "sets" / "noise.csv").write_text(number)
        for name in ("other.txt", "sets/other.csv"):  # results of a run, for example
            (tmp_path / name).write_text(f"{len(codes)}")
        helper = f"import sys\nsys.x = {number}\ndef f(): return {number}"
        codes.append(digest(tmp_path, study=text, helper=helper, other="def g(): return 3"))
    assert codes[0] == codes[1] != codes[2]


def test_a_file_that_is_only_named_does_not_count(tmp_path):
    """It can be one that the code writes."""
    found = set()
    for number in "12":
        (tmp_path / "noise.txt").write_text(number)
        found.add(digest(tmp_path, study="def main(): return 'noise.txt'"))
    assert len(found) == 1


def test_both_files_of_one_name_count(tmp_path):
    """Modules in folders beside a plug-in, each used by another definition."""
    folders = [tmp_path / name for name in ("nets", "noise")]
    for folder in folders:
        folder.mkdir()
        (folder / "common.py").write_text("def make(): return 1")
    text = "from nets import common\nfrom noise import common as other\n"
    text += "def main(): return common.make() + other.make()"
    found = [digest(tmp_path, study=text)]
    for folder in folders:
        (folder / "common.py").write_text("def make(): return 2")
        found.append(digest(tmp_path, study=text))
    assert len(set(found)) == 3


@pytest.mark.parametrize("edited", ["nets/__init__.py", "nets/blocks.py", "nets/layers.py", "helper.py"])
@pytest.mark.parametrize("package", ["", "import torch\n"])
def test_modules_of_a_package_beside_a_plugin_count(plugin, tmp_path, package, edited):
    """Their imports start from the folder of the plug-in, as Python's do; a package can lack an ``__init__.py``."""
    files = {
        "nets/__init__.py": package and f"{package}torch.set_default_dtype(torch.float32)\n",
        "nets/blocks.py": "from nets.layers import width\ndef block(): return 2 * width()\n",
        "nets/layers.py": "import helper\ndef width(): return helper.WIDTH + 2\n",
        "helper.py": "WIDTH = 2\n",
    }
    (tmp_path / "nets").mkdir()
    codes = []
    for change in (False, True):
        for name, text in files.items():
            if text:
                other = text.replace("2", "64") if change and name == edited else text
                (tmp_path / name).write_text(other)
        plugin(
            "from nets.blocks import block\n@model('own')\ndef own(image_shape, num_classes): return block()\n"
        )
        forget()
        codes.append(combined(code_of(registry.entry("model", "own").root)))
    assert (codes[0] != codes[1]) == bool(files[edited])


def test_a_file_that_is_not_python_is_named(tmp_path):
    with pytest.raises(UserError, match=r"helper\.py:2: invalid syntax"):
        digest(tmp_path, study="import helper\ndef main(): return helper.f()", helper="x = 1\ndef f(:\n")


def test_what_a_plugin_sets_in_what_it_imports_counts(tmp_path):
    helper = "GAIN = {'x': 1}\ndef f(): return GAIN['x']"
    study = "import helper\nfrom helper import f\nhelper.GAIN['x'] = {}\ndef main(): return f()".format
    assert digest(tmp_path, helper=helper, study=study(2)) != digest(tmp_path, helper=helper, study=study(3))


@pytest.mark.parametrize(
    ("study", "helper"),
    [
        ("from helper import width\ndef main(): return width", "def __getattr__(name): return {}"),
        ("import helper\ndef main(): return helper.width", "for width in range({}): pass"),
        (f"from helper import f\n{TABLE}def main(): return f()", "from study import Base\nclass A(Base): x = {}\ndef f(): pass"),
    ],
)  # fmt: skip
def test_what_a_module_makes_as_it_runs_counts(tmp_path, study, helper):
    assert digest(tmp_path, study=study, helper=helper.format(2)) != digest(
        tmp_path, study=study, helper=helper.format(3)
    )


def test_which_of_two_files_has_a_constant_counts(tmp_path):
    """A width is tried in one file, taken back, and tried in another."""
    study = "import a\nimport b\ndef main(): return a.WIDTH, b.WIDTH"
    wide, narrow = "WIDTH = 128", "WIDTH = 64"
    assert digest(tmp_path, study=study, a=wide, b=narrow) != digest(tmp_path, study=study, a=narrow, b=wide)


def test_a_module_that_its_package_imports_counts(tmp_path):
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "__init__.py").write_text("import nets.blocks")
    study = "import nets\ndef main(): return nets.blocks.f()"
    files = ("def f(): return 1", "def f(): return 2")
    assert digest(tmp_path, study=study, **{"nets/blocks": files[0]}) != digest(
        tmp_path, study=study, **{"nets/blocks": files[1]}
    )


def test_a_data_file_counts_where_another_file_says_where_it_lies(tmp_path):
    places = "from pathlib import Path\nHERE = Path(__file__).parent"
    study = "from places import HERE\ndef main(): return HERE / 'noise.txt'"
    codes = []
    for text in "12":
        (tmp_path / "noise.txt").write_text(text)
        codes.append(digest(tmp_path, study=study, places=places))
    assert codes[0] != codes[1]


def test_a_plugin_counts_for_the_cells_that_use_it(plugin):
    def codes(noise):
        plugin(
            "import torch.nn as nn\n"
            "@model('flat')\ndef flat(image_shape, num_classes):\n    return nn.Flatten()\n"
            f"@corruption('noisy')\ndef noisy(labels):\n    return labels + {noise}\n"
        )
        forget()
        entries = registry.entry("model", "flat"), registry.entry("corruption", "noisy")
        return [combined(script_code("train_cell", [entry.root])) for entry in entries]

    (flat, noisy), (same_flat, other_noisy) = codes(1), codes(2)
    assert flat == same_flat
    assert noisy != other_noisy
