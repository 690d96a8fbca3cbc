"""Real processes, real signals: a cell that is killed and started again ends as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from rethinking.cells import Cell
from rethinking.config import load_config
from rethinking.defaults import default_values

from .conftest import ROOT

SCRIPTS = ROOT / "workflow_scripts"
INCEPTION = "digits/random_labels/inception/none"
ALEXNET = "digits/random_labels/alexnet/crop+wd"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Prepared digits and their random labels."""
    folder = tmp_path_factory.mktemp("data")
    prepare = ["--source", "embedded", "--train-limit", "60", "--test-limit", "20", "--provenance", "test"]
    corrupt = ["--corruption", "random_labels", "--seed", "0", "--prepared", folder / "prepared"]
    for script, arguments, output in (
        ("prepare_dataset.py", prepare, "prepared"),
        ("corrupt_dataset.py", corrupt, "overlay"),
    ):
        command = [sys.executable, SCRIPTS / script, "--dataset", "digits", *arguments]
        subprocess.run([*command, "--output", folder / output], check=True)
    return folder


def start(name, data, folder, checkpoint_seconds=0):
    """Start training a cell; as it comes, it writes a checkpoint after every step."""
    values = default_values()
    values["training"] |= {"epochs": 8, "batch_size": 10}
    cell = Cell.from_name(name, 0)
    settings = load_config(values, []).settings(cell).model_dump_json()
    command = [sys.executable, SCRIPTS / "train_cell.py", "--cell", str(cell), "--settings", settings]
    command += ["--prepared", data / "prepared", "--overlay", data / "overlay", "--output", folder]
    command += ["--checkpoint", folder / "state.safetensors"]
    command += ["--checkpoint-seconds", str(checkpoint_seconds), "--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def wait_for(process, text):
    """Read lines until one has the text."""
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"the process ended without '{text}'")


def assert_same(one, other):
    weights, others = load_file(one / "weights.safetensors"), load_file(other / "weights.safetensors")
    assert weights.keys() == others.keys()
    assert all(np.array_equal(weights[name], others[name]) for name in weights)
    curves = [pd.read_csv(folder / "curve.csv").drop(columns="seconds") for folder in (one, other)]
    assert curves[0].equals(curves[1])
    with np.load(one / "predictions.npz") as mine, np.load(other / "predictions.npz") as theirs:
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("cell", [INCEPTION, ALEXNET])
def test_killed_at_random_times(cell, data, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    finish(start(cell, data, undisturbed))
    rng = random.Random(cell)
    for _ in range(5):
        process = start(cell, data, killed)
        # Anywhere between the first lines of Python and the last step.
        try:
            process.communicate(timeout=rng.uniform(0.5, 6))
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
    finish(start(cell, data, killed))
    assert_same(undisturbed, killed)
    assert not (killed / "state.safetensors").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_writes_a_checkpoint_and_says_so(number, data, tmp_path):
    process = start(ALEXNET, data, tmp_path, checkpoint_seconds=3600)
    wait_for(process, "epoch 1/")
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == os.EX_TEMPFAIL
    assert f"stopped by {number.name}" in output
    assert "resumed from" in finish(start(ALEXNET, data, tmp_path))


def test_two_processes_train_a_cell_once(data, tmp_path):
    first = start(INCEPTION, data, tmp_path)
    wait_for(first, "epoch 1/")
    second = start(INCEPTION, data, tmp_path)
    wait_for(second, "another process is at work on this cell")
    finish(first)
    output = finish(second)
    assert "the other process has finished this cell" in output
    assert "epoch" not in output
