"""Several processes train a cell: the same bits, however many there are, whatever is killed."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pandas as pd
import psutil
import pytest

from rethinking.corruption.overlays import write
from rethinking.run.code import SCRIPTS

from ..unit.tiny import settings_with
from ..waiting import wait_for
from .conftest import TINY

pytestmark = pytest.mark.usefixtures("nothing_left_running")

MODEL = '''
import os
import sys
import time

from torch import nn

from rethinking.registry import model


class Small(nn.Module):
    """Batch normalisation, dropout and a convolution in channels-last layout, as slow as one likes."""

    def __init__(self, classes, pause):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6)
        self.dropout, self.fc, self.pause = nn.Dropout(0.3), nn.Linear(6, classes), pause

    def forward(self, x):
        if os.environ.get("BREAK") and any(each.startswith("--worker=") for each in sys.argv):
            raise ValueError("a worker's own fault")
        if self.training:
            time.sleep(self.pause)
        return self.fc(self.dropout(self.norm(self.conv(x)).relu().mean((2, 3))))


@model("small_net", megaflops=1)
def small_net(image_shape, num_classes, pause: float = 0.0):
    return Small(num_classes, pause)
'''
CELL = "cifar10/labels_p0.5/small_net/crop/seed0"
# Batches of 16, 16 and 8: the last has fewer micro-batches than three workers.
CHANGED = {
    "epochs": 6,
    "micro_batch": 4,
    "learning_rate": 0.05,
    "input_size": 8,
    "thresholds": [50.0],
    "rmsprop": {"decay": 0.9, "epsilon": 1.0},
    "average_decay": 0.99,
}
PAUSE = {"pause": 0.02}  # of each micro-batch, in which a test can kill something


@pytest.fixture(scope="module")
def command(prepared, tmp_path_factory):
    """Start a cell with a number of workers."""
    folder = tmp_path_factory.mktemp("cells")
    write(prepared, folder / "overlay", "labels_p0.5", "cifar10", seed=0)
    (folder / "small.py").write_text(MODEL)

    def start(output, workers, pause=False, **values):
        settings = settings_with(**CHANGED | {"architecture": PAUSE if pause else {}} | values)
        arguments = ["-m", "train_cell", "--cell", CELL, "--settings", settings.model_dump_json()]
        arguments += ["--prepared", prepared, "--overlay", folder / "overlay", "--output", output]
        arguments += ["--checkpoint", output / "state.safetensors", "--checkpoint-seconds", "0.2"]
        arguments += ["--workers", workers, "--device", "cpu"]
        environment = {"PYTHONPATH": str(SCRIPTS), "RETHINKING_PLUGINS": str(folder / "small.py")}
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environment,
        )

    return start


def finish(process, status=0):
    """Wait for a process that must end with this status; its output."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == status, output
    return output


def numbers(folder):
    """What training has given, but for the seconds that it took."""
    curve = pd.read_csv(folder / "curve.csv", dtype=str).drop(columns="seconds")
    files = ("weights.safetensors", "predictions.npz", "memorisation.csv")
    return [curve.to_csv(), *((folder / name).read_bytes() for name in files)]


@pytest.fixture(scope="module")
def alone(command, tmp_path_factory):
    """The folder of a cell that one worker has trained."""
    folder = tmp_path_factory.mktemp("alone")
    finish(command(folder, 1))
    return folder


def part_trained(command, folder, workers):
    """A process with several workers that has written a checkpoint and goes on."""
    process = command(folder, workers, pause=True)
    wait_for((folder / "state.safetensors").exists, process)
    return process


def running(process):
    """Whether a process is there and has not ended."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def children(process):
    """The processes that a process has started and that have not ended."""
    return [each for each in psutil.Process(process.pid).children() if running(each)]


def test_workers_change_no_bit(command, alone, tmp_path):
    assert ", 3 workers" in finish(command(tmp_path, 3))
    assert numbers(tmp_path) == numbers(alone)


@pytest.mark.slow
def test_fast_sums_give_other_bits_of_almost_the_same_numbers(command, alone, tmp_path):
    """So the tests of bits can fail; two workers would add four micro-batches up like the tree."""
    finish(command(tmp_path, 3, reduction="fast"))
    assert all(found != given for found, given in zip(numbers(tmp_path)[:2], numbers(alone), strict=False))
    losses = [pd.read_csv(folder / "curve.csv").train_loss for folder in (tmp_path, alone)]
    assert list(losses[0]) == pytest.approx(list(losses[1]), rel=1e-4)


@pytest.mark.slow
def test_stopped_on_two_and_resumed_on_three(command, alone, tmp_path):
    process = part_trained(command, tmp_path, 2)
    others = children(process)
    assert len(others) == 1
    process.send_signal(signal.SIGUSR1)
    assert "stopped by SIGUSR1" in finish(process, os.EX_TEMPFAIL)
    assert not any(map(running, others))
    assert not (tmp_path / "curve.csv").exists()
    assert "resumed from" in finish(command(tmp_path, 3, pause=True))
    assert numbers(tmp_path) == numbers(alone)


@pytest.mark.slow
def test_killed_worker_is_started_again(command, alone, tmp_path):
    process = part_trained(command, tmp_path, 3)
    before = wait_for(lambda: len(found := children(process)) == 2 and found, process)
    before[0].kill()
    output = finish(process)
    assert "was killed by SIGKILL; all workers start again (1 of at most 3 times)" in output
    assert "resumed from" in output
    assert not any(map(running, before))
    assert numbers(tmp_path) == numbers(alone)


@pytest.mark.slow
def test_no_worker_survives_its_parent(command, alone, tmp_path):
    process = part_trained(command, tmp_path, 3)
    others = children(process)
    assert len(others) == 2
    process.kill()
    wait_for(lambda: not any(map(running, others)), seconds=10)
    process.communicate()
    assert "resumed from" in finish(command(tmp_path, 2, pause=True))
    assert numbers(tmp_path) == numbers(alone)


@pytest.mark.slow
def test_error_of_a_worker_is_that_of_the_cell(command, tmp_path, monkeypatch):
    monkeypatch.setenv("BREAK", "yes")
    output = finish(command(tmp_path, 2), 1)
    assert "small.py" in output
    assert "a worker's own fault" in output
    assert "worker 1 ended with status 1; its message stands above" in output
    assert not (tmp_path / "curve.csv").exists()


@pytest.mark.slow
def test_workers_train_what_has_micro_batches_and_their_number_makes_nothing_stale(tiny_workflow):
    cells = [f"cells/digits/true_labels/mlp_1x512/{each}/seed0" for each in ("none", "wd")]
    summaries = [f"results/{cell}/summary.json" for cell in cells]
    parts = {"cells": "digits/*/*/wd", "set": {"micro_batch": 10}}
    tiny_workflow.write_config({**TINY, "overrides": [parts], "hardware": {"device": "cpu", "workers": 2}})
    tiny_workflow.succeed(*summaries, "--cores", "2")
    logs = [(tiny_workflow.folder / f"results/logs/{cell}.log").read_text() for cell in cells]
    assert [", 2 workers" in log for log in logs] == [False, True]
    tiny_workflow.write_config({**TINY, "overrides": [parts], "hardware": {"device": "cpu", "workers": 3}})
    assert tiny_workflow.planned_cells(*summaries) == []
