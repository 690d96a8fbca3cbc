"""Cells trained by several processes: the same bits, however many there are, whatever is killed."""

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from rethinking.corruption.overlays import write
from rethinking.run.code import SCRIPTS
from rethinking.run.files import UserError
from rethinking.run.team import Team
from rethinking.run.workers import exit_status, node_of, nodes_of_job, start
from rethinking.training import reductions
from rethinking.training.reductions import ExactSum, flatten, nodes_of, push, unflatten

from ..unit.tiny import settings_with
from ..waiting import wait_for

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


# ---- the sum


def test_sum_is_that_of_a_tree_with_any_number_of_workers():
    """Against a tree that is written down level by level."""
    generator = np.random.default_rng(0)
    for count in (1, 2, 3, 5, 8, 13, 50):
        values = (
            generator.standard_normal((count, 7)) * 10.0 ** generator.integers(-6, 6, (count, 1))
        ).astype(np.float32)
        expected = in_a_tree(list(values))
        for size in (1, 2, 3, 4, 7):
            order, sums, nodes = [], [], []
            for rank in range(size):
                worker = ExactSum(Team(rank, size))
                for number in worker.share(count):
                    worker.add([torch.from_numpy(values[number])])
                assert worker.nodes == nodes_of(worker.share(count))
                order += zip(worker.nodes, worker.sums, strict=True)
            for node, value in order:
                sums.append(value)
                push(nodes, node, sums)
            whole = ExactSum()
            whole.share(count)
            whole.sums = sums
            assert whole.total([torch.zeros(7)])[0].numpy().tobytes() == expected.tobytes()


def in_a_tree(values):
    """Pairs are added, then pairs of pairs; what has no partner is added last, the smallest first."""
    rest = []
    while len(values) > 1:
        if len(values) % 2:
            rest.append(values.pop())
        values = [values[i] + values[i + 1] for i in range(0, len(values), 2)]
    total = values[0]
    if rest:
        tail = rest[0]
        for each in rest[1:]:
            tail = each + tail
        total = total + tail
    return total


