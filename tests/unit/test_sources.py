"""Where published data sets come from."""

from rethinking.data.sources import SOURCES, local_files


def test_the_binary_version_is_downloaded():
    # No pickle is opened by default.
    names = {name: [file.name for file in source.downloads] for name, source in SOURCES.items()}
    assert names["cifar10"] == ["cifar-10-binary.tar.gz"]
    assert names["cifar100"] == ["cifar-100-binary.tar.gz"]
    assert len(names["mnist"]) == 4


def test_local_files(tmp_path):
    files = [tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte", tmp_path / "train-images.idx3-ubyte.gz"]
    for file in files:
        file.parent.mkdir(exist_ok=True, parents=True)
        file.touch()
    (tmp_path / "notes.txt").touch()
    assert local_files(tmp_path) == files
