"""The same images in the layouts of ImageNet."""

import pytest

from .image_sets import files, write_archives, write_folder, write_tar


@pytest.fixture(scope="session")
def contents():
    return files()


@pytest.fixture(scope="session")
def layouts(contents, tmp_path_factory):
    """Name -> path of the same images."""
    root = tmp_path_factory.mktemp("layouts")
    return {
        "folder": write_folder(root / "folder", contents),
        "flat": write_folder(root / "flat", contents, flat=True),
        "archives": write_archives(root / "archives", contents),
        "tar": write_tar(root / "set.tar", contents),
    }
