"""What is wrong with a plug-in's data set is named by its file and line, in one message."""

import numpy as np
import pytest

from rethinking.data.published import published
from rethinking.data.readers import read_dataset

from ..default_config import load
from .test_wrong_plugins import message

PUBLISHED = """\
import numpy as np
from rethinking.data.prepared import Dataset, Split
from rethinking.data.published import Published, SourceFile, Version
def read(contents, path):
    x, y = np.zeros((4, 1, 5, 5), np.uint8), np.zeros(4, int)
    return {}
@dataset('own', published=True)
def own():
    return Published((SourceFile('a', ('http://a',), 32 * '0'),), (Version('one', {{'a': None}}, read),))
"""


@pytest.mark.parametrize("is_published", [False, True])
@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("1", "must return a Dataset, or"),
        ("Dataset((x, y), (x, y), 'ab')", "must return a Dataset, or"),
        (
            "Dataset(Split(x / 255, y), Split(x, y), 'ab')",
            "gives training images of float64 (4, 1, 5, 5), not uint8",
        ),
        ("Dataset(Split(x, y[:, None]), Split(x, y), 'ab')", "labels of int64 (4, 1), not at least"),
        ("x, y, x, y, 2", "must return a Dataset, or"),
        ("x, y, x[:, 0], y, 'ab'", "not uint8 (n, 1 or 3, height, width)"),
        ("x, y, x[:, :, 1:], y, 'ab'", "gives training images (1, 5, 5), but test images (1, 4, 5)"),
        ("x, y + 2, x, y, 'ab'", "training labels from 2 to 2, but 2 names"),
        (
            "x, y[:3], x, y, 'ab'",
            "gives 4 training images and labels of int64 (3,), not at least one image and one whole",
        ),
        ("x, y / 2, x, y, 'ab'", "gives 4 training images and labels of float64 (4,), not at least"),
        ("x, y, x[:0], y[:0], 'ab'", "gives 0 test images and labels of int64 (0,), not at least"),
    ],
)
def test_data_sets(plugin, tmp_path, is_published, returned, expected):
    text = PUBLISHED.format(returned)
    if not is_published:
        text = text.replace(
            "@dataset('own', published=True)\ndef own():",
            "@dataset('own')\ndef own():\n    return read(0, 0)",
        )
    file = plugin(text)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "a").touch()
    said = message(read_dataset, "own", *(("archive", tmp_path / "copy") if is_published else ("plugin", None)))
    assert said.startswith(f"{file}:9: own ")
    assert expected in said


def test_a_published_data_set_of_five_things(plugin, tmp_path):
    plugin(PUBLISHED.format("x, y.astype(np.uint8), x, y, 'ab'"))
    (tmp_path / "a").touch()
    found, verified = read_dataset("own", "archive", tmp_path)
    assert (found.train.labels.dtype, found.class_names, verified) == (np.int64, ("a", "b"), False)


def test_a_download_that_is_another_file_is_not_read(plugin, tmp_path):
    plugin(PUBLISHED.format("x, y, x, y, 'ab'"))
    (tmp_path / "a").touch()
    said = message(read_dataset, "own", "official", tmp_path)
    found = "d41d8cd98f00b204e9800998ecf8427e"
    assert said.startswith(
        f"{tmp_path}/a has md5 {found}, expected {32 * '0'}; it seems to be an empty file; delete it"
    )


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ("(SourceFile('a', ('http://a',), 32 * '0'),)", "(SourceFile('a', ('http://a',), 32 * '0'))",
         "downloads of Published must be a tuple, of one (SourceFile(...),), not SourceFile("),
        ("(Version('one', {'a': None}, read),)", "(Version('one', {'a': None}, read))",
         "versions of Published must be a tuple, of one (Version(...),), not Version("),
        ("('http://a',)", "'http://a'", "urls of SourceFile must be a tuple, of one ('https://...',), not 'http://a'"),
        ("('http://a',)", "()", "urls of SourceFile must be a tuple, of one ('https://...',), not ()"),
        ("32 * '0'", "None", "SourceFile 'a' needs the md5 or the sha256 of the file"),
        ("32 * '0'", "32 * 'A'", "md5 of SourceFile must be 32 hexadecimal digits, in lower case, not 'AAA"),
        ("32 * '0'", "64 * '0'", "md5 of SourceFile must be 32 hexadecimal digits, in lower case, not '000"),
        ("{'a': None}", "'a'", "files of Version must be a dictionary from names of files to an MD5,"),
        ("{'a': None}", "{'a': 'b'}", "files of Version must be a dictionary from names of files to an MD5,"),
        ("read),)", "read({}, 0)),)", "read of Version must be a function, not 5"),
        ("read),)", "read),), ('a', 'b')", "records of Published must be two SHA-256, of training and test set, not"),
        ("read),)", "read),), 5", "records of Published must be two SHA-256, of training and test set, not 5"),
    ],
)  # fmt: skip
def test_the_fields_of_a_published_data_set(plugin, right, wrong, expected):
    text = PUBLISHED.format("5")
    assert right in text
    file = plugin(text.replace(right, wrong))
    assert message(published, "own").startswith(f"{file}:10: TypeError: {expected}")


@pytest.mark.parametrize(
    ("arguments", "source", "needed"),
    [
        ("path", "plugin", True),
        ("path=None", "plugin", False),
        ("name", "plugin", False),
        ("path", "images", True),
    ],
)
def test_a_data_set_gets_the_path_that_it_asks_for(plugin, arguments, source, needed):
    file = plugin(f"@dataset('own')\ndef own({arguments}): ...\n")
    settings = {"plugins": [str(file)], "datasets__own": {"source": source, "input_size": 5}}
    if needed:
        assert "needs a path" in message(lambda: load(**settings))
        settings["datasets__own"]["path"] = "images"
    load(**settings)


@pytest.mark.parametrize("arguments", ["", "name"])
def test_a_path_that_a_data_set_does_not_ask_for_is_refused(plugin, arguments):
    file = plugin(f"@dataset('own')\ndef own({arguments}): ...\n")
    own = {"source": "plugin", "input_size": 5, "path": "x"}
    said = message(lambda: load(plugins=[str(file)], datasets__own=own))
    assert f"datasets.own: own in {file}:3 takes no path; give it an argument 'path', or remove the path" in said


def test_a_published_data_set_that_is_not_described(plugin):
    file = plugin("@dataset('own', published=True)\ndef own():\n    return {}\n")
    said = message(read_dataset, "own", "archive", file)
    assert said == f"{file}:3: own must return a Published, as it is registered with published=True"
