"""Which files a data set is made from, and when a copy of them passes."""

import gzip
import hashlib

import pytest

from rethinking.files import UserError
from rethinking.sources import SOURCES, SourceFile, source_paths


def test_repacked_copy_passes_by_its_contents(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"contents", compresslevel=1))
    digest = hashlib.sha256(b"contents").hexdigest()
    SourceFile("a.gz", (), "0" * 64, "0" * 32, 10**6, contents_sha256=digest).verify(path)
    with pytest.raises(UserError, match="expected 0000"):
        SourceFile("a.gz", (), "0" * 64, "0" * 32, 10**6, contents_sha256="1" * 64).verify(path)
    with pytest.raises(UserError, match="expected 0000"):
        SourceFile("a.gz", (), "0" * 64, "0" * 32, 10**6).verify(path)


def test_source_paths(tmp_path):
    assert source_paths("digits", "embedded", None, "downloads") == []
    assert source_paths("cifar10", "official", None, "downloads") == ["downloads/cifar-10-python.tar.gz"]
    with pytest.raises(UserError, match=r"absent does not exist; correct datasets\.cifar10\.path"):
        source_paths("cifar10", "images", str(tmp_path / "absent"), "downloads")
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz does not exist.*datasets\.mnist\.path"):
        source_paths("mnist", "archive", str(tmp_path), "downloads")
    for file in SOURCES["mnist"]:
        (tmp_path / file.name).touch()
    paths = source_paths("mnist", "archive", str(tmp_path), "downloads")
    assert paths == [str(tmp_path / file.name) for file in SOURCES["mnist"]]
