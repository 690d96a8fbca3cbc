"""The examples of docs/extending.md, exactly as they are there, and a wrong plug-in."""

import gzip
import hashlib
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import yaml
from docs.examples.fashion_mnist import ADDRESS, MD5

from rethinking.data.mnist import FILES
from rethinking.streams import stream

from ..unit.image_files import write_image
from ..unit.test_mnist import as_idx
from .conftest import ROOT, Workflow


@pytest.fixture
def study(tmp_path):
    """A folder with the example study and some images."""
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    names = [(part, name) for part in 8 * ["train"] + 3 * ["test"] for name in ("circle", "cross", "square")]
    for number, (part, name) in enumerate(names):
        write_image(tmp_path / "shapes" / part / name / f"{number}.png", number, size=(10, 10))
    workflow = Workflow(tmp_path, None)
    workflow.config_file = tmp_path / "docs" / "examples" / "study.yaml"
    return workflow


def test_the_example_study_runs(study):
    study.succeed("--cores", "2")
    results = study.folder / "results" / "shapes"
    table = (results / "table1.md").read_text()
    assert "Wide ResNet 28-1" in table
    assert "asymmetric p0.4" in table
    assert "paper" not in table.lower()
    assert "Shapes, 24 training images; 2 epochs; 2 seeds" in table
    assert "l1 norm of the weights" in (results / "complexity.md").read_text()
    claims = (results / "claims.md").read_text()
    assert "The Wide ResNet fits asymmetric noise" in claims
    assert "random_labels" not in claims
    assert "ImageNet" not in claims
    assert "Nothing to be done" in study.succeed("--cores", "2")
    # An edit of the noise affects only its own cells, an edit of the network affects all.
    noise = study.folder / "docs" / "examples" / "asymmetric_noise.py"
    noise.write_text(noise.read_text().replace("labels + 1", "labels + 2"))
    assert study.planned_cells() == [f"shapes/asymmetric_p0.4/wrn_28_1/none/seed{seed}" for seed in (0, 1)]
    network = study.folder / "docs" / "examples" / "wide_resnet.py"
    network.write_text(network.read_text().replace("F.relu(self.norm1(x))", "F.elu(self.norm1(x))"))
    assert len(study.planned_cells()) == 4


def test_a_wrong_plugin_ends_in_one_message(study):
    noise = study.folder / "docs" / "examples" / "asymmetric_noise.py"
    noise.write_text(noise.read_text().replace("asymmetric_p{p:0.0..1.0}", "labels_p{p:0.0..0.9}"))
    assert f"{noise}:9: the corruption 'labels_p{{p:0.0..0.9}}' is taken by" in study.fail("-n")


@pytest.fixture
def fashion(study):
    """The study with a small Fashion-MNIST to download from this machine, and the folder that is served."""
    rng, served = stream(0, "test"), study.folder / "served"
    served.mkdir()
    shapes = ((40, 28, 28), (40,), (20, 28, 28), (20,))
    for name, shape in zip(FILES, shapes, strict=True):
        values = rng.integers(0, 256, shape, np.uint8) if len(shape) > 1 else np.arange(*shape, dtype=np.uint8) % 10
        (served / f"{name}.gz").write_bytes(gzip.compress(as_idx(values)))
    handler = partial(SimpleHTTPRequestHandler, directory=served)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        plugin = study.folder / "docs" / "examples" / "fashion_mnist.py"
        text = plugin.read_text().replace(ADDRESS, f"http://127.0.0.1:{server.server_port}/")
        for name, md5 in zip(FILES, MD5, strict=True):
            text = text.replace(md5, hashlib.md5((served / f"{name}.gz").read_bytes()).hexdigest())
        plugin.write_text(text)
        config = yaml.safe_load(study.config_file.read_text())
        config["plugins"] = ["docs/examples/fashion_mnist.py"]
        config["models"] = {}
        config["datasets"] = {"fashion_mnist": {"source": "official", "input_size": 24}}
        config["table1"] = {"cells": ["fashion_mnist/true_labels/mlp_1x512/none"]}
        del config["complexity"]
        study.write_config(config)
        yield study, served
        server.shutdown()


def test_an_own_data_set_is_downloaded_and_verified(fashion):
    study, served = fashion
    (file, *_) = sorted(served.iterdir())
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    said = study.fail("--cores", "2", "data")
    assert file.name in said
    assert "has md5" in said
    file.write_bytes(whole)
    study.succeed("--cores", "2")
    table = (study.folder / "results" / "shapes" / "table1.md").read_text()
    assert "Fashion-MNIST (exact), 40 training images" in table
    assert "Nothing to be done" in study.succeed("--cores", "2")


def test_a_file_with_another_checksum_is_downloaded_again(fashion):
    """One that was published before, or was put there by hand."""
    study, served = fashion
    study.succeed("--cores", "2", "data")
    assert study.plan("data") == {}
    labels = served / f"{FILES[1]}.gz"
    before = labels.read_bytes()
    labels.write_bytes(gzip.compress(as_idx((np.arange(40, dtype=np.uint8) + 1) % 10)))
    md5 = [hashlib.md5(content).hexdigest() for content in (before, labels.read_bytes())]
    plugin = study.folder / "docs" / "examples" / "fashion_mnist.py"
    plugin.write_text(plugin.read_text().replace(*md5))
    assert study.plan("data") == {"download_file": 1, "prepare_dataset": 1, "data": 1, "total": 3}
    labels.rename(served / "hidden")
    said = study.fail("--cores", "2", "data")
    assert f"downloads/fashion_mnist/{labels.name} is there, but has md5 {md5[0]}, expected {md5[1]}" in said
    # Put there by hand, it needs no download.
    place = next(study.folder.rglob(f"data/downloads/fashion_mnist/{labels.name}"))
    place.write_bytes((served / "hidden").read_bytes())
    assert study.plan("data") == {"prepare_dataset": 1, "data": 1, "total": 2}
    study.succeed("--cores", "2", "data")
    stored = [np.load(file)[0] for file in study.folder.rglob("train_labels.npy")]
    assert sorted(stored) == [0, 1]
