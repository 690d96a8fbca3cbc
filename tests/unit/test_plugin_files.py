"""What is wrong with a plug-in's file, its place, its imports or the modules beside it, is told in one message."""

import pytest

from rethinking import registry
from rethinking.corruption.overlays import write
from rethinking.run.files import UserError

from .test_wrong_plugins import message


def test_an_error_in_a_module_beside_a_plugin_has_its_place(plugin, prepared, tmp_path):
    helper = tmp_path / "helper_with_an_error.py"
    helper.write_text("def shift(labels):\n    return labels[99]\n")
    plugin(
        "from helper_with_an_error import shift\n@corruption('wrong')\ndef wrong(labels):\n    return shift(labels)\n"
    )
    said = message(write, prepared, tmp_path / "overlay", "wrong", "cifar10", 0)
    assert said.startswith(f"{helper}:2: IndexError")


def study(folder, module):
    """A plug-in in a folder of its own, and a module that it imports."""
    folder.mkdir()
    file = folder.joinpath(*module.split(".")).with_suffix(".py")
    file.parent.mkdir(exist_ok=True)
    file.write_text("X = 1\n")
    (folder / "study.py").write_text(
        f"from rethinking.registry import model\nfrom {module} import X\n"
        f"@model('net_{folder.name}')\ndef net(image_shape, num_classes): return X\n"
    )
    return folder / "study.py"


@pytest.mark.parametrize(
    ("folders", "module", "expected"),
    [
        ("ab", "helpers", "/a/helpers.py: the plug-ins' folder {}/b has a module 'helpers' too, and Python imports only one"),
        ("hi", "tools.nets", "/h/tools/nets.py: the plug-ins' folder {}/i has a module 'tools' too, and Python imports only"),
        ("c", "statistics", "/c/statistics.py: 'statistics' is a module of Python; give yours another name"),
        ("f", "numpy", "/f/numpy.py: Python imports 'numpy' from "),  # as packages come first
        ("g", "train_cell", "/g/train_cell.py: Python imports 'train_cell' from "),
        (["d:e"], "other", "/d:e/study.py: the path of a plug-in cannot hold ':'"),
    ],
)  # fmt: skip
def test_names_that_cannot_be(plugins, tmp_path, folders, module, expected):
    said = message(plugins, [study(tmp_path / folder, module) for folder in folders])
    assert said.startswith(f"{tmp_path}{expected.format(tmp_path)}")


@pytest.mark.parametrize("is_imported", [True, False])
@pytest.mark.parametrize("is_plugin", [True, False])
def test_a_plugin_of_the_name_of_an_imported_one(plugins, tmp_path, is_imported, is_plugin):
    """Python would take the first for both, also if nobody imports it, and whatever it is."""
    files = [study(tmp_path / folder, f"module_of_{folder}").rename(tmp_path / folder / "nets.py") for folder in "ab"]
    more = tmp_path / "b" / "more.py"
    text = "from rethinking.registry import model\n{}@model('more')\ndef more(image_shape, num_classes): ...\n"
    more.write_text(text.format("import nets\n" if is_imported else ""))
    (tmp_path / "a" / "other.py").write_text(text.format("").replace("more", "other"))
    files[0] = files[0] if is_plugin else tmp_path / "a" / "other.py"
    if is_imported:
        assert message(plugins, [*files, more]).startswith(
            f"{files[1]}: the plug-ins' folder {tmp_path}/a has a module"
        )
    else:
        plugins([*files, more])


@pytest.mark.parametrize(
    ("imported", "decorator", "expected"),
    [
        ("model", "claim('x')", "4: @claim is not imported; write 'from rethinking.registry import claim' at the top"),
        ("model, regularizer", "regularizer('x')", "4: rethinking.registry has no 'regularizer'; did you mean 'regulariser'?"),
        ("model; from plots import figure", "figure('x')", None),  # another's decorator
    ],
)  # fmt: skip
def test_a_decorator_that_is_not_imported(plugins, tmp_path, imported, decorator, expected):
    file = tmp_path / "study.py"
    file.write_text(
        f"from rethinking.registry import {imported}\n@model('y')\ndef y(a, b): ...\n@{decorator}\ndef x(run): ...\n"
    )
    if expected:
        assert message(plugins, [file]).startswith(f"{file}:{expected}")
    else:
        plugins([file])


@pytest.mark.parametrize(
    ("imported", "known"),
    [
        ("try:\n    {}\nexcept ImportError:\n    def model(name): return lambda function: function\n", True),
        ("if True:\n    {}\n", True),
        ("if TYPE_CHECKING:\n    {}\n", False),
        ("def f():\n    {}\n", False),
    ],
)
def test_a_decorator_that_is_imported_in_a_block(plugins, tmp_path, imported, known):
    """For those who use the file without this project."""
    file = tmp_path / "study.py"
    text = imported.format("from rethinking.registry import model")
    file.write_text(f"{text}@model('x')\ndef x(image_shape, num_classes): ...\n")
    if known:
        plugins([file])
        assert registry.entry("model", "x").file == file
    else:
        assert message(plugins, [file]).startswith(f"{file}:1: registers nothing")


def test_a_module_named_as_a_folder_that_only_planning_sees(plugins, tmp_path, monkeypatch):
    (tmp_path / "checkout" / "tests").mkdir(parents=True)
    (tmp_path / "checkout" / "tests" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "checkout")  # as Snakemake does
    plugins([study(tmp_path / "mine", "tests")])


def test_a_missing_file(plugins):
    with pytest.raises(UserError, match=r"nowhere.py cannot be read .*; correct 'plugins'"):
        plugins(["nowhere.py"])


def test_a_file_that_python_does_not_import(plugins, tmp_path):
    file = study(tmp_path / "f", "other").rename(tmp_path / "study.txt")
    assert message(plugins, [file]) == f"{file}: a plug-in is a Python file; give it a name that ends in .py"
