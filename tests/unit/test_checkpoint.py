"""A cell that is stopped at any step, or whose checkpoint is unusable, ends with the right numbers."""

import errno
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rethinking.cells import Cell
from rethinking.models import build_model
from rethinking.run import checkpoint as checkpoint_module
from rethinking.run.checkpoint import Checkpoint, Interrupted, Progress
from rethinking.run.files import atomic_path
from rethinking.run.identity import Identity
from rethinking.run.locks import locked
from rethinking.run.running import lock_file
from rethinking.training import initial_weights, loop
from rethinking.training.loop import train_cell
from rethinking.training.results import provenance

from ..faults import flip, refuse
from .tiny import CPU, MANY, StoppedAfterAStep, Tiny, settings_with, stopped_after_every_step, without_seconds

SETTINGS = settings_with(epochs=2, weight_decay=0.001, initialisation="he_normal", input_size=8)
IDENTITY = Identity({"cell": "a", "epochs": 2}, {"loop.py: train": "1"}, {"data": "0"})
MLP = "cifar10/labels_p0.5/mlp_1x512/none"
DROPPED = "cifar10/labels_p0.5/mlp_1x512/wd+dropout"
AUGMENTED = "cifar10/labels_p0.5/alexnet/crop+augment+wd"


def train(data, checkpoint=None, cell=MLP, settings=SETTINGS, log=lambda line: None):
    return train_cell(Cell.from_name(cell, 0), settings, data, CPU, checkpoint, log)


def assert_same(one, other):
    assert one.train.loss == other.train.loss
    assert np.array_equal(one.test.predictions, other.test.predictions)
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    assert without_seconds(one.curve) == without_seconds(other.curve)


