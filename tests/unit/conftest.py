"""Fixtures of the unit tests."""

import importlib
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from rethinking import registry
from rethinking.corruption.loading import load_corrupted
from rethinking.corruption.overlays import write

from .image_files import write_image
from .results_folder import Results

KINDS = "claim, corruption, dataset, measure, model, regulariser, table"


def pytest_collection_modifyitems(items):
    """Without a GPU, its tests are skipped."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a GPU"))


@pytest.fixture(scope="session")
def data(prepared, tmp_path_factory):
    """The tiny data set with random labels."""
    overlay = tmp_path_factory.mktemp("overlay")
    write(prepared, overlay, "labels_p0.5", "cifar10", seed=0)
    return load_corrupted(prepared, overlay)


@pytest.fixture(scope="session")
def digits():
    """300 training and 100 test images of 8x8 bytes with their labels."""
    from sklearn.datasets import load_digits  # takes a second, which few tests need

    images, labels = load_digits(return_X_y=True)
    images = (images * 15).astype(np.uint8).reshape(-1, 1, 8, 8)
    return images[:300], labels[:300], images[300:400], labels[300:400]


@pytest.fixture(scope="session")
def script():
    """Run a script or benchmark in this process, which has already imported what takes a new one seconds.

    An option can be a keyword: ``cells=[a, b]`` is ``--cells a b``.
    """

    def run(name, *arguments, **options):
        for option, values in options.items():
            arguments += f"--{option.replace('_', '-')}", *(values if isinstance(values, list) else [values])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", list(map(str, [name, *arguments])))
            importlib.import_module(name).main()

    return run


@pytest.fixture(scope="session")
def render(script):
    """Render a table that was written as CSV; the texts in Markdown and LaTeX."""

    def run(table, csv):
        texts = [csv.with_suffix(ending) for ending in (".md", ".tex")]
        script("render_table", table=table, input=csv, markdown=texts[0], latex=texts[1])
        return [text.read_text() for text in texts]

    return run


@pytest.fixture(scope="session", autouse=True)
def read_once():
    """The library's own registrations, which each configuration would read again."""
    read, first = registry.registrations, cache(registry.registrations)

    def registrations(file):
        return first(file) if registry.LIBRARY in file.parents else read(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "registrations", registrations)
        yield


@pytest.fixture
def plugins():
    """Load files as plug-ins, for one test."""
    yield registry.load
    registry.load([])


@pytest.fixture
def plugin(plugins, tmp_path):
    """Load a plug-in with this text below an import, for one test; its file."""

    def load(text):
        file = tmp_path / "study.py"
        file.write_text(f"from rethinking.registry import {KINDS}\n{text}")
        plugins([file])
        return file

    return load


@pytest.fixture
def images(tmp_path):
    """A folder of 2 x 3 training and 2 x 1 test images, 5 wide and 4 high."""
    folder = tmp_path / "images"
    for index, label in enumerate(("dog", "cat")):
        for i in range(3):
            write_image(folder / "train" / label / f"{i}.png", 10 * index + i)
        write_image(folder / "test" / label / "0.JPEG", 10 * index + 9)
    return folder


@pytest.fixture
def results(tmp_path):
    """A folder that a test places cells in."""
    return Results(tmp_path)


@pytest.fixture
def shared():
    """A folder that other users can get at."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def nobody():
    """As a user to whom nothing belongs."""
    if os.geteuid():
        pytest.skip("needs root, to become another user")
    os.seteuid(65534)
    yield
    os.seteuid(0)