def test_a_tensor_keeps_its_layout():
    tensors = [
        torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last),
        torch.randn(5),
        torch.tensor(2.0),
    ]
    for ours, theirs in zip(unflatten(flatten(tensors), tensors), tensors, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()


def test_gpus_add_fast_and_whole_batches_are_not_added():
    def kind(device="cpu", **values):
        return type(reductions.build_reduction(settings_with(**CHANGED | values), torch.device(device)))

    assert kind() is kind("cuda", reduction="exact") is ExactSum
    assert kind("cuda") is kind(reduction="fast") is kind(micro_batch=None) is reductions.Sum


# ---- whole cells


@pytest.fixture(scope="module")
def command(prepared, tmp_path_factory):
    """Start a cell with a number of workers; what still runs at the end is killed."""
    folder = tmp_path_factory.mktemp("cells")
    write(prepared, folder / "overlay", "labels_p0.5", "cifar10", seed=0)
    (folder / "small.py").write_text(MODEL)
    processes = []

    def start(output, workers, pause=False, **values):
        settings = settings_with(**CHANGED | {"architecture": PAUSE if pause else {}} | values)
        arguments = ["-m", "train_cell", "--cell", CELL, "--settings", settings.model_dump_json()]
        arguments += ["--prepared", prepared, "--overlay", folder / "overlay", "--output", output]
        arguments += ["--checkpoint", output / "state.safetensors", "--checkpoint-seconds", "0.2"]
        arguments += ["--workers", workers, "--device", "cpu"]
        environment = {"PYTHONPATH": str(SCRIPTS), "RETHINKING_PLUGINS": str(folder / "small.py")}
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | environment,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def finish(process):
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def numbers(folder):
    """Curve without the seconds, weights, predictions."""
    rows = [row.split(",") for row in (folder / "curve.csv").read_text().splitlines()]
    seconds = rows[0].index("seconds")
    weights = load_file(folder / "weights.safetensors")
    with np.load(folder / "predictions.npz") as arrays:
        predictions = {name: arrays[name].tobytes() for name in arrays.files}
    return (
        [[value for place, value in enumerate(row) if place != seconds] for row in rows],
        {name: value.numpy().tobytes() for name, value in weights.items()},
        predictions,
    )


@pytest.fixture(scope="module")
def alone(command, tmp_path_factory):
    """The numbers of one worker."""
    folder = tmp_path_factory.mktemp("alone")
    status, output = finish(command(folder, 1))
    assert status == 0, output
    return numbers(folder)


def running(process):
    """Whether a process is there and has not ended."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def children(process):
    """The processes that a process has started and that have not ended."""
    return [each for each in psutil.Process(process.pid).children() if running(each)]


def test_workers_change_no_bit(command, alone, tmp_path):
    status, output = finish(command(tmp_path, 3))
    assert status == 0, output
    assert ", 3 workers" in output
    assert numbers(tmp_path) == alone


@pytest.mark.slow
def test_fast_sums_give_other_bits_of_almost_the_same_numbers(command, alone, tmp_path):
    """So the tests of bits can fail; two workers would add four micro-batches up like the tree."""
    status, output = finish(command(tmp_path, 3, reduction="fast"))
    assert status == 0, output
    found = numbers(tmp_path)
    assert found[1] != alone[1]
    losses = [[float(row[3]) for row in curve[1:]] for curve, *_ in (found, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
def test_stopped_on_two_and_resumed_on_three(command, alone, tmp_path):
    process = command(tmp_path, 2, pause=True)
    wait_for((tmp_path / "state.safetensors").exists)
    others = children(process)
    assert len(others) == 1
    process.send_signal(signal.SIGUSR1)
    status, output = finish(process)
    assert (status, "stopped by SIGUSR1" in output) == (os.EX_TEMPFAIL, True), output
    assert not any(map(running, others))
    assert not (tmp_path / "curve.csv").exists()
    status, output = finish(command(tmp_path, 3, pause=True))
    assert (status, "resumed from" in output) == (0, True), output
    assert numbers(tmp_path) == alone


@pytest.mark.slow
def test_killed_worker_is_started_again(command, alone, tmp_path):
    process = command(tmp_path, 3, pause=True)
    wait_for((tmp_path / "state.safetensors").exists)
    before = wait_for(lambda: len(found := children(process)) == 2 and found)
    random.choice(before).kill()
    status, output = finish(process)
    assert status == 0, output
    assert "was killed by SIGKILL; all workers start again (1 of at most 3 times)" in output
    assert "resumed from" in output
    assert not any(map(running, before))
    assert numbers(tmp_path) == alone


@pytest.mark.slow
def test_no_worker_survives_its_parent(command, alone, tmp_path):
    process = command(tmp_path, 3, pause=True)
    wait_for((tmp_path / "state.safetensors").exists)
    others = children(process)
    assert len(others) == 2
    process.kill()
    wait_for(lambda: not any(map(running, others)), seconds=10)
    process.communicate()
    status, output = finish(command(tmp_path, 2, pause=True))
    assert (status, "resumed from" in output) == (0, True), output
    assert numbers(tmp_path) == alone


@pytest.mark.slow
def test_error_of_a_worker_is_that_of_the_cell(command, tmp_path, monkeypatch):
    monkeypatch.setenv("BREAK", "yes")
    process = command(tmp_path, 2)
    status, output = finish(process)
    assert status == 1
    assert "small.py" in output
    assert "a worker's own fault" in output
    assert "worker 1 ended with status 1; its message stands above" in output
    assert not (tmp_path / "curve.csv").exists()


def test_nodes_are_those_of_a_job_of_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_NODELIST", raising=False)
    assert nodes_of_job(1) == [""]
    with pytest.raises(UserError, match=r"hardware\.nodes is 2, but this is no SLURM job"):
        nodes_of_job(2)
    assert [node_of(rank, 6, 3) for rank in range(6)] == [0, 0, 1, 1, 2, 2]


def test_a_worker_on_another_node_does_not_see_the_gpu_of_worker_0_alone(monkeypatch):
    """Where SLURM itself gives it none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "taken")
    program = "import os, sys; sys.exit(os.environ.get('CUDA_VISIBLE_DEVICES') == 'taken')"
    see = [sys.executable, "-c", program]
    assert start(see, []).wait() == 0
    assert start(see, ["taken"]).wait() == 1


@pytest.mark.parametrize("script", [None, "echo no such job >&2; exit 1"])
def test_a_job_whose_nodes_are_unknown(monkeypatch, tmp_path, script):
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node[1-2]")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep if script else None)
    if script:
        (tmp_path / "scontrol").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "scontrol").chmod(0o755)
    said = "no such job" if script else "No such file"
    with pytest.raises(UserError, match=rf"'scontrol show hostnames node\[1-2\]' does not give.*{said}"):
        nodes_of_job(2)


@pytest.mark.parametrize(("status", "meant"), [(1, 1), (-9, -9), (137, -9), (168, -40), (255, 255)])
def test_of_what_srun_says_only_signals_are_signals(status, meant):
    assert exit_status(status) == meant
