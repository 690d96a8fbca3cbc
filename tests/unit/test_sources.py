"""Which files a data set is made from."""

import pytest

from rethinking.data.sources import source_paths
from rethinking.run.files import UserError


def test_source_paths(tmp_path):
    assert source_paths("digits", "embedded", None, "downloads") == []
    # No pickle is opened by default.
    assert source_paths("cifar10", "official", None, "downloads") == ["downloads/cifar-10-binary.tar.gz"]
    assert source_paths("cifar100", "official", None, "downloads") == ["downloads/cifar-100-binary.tar.gz"]
    with pytest.raises(UserError, match=r"absent does not exist; correct datasets\.cifar10\.path"):
        source_paths("cifar10", "images", str(tmp_path / "absent"), "downloads")
    assert source_paths("mnist", "archive", str(tmp_path), "downloads") == [str(tmp_path)]
    files = [tmp_path / "inner" / "t10k-images-idx3-ubyte", tmp_path / "train-images-idx3-ubyte.gz"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (tmp_path / "notes.txt").touch()
    assert source_paths("mnist", "archive", str(tmp_path), "downloads") == list(map(str, files))
    assert source_paths("mnist", "archive", str(files[0]), "downloads") == [str(files[0])]
