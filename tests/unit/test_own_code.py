"""What counts in files of one's own, such as a plug-in's: all by which Python code can act on a number."""

import pytest

from rethinking import registry
from rethinking.entries import KINDS
from rethinking.run.code import code_of, combined, script_code
from rethinking.run.files import UserError

from .test_code import forget

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
        ("def main() -> int: return 1", ("int", "float"), False),
        ("async def main() -> int: return 1", ("int", "float"), False),
        # How a function is registered counts elsewhere
        *((f"@{kind}('a')\ndef main(): return 1", ("'a'", "'b'"), False) for kind in KINDS),
        ("def main(): return [model('a')]", ("'a'", "'b'"), True),
        ("@cache('a')\ndef main(): return 1", ("'a'", "'b'"), True),
        # Calls that only speak, and those that compute
        ("import numpy as np\ndef main(x):\n  np.log(x, out=x)\n  return np.ones(2)", ("  np.log(x, out=x)\n", ""), True),
        ("import numpy as np\ndef main(x):\n  np.log(x, x)\n  return np.ones(2)", ("  np.log(x, x)\n", ""), True),
        ("def main(x): x.log('a')", ("'a'", "'b'"), False),
        ("def main(x): x.print('a', x)", ("'a'", "'b'"), False),
        ("def main():\n  class A:\n    how = 'a'\n    def f(self): return self.how\n  return A", ("'a'", "'b'"), True),
        ("def main(x):\n  y = z = 'a'\n  print(y)\n  return z", ("'a'", "'b'"), True),
        ("def main(x):\n  y = f'a' if x else ''\n  z = 'b'\n  print(y, z)", ("'a'", "'b'"), False),
        ("def main(x):\n  y = 'a'\n  z = f'{y}'\n  raise ValueError(z)", ("'a'", "'b'"), False),
        ("def main(x):\n  y = 'a'\n  print(y)\n  return y", ("'a'", "'b'"), True),
        ("def main(x):\n  y = 'a'\n  z = f'{y}'\n  return z", ("'a'", "'b'"), True),
        ("def main(x):\n  y = 'a'\n  def f():\n    return y\n  return f", ("'a'", "'b'"), True),
        ("def main(x):\n  y = 1\n  print(y)", ("1", "2"), True),
        ("def main(x):\n  y = x.pop() if x else ''\n  print(y)\n  return x", ("pop()", "pop(0)"), True),
        ("def main(x):\n  y = '' if x else x.pop()\n  print(y)\n  return x", ("pop()", "pop(0)"), True),
        ("def main(x):\n  global Y\n  Y = 'a'\n  print(x)", ("'a'", "'b'"), True),
        ("def main(x): x.add_argument('n', help='a')", ("'a'", "'b'"), False),
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
        ("try: pass\nfinally:\n  from math import sin as f\ndef main(): return f(2)", ("sin", "cos"), True),
        ("if A: pass\nelse:\n  from math import sin as f\ndef main(): return f(2)", ("sin", "cos"), True),
        # Looked up by names that are made as the file runs
        ("def f(): return 1\ndef main(k): return globals()[k]()", ("1", "2"), True),
        ("def f(): return 1\ndef main(k): return eval(k)()", ("1", "2"), True),
        ("import sys\ndef f(): return 1\ndef main(k): return getattr(sys.modules[__name__], k)()", ("1", "2"), True),
        ("def f(): return 1\ndef main(model): return model.modules(), model.eval()", ("1", "2"), False),
        # What only type checkers see, and other conditions
        ("def main(x):\n  if x:\n    x += 1\n  return x", ("1", "2"), True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  import a\ndef main(): return 1", ("a\n", "b\n"), False),
        ("def main(): return 1", ("def main", "if TYPE_CHECKING:\n  import a\ndef main"), False),
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


FOLDER = "import os\nHERE = os.path.dirname(os.path.abspath(__file__))\n"
ABOVE = "from pathlib import Path\nROOT = Path(__file__).resolve().parent.parent\ndef get(): return ROOT / 'noise.txt'"


@pytest.mark.parametrize(
    ("text", "helper"),
    [
        (FOLDER + "def main(): return f'{HERE}/noise.txt'", ""),
        (FOLDER + "def main(): return HERE + '/noise.txt'", ""),
        (FOLDER + "def main(): return os.path.join(HERE, './noise.txt')", ""),
        (FOLDER + "def main(): return os.path.join(HERE, '..', 'tools/noise.txt')", ""),
        (FOLDER + "def main(): return '%s/noise.txt' % HERE", ""),
        (FOLDER + "def main(): return '{}/tools/noise.txt'.format(HERE)", ""),
        ("from tools import lib\ndef main(): return lib.get()", ABOVE),
        ("from tools import lib\ndef main(): return lib.ROOT / 'noise.txt'", ABOVE),
        ("from tools import lib\nfrom pathlib import Path\ndef main(): return Path(lib.__file__).parent / 'noise.txt'", ""),
        ("import tools\nfrom importlib import resources\ndef main(): return resources.files(tools) / 'noise.txt'", ""),
        ("import tools\nimport importlib.resources as r\ndef main(): return r.files(tools) / 'noise.txt'", ""),
        ("from importlib.resources import files\ndef main(): return files('tools') / 'noise.txt'", ""),
        ("import pkgutil\ndef main(): return pkgutil.get_data('tools', 'noise.txt')", ""),
        ("import tools, os\ndef main(): return os.path.join(tools.__path__[0], 'noise.txt')", ""),
    ],
)  # fmt: skip
def test_a_data_file_counts_however_its_place_is_spelt(tmp_path, text, helper):
    (tmp_path / "tools").mkdir()
    codes = []
    for number in "112":
        (tmp_path / "other.txt").write_text(f"{len(codes)}")
        for folder in ("", "tools"):
            (tmp_path / folder / "noise.txt").write_text(number)
        codes.append(digest(tmp_path, study=text, **{"tools/__init__": "", "tools/lib": helper}))
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
        plugin("from nets.blocks import block\n@model('own')\ndef own(image_shape, num_classes): return block()\n")
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
