"""Fixtures that several test modules use."""

import hashlib
import os
import signal
import subprocess

# Before torch is imported: on tensors this small a second thread only waits for the first.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from rethinking.run.files import save_array, write_json

# A shell without job control starts background programs with SIGINT ignored, and all programs that the tests start
# would inherit this. With a handler in this process, programs that it starts get the default action.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHAPE = (3, 10, 10)
CLASSES = 4


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A prepared data set: 40 training and 20 test images of 3x10x10 in four classes.

    No image has two pixels of the same colour. The test images are darker, so that a statistic of
    the wrong split is noticed.
    """
    folder = tmp_path_factory.mktemp("prepared")
    rng = np.random.default_rng(0)
    manifest = {
        "dataset": "tiny",
        "provenance": "made up",
        "source": {"kind": "embedded", "files": {}},
        "class_names": list("abcd"),
        "num_classes": CLASSES,
        "image_shape": list(SHAPE),
    }
    for split, count, brightest in (("train", 40, 255), ("test", 20, 180)):
        images = rng.integers(0, brightest + 1, (count, *SHAPE), dtype=np.uint8)
        labels = rng.permutation(np.arange(count) % CLASSES)
        save_array(folder / f"{split}_images.npy", images)
        save_array(folder / f"{split}_labels.npy", labels)
        manifest[split] = {
            "count": count,
            "full_count": count,
            "class_counts": np.bincount(labels).tolist(),
            "images_sha256": hashlib.sha256(images.tobytes()).hexdigest(),
            "labels_sha256": hashlib.sha256(labels.tobytes()).hexdigest(),
        }
    write_json(folder / "manifest.json", manifest)
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
