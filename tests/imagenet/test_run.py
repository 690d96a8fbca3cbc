"""The workflow on images in archives and folders, with real processes and signals."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from rethinking.run.identity import record_path
from rethinking.run.plan import Plan
from rethinking.run.scripts import packed

from ..default_config import load
from ..waiting import wait_for
from ..workflow.conftest import ROOT, Workflow
from .image_sets import CLASSES, write_archives, write_folder

CELL = "imagenet/random_labels/mlp_1x512/augment"
SETTINGS = {
    "seeds": [0],
    "hardware": {"device": "cpu", "checkpoint_seconds": 1},
    "datasets": {"imagenet": {"provenance": "made up", "input_size": 75, "stored_size": 80}},
    "overrides": [{"cells": "imagenet/*/*/*", "set": {"epochs": 3, "batch_size": 4, "micro_batch": 4}}],
}


def configured(path, **dataset):
    values = json.loads(json.dumps(SETTINGS))
    values["datasets"]["imagenet"] |= {"path": str(path), **dataset}
    return values


@pytest.fixture
def folder(contents, tmp_path):
    return write_folder(tmp_path / "images", contents)


def asked(name=CELL):
    return f"results/cells/{name}/seed0/summary.json"


@pytest.mark.slow
def test_archives_in_place_of_a_folder_make_nothing_again(folder, contents, tmp_path):
    Workflow(tmp_path, configured(folder)).succeed(asked())
    summary = json.loads((tmp_path / asked()).read_text())
    assert summary["data"]["class_names"] == list(CLASSES)
    assert summary["data"]["train"]["class_counts"] == [6, 6, 6]
    assert "odd_files" not in summary["data"]
    shutil.rmtree(folder)
    archives = write_archives(tmp_path / "archives", contents)
    moved = configured(archives, provenance="other words", skip_unreadable=True)
    moved["hardware"]["feeder"] = "streamed"  # changes no number either
    again = Workflow(tmp_path, moved)
    assert again.plan(asked()) == {}
    # Made again from the archives, streamed: the same weights.
    before = load_file(tmp_path / asked().replace("summary.json", "weights.safetensors"))
    again.succeed("-f", asked())
    after = load_file(tmp_path / asked().replace("summary.json", "weights.safetensors"))
    assert all((before[name] == after[name]).all() for name in before)
    assert "images are streamed" in (tmp_path / f"results/logs/cells/{CELL}/seed0.log").read_text()


@pytest.mark.slow
def test_complexity_is_measured_on_images_that_stay_in_their_files(folder, tmp_path):
    cell = "imagenet/true_labels/mlp_1x512/none"
    values = configured(folder, stored_size=None) | {"complexity": {"cells": cell, "images": 10, "draws": 1}}
    measured = f"results/cells/{cell}/seed0/complexity.json"
    Workflow(tmp_path, values).succeed(measured)
    assert json.loads((tmp_path / measured).read_text())["images"] == 10


def test_the_finding_is_that_of_table_2_where_table_1_is_left_out(folder, tmp_path):
    values = configured(folder) | {"table1": {"cells": []}}
    values["table2"] = {"cells": "imagenet/{true,random}_labels/mlp_1x512/{none,wd}"}
    planned = Workflow(tmp_path, values).plan("results/finding.txt")
    assert planned["plot_finding"] == 1
    assert planned["train_cell"] == 2


def test_a_broken_image_ends_the_job_with_its_name(folder, tmp_path):
    broken = folder / "train" / CLASSES[0] / f"{CLASSES[0]}_20.JPEG"
    broken.write_bytes(broken.read_bytes()[:300])
    until = (asked(), "--until", "prepare_images")
    assert f"{broken} cannot be decoded" in Workflow(tmp_path, configured(folder)).fail(*until)
    Workflow(tmp_path, configured(folder, skip_unreadable=True)).succeed(*until)
    (manifest,) = tmp_path.glob("results/data/prepared/imagenet/*/manifest.json")
    assert json.loads(manifest.read_text())["train"]["class_counts"] == [5, 6, 6]


def test_the_name_of_a_class_can_have_a_comma(folder, tmp_path):
    for split in ("train", "val"):
        (folder / split / CLASSES[0]).rename(folder / split / "crane, {bird}")
    chosen = [CLASSES[1], "crane, {bird}"]
    Workflow(tmp_path, configured(folder, classes=chosen)).succeed(asked(), "--until", "prepare_images")
    (manifest,) = tmp_path.glob("results/data/prepared/imagenet/*/manifest.json")
    assert json.loads(manifest.read_text())["class_names"] == sorted(chosen)


def test_pixels_that_are_not_stored_cannot_be_corrupted(folder, tmp_path):
    workflow = Workflow(tmp_path, configured(folder, stored_size=None))
    output = workflow.fail(asked(CELL.replace("random_labels", "gaussian")))
    assert "needs stored pixels, which imagenet does not have" in output


@pytest.mark.slow
def test_a_killed_preparation_starts_again(folder, tmp_path):
    """Meanwhile nothing vouches for what was there before."""
    dataset = configured(folder, source="local")["datasets"]["imagenet"]
    made = Plan(load(datasets__imagenet=dataset, data_dir=str(tmp_path))).prepared("imagenet")
    command = [sys.executable, ROOT / "workflow_scripts/prepare_images.py", "--dataset=imagenet", "--stored-size=80"]
    command += ["--path", folder, "--provenance=test", "--output", made.folder, "--record", packed(made.record)]
    prepared = Path(made.folder)

    def files():
        return {file.name: file.read_bytes() for file in prepared.iterdir() if file.name != ".identity"}

    subprocess.run(command, check=True)
    whole = files()
    (prepared / "test_labels.npy").unlink()
    for number in (signal.SIGKILL, signal.SIGTERM):
        process = subprocess.Popen(command)
        # An array is being written, not the one that the last process left.
        left = set(prepared.glob(".*"))
        wait_for(lambda left=left: set(prepared.glob(".*")) - left, process)
        process.send_signal(number)
        process.wait()
        assert not record_path(made.outputs[0]).exists()
    subprocess.run(command, check=True)
    assert files() == whole
