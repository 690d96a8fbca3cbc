"""Where published data sets come from."""

import hashlib
import zipfile

import numpy as np
import pytest

from rethinking import registry
from rethinking.data.published import Published, SourceFile, Version, published

from .published_files import unpack


def test_the_binary_version_is_downloaded():
    # No pickle is opened by default.
    found = {name: published(name) for name in registry.names("dataset")}
    names = {name: [file.name for file in each.downloads] for name, each in found.items() if each}
    assert names["cifar10"] == ["cifar-10-binary.tar.gz"]
    assert names["cifar100"] == ["cifar-100-binary.tar.gz"]
    assert len(names["mnist"]) == 4


def test_local_files(tmp_path):
    files = [tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte", tmp_path / "train-images.idx3-ubyte.gz"]
    for file in files:
        file.parent.mkdir(exist_ok=True, parents=True)
        file.touch()
    (tmp_path / "notes.txt").touch()
    assert published("mnist").local_files(tmp_path) == files
    assert published("cifar10").local_files(tmp_path) == []


@pytest.mark.parametrize(("compressed", "hint"), [(True, ""), (False, "; it seems to be a ZIP archive, which must be")])
def test_an_npz_is_not_to_be_unpacked(tmp_path, compressed, hint):
    file = tmp_path / "a.npz"
    if compressed:
        np.savez_compressed(file, images=np.zeros(3))
    else:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("images.png", b"")
    said = SourceFile("a.npz", ("http://a",), 32 * "0").mismatch(file)
    assert said.partition(f"expected {32 * '0'}")[2].startswith(hint)
    assert bool(hint) == ("seems" in said)


def test_what_was_downloaded_is_recognised(tmp_path):
    files = {name: name.encode() for name in ("a.gz", "b.gz")}
    # Of the second, only the SHA-256 is known.
    digests = {"md5": hashlib.md5(b"a.gz").hexdigest()}, {"sha256": hashlib.sha256(b"b.gz").hexdigest()}
    downloads = [SourceFile(name, ("",), **each) for name, each in zip(files, digests, strict=True)]
    versions = (Version("", {"a": None}, dict),)
    folder = unpack(tmp_path / "d", files)
    assert Published(downloads, versions).is_download(folder)
    assert Published(downloads[:1], versions).is_download(folder / "a.gz")
    assert not Published(downloads[1:], versions).is_download(folder / "a.gz")
    (folder / "b.gz").write_bytes(b"changed")
    assert not Published(downloads, versions).is_download(folder)