def normalised(*_, **__):
    """A small network with batch normalisation."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))


def dropped(*_, **__):
    """A network with dropout whose steps are plain ones."""
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 4))


@pytest.mark.parametrize(
    ("cell", "build", "settings"),
    [
        (MLP, build_model, SETTINGS),
        (MLP, normalised, SETTINGS),
        (MLP, dropped, SETTINGS),
        (AUGMENTED, build_model, SETTINGS),
        (DROPPED, lambda *_, **__: Tiny(), MANY),  # RMSProp, micro-batches and averaged weights too
    ],
)
def test_stopped_after_every_step_equals_undisturbed(data, tmp_path, monkeypatch, cell, build, settings):
    monkeypatch.setattr(initial_weights, "build_model", build)
    path = tmp_path / "c.safetensors"
    resumed, stops = stopped_after_every_step(lambda: train(data, StoppedAfterAStep(path, IDENTITY), cell, settings))
    assert stops == 7  # after each of six steps, and in the final evaluation
    assert_same(resumed, train(data, None, cell, settings))


@pytest.mark.parametrize("persistent", [True, False])
def test_a_buffer_that_a_constructor_draws_follows_from_the_cell(data, tmp_path, plugin, persistent):
    plugin(
        "import torch\n@model('random_features')\nclass Net(torch.nn.Module):\n"
        "    def __init__(self, image_shape, num_classes):\n        super().__init__()\n"
        f"        self.register_buffer('drawn', torch.randn(192, 20) / 20, persistent={persistent})\n"
        "        self.out = torch.nn.Linear(20, num_classes)\n"
        "    def forward(self, x):\n        return self.out(torch.cos(x.flatten(1) @ self.drawn))\n"
    )
    cell = MLP.replace("mlp_1x512", "random_features")
    resumed, _ = stopped_after_every_step(
        lambda: train(data, StoppedAfterAStep(tmp_path / "c.safetensors", IDENTITY), cell)
    )
    assert_same(resumed, train(data, None, cell))


@pytest.mark.parametrize("stops", [1, 3])
def test_an_epoch_that_was_resumed_tells_no_speed(data, tmp_path, stops):
    """After its first step, and after its last, when the network is only evaluated."""
    lines = []
    for _ in range(stops):
        with pytest.raises(Interrupted):
            train(data, StoppedAfterAStep(tmp_path / "c.safetensors", IDENTITY))
    train(data, Checkpoint(tmp_path / "c.safetensors", IDENTITY, log=lines.append), log=lines.append)
    told = ["images/s left" in line for line in lines if line.startswith("epoch ")]
    assert told == [False, True]


@pytest.fixture
def path(data, tmp_path):
    """The checkpoint of a cell that was interrupted after its first step."""
    path = tmp_path / "c.safetensors"
    with pytest.raises(Interrupted, match="SIGUSR1"):
        train(data, StoppedAfterAStep(path, IDENTITY))
    return path


def test_all_devices_that_trained_a_cell_are_recorded(data, path, monkeypatch):
    """Its seconds are those of all of them."""
    monkeypatch.setattr(loop, "device_name", lambda _: "NVIDIA H200")
    devices = train(data, Checkpoint(path, IDENTITY)).devices
    assert provenance(SETTINGS, Cell.from_name(MLP, 0), devices, IDENTITY)["device"] == "cpu and NVIDIA H200"


def logged_load(path, identity):
    lines = []
    return Checkpoint(path, identity, log=lines.append).load(), " ".join(lines)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"settings": {"cell": "a", "epochs": 3}}, "epochs 2 -> 3"),
        ({"code": {"loop.py: train": "2"}}, "code of loop.py: train"),
        ({"inputs": {"data": "1"}}, "data: contents changed"),
    ],
)
def test_another_ones_checkpoint_is_not_used(path, changes, reason):
    assert logged_load(path, IDENTITY)[0] is not None
    found, log = logged_load(path, replace(IDENTITY, **changes))
    assert found is None
    assert f"is of another cell ({reason}); training starts over" in log


def test_the_log_says_where_a_cell_resumes(tmp_path):
    path = tmp_path / "c.safetensors"
    Checkpoint(path, IDENTITY).save(Progress(epoch=3, step=7), {"weight": torch.zeros(2)})
    assert logged_load(path, IDENTITY)[1] == f"resumed from {path}: epoch 3, 7 steps of it done"


def test_a_checkpoint_outlives_moved_code(path):
    assert logged_load(path, replace(IDENTITY, code={"other.py: fit": "1"}))[0] is not None


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, 0.999])
def test_damaged_checkpoint_starts_over(data, path, keep):
    content = path.read_bytes()
    path.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    found, log = logged_load(path, IDENTITY)
    assert found is None
    assert "cannot be read" in log
    assert_same(train(data, Checkpoint(path, IDENTITY, log=lambda line: None)), train(data))


@pytest.mark.parametrize(("text", "place"), [(None, -100), (b"weight", 5), (rb"{\"epoch\": 1", 12)])
def test_a_changed_bit_in_a_checkpoint_starts_over(path, text, place):
    """In a value, in a name or in the progress."""
    flip(path, path.read_bytes().index(text) + place if text else place)
    found, log = logged_load(path, IDENTITY)
    assert found is None
    assert "its contents do not match its checksum); training starts over" in log


def test_a_refusal_of_the_disk_does_not_start_over(data, tmp_path):
    path = tmp_path / "c.safetensors"
    path.symlink_to(path)  # for a disk or file server that fails
    with pytest.raises(OSError, match=r"symbolic links.*c\.safetensors"):
        train(data, Checkpoint(path, IDENTITY))
    assert path.is_symlink()


def test_full_disk_keeps_the_last_checkpoint_and_goes_on(data, path, monkeypatch):
    before = path.read_bytes()

    def cut_short(_tensors, file, _metadata):
        Path(file).write_bytes(b"a part of it")
        refuse(errno.ENOSPC)()

    monkeypatch.setattr(checkpoint_module, "save_file", cut_short)
    lines = []
    trained = train(data, Checkpoint(path, IDENTITY, every_seconds=0, log=lines.append))
    assert any("not written" in line and "No space left" in line for line in lines)
    assert lines[-1].endswith("; the last one stays")
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    path.unlink()
    train(data, Checkpoint(path, IDENTITY, every_seconds=0, log=lines.append))
    assert lines[-1].endswith("; there is none yet")
    monkeypatch.undo()
    assert_same(trained, train(data))


def test_checkpoints_are_due_at_intervals(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    checkpoint = Checkpoint(tmp_path / "c.safetensors", IDENTITY, every_seconds=60)
    for now[0], due in ((59, 0), (60, 1), (70, 1)):
        assert checkpoint.asked() == due
    checkpoint.save(Progress(), {"weight": torch.zeros(2)})
    for now[0], due in ((129, 0), (130, 1)):
        assert checkpoint.asked() == due


def test_a_checkpoint_that_cannot_be_removed_ends_no_network(tmp_path):
    """It is done, and its files are about to be written."""
    path = tmp_path / "c.safetensors"
    (path / "a file server's").mkdir(parents=True)
    Checkpoint(path, IDENTITY).delete()
    assert path.exists()


def test_what_a_killed_process_had_written_of_a_checkpoint_is_removed(tmp_path):
    path = tmp_path / "c.safetensors"
    with atomic_path(path) as part:
        left = part.parent
    (tmp_path / ".d.safetensors.1").mkdir()  # of a cell that another process is at work on
    left.mkdir()
    with Checkpoint(path, IDENTITY).alone():
        assert not left.exists()
        assert (tmp_path / ".d.safetensors.1").exists()


def test_signal_is_noted_and_handlers_come_back(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c.safetensors", IDENTITY)
    before = signal.getsignal(signal.SIGTERM)
    with checkpoint.alone():
        assert checkpoint.asked() == 0
        signal.raise_signal(signal.SIGTERM)
        assert checkpoint.asked() == 1 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_second_process_waits_for_the_first(tmp_path):
    path = tmp_path / "c.safetensors"
    # Locks belong to open files, so a second opening in this process waits as another process would.
    first, lines = locked(lock_file(path)), []

    def release(line):
        lines.append(line)
        first.close()

    with Checkpoint(path, IDENTITY, log=release).alone():
        assert lines == ["another process is at work on this cell; waiting for it"]
