"""Slots on pretended GPUs, held by real processes that are really killed."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from rethinking.corruption.overlays import write
from rethinking.run import gpu_slots
from rethinking.run.code import SCRIPTS
from rethinking.run.files import UserError
from rethinking.run.hardware import expects_gpu, visible_gpus

from .tiny import make_cell, settings_with

HOLD = """
import os, sys
from rethinking.run.gpu_slots import gpu_slot

with gpu_slot(int(sys.argv[1])) as gpu:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == gpu
    print(gpu, flush=True)
    sys.stdin.read()
"""

HOLD_ALL = """
import os, sys
from rethinking.run.gpu_slots import gpus_alone

with gpus_alone(int(sys.argv[2]), int(sys.argv[1])) as gpus:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == gpus[0]
    print(*gpus, flush=True)
    sys.stdin.read()
"""

WORK = """
import sys
from argparse import Namespace
from rethinking.run.gpu_slots import device_in, gpu_slot
from rethinking.theory.inputs import device_alone

with {} as device:
    print(device, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Start Python as on a machine with the GPUs GPU-a and GPU-b; remaining processes are killed at the end."""
    running = ExitStack()

    def start_python(*arguments, gpus="GPU-a,GPU-b", **environment):
        environment = {"TMPDIR": tmp_path, "CUDA_VISIBLE_DEVICES": gpus, "PYTHONPATH": SCRIPTS, **environment}
        process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **dict.fromkeys(gpu_slots.JOB_NUMBERS, ""), **environment},
        )
        running.enter_context(process)  # at the end waits for it
        running.callback(process.kill)  # comes before that
        return process

    with running:
        yield start_python


def line(process):
    return process.stdout.readline().strip()


def test_gpus_fill_evenly_and_the_next_waits_for_whoever_is_killed(start):
    holders, gpus = [], []
    for _ in range(4):
        holders.append(start("-c", HOLD, 2))
        gpus.append(line(holders[-1]))
    assert gpus == ["GPU-a", "GPU-b", "GPU-a", "GPU-b"]
    fifth = start("-c", HOLD, 2)
    assert line(fifth) == "waiting for a GPU slot"
    holders[1].send_signal(signal.SIGKILL)
    assert line(fifth) == "GPU-b"


def test_fit_waits_for_a_gpu_of_which_it_has_all_slots(start):
    cells = [start("-c", HOLD, 2) for _ in range(2)]
    assert {line(cell) for cell in cells} == {"GPU-a", "GPU-b"}
    fit = start("-c", HOLD_ALL, 2, 1)
    assert line(fit) == "waiting for a GPU slot"
    cells[1].kill()
    freed = line(fit)
    more = start("-c", HOLD, 2)
    assert {line(more), freed} == {"GPU-a", "GPU-b"}
    assert line(start("-c", HOLD, 2)) == "waiting for a GPU slot"


def test_a_fit_is_alone_also_beside_a_run_with_more_cells_on_each_gpu(start):
    """Whether that run began before it or begins later."""
    cells = [start("-c", HOLD, 20, gpus="0") for _ in range(2)]
    assert [line(cell) for cell in cells] == ["0", "0"]
    cells[0].kill()  # slot 0 is free, and slot 1 is not
    cells[0].wait()
    fit = start("-c", HOLD_ALL, 1, 1, gpus="0")
    assert line(fit) == "waiting for a GPU slot"
    cells[1].kill()
    assert line(fit) == "0"
    assert line(start("-c", HOLD, 4, gpus="0")) == "waiting for a GPU slot"


def test_a_slot_beyond_the_usual_ones_is_seen(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_slots, "lock_folder", lambda: tmp_path)
    number = gpu_slots.USUAL_SLOTS
    with gpu_slots.locked(gpu_slots.lock_file("0", number)):
        assert gpu_slots.whole_gpu(["0"], 1, {}) is None
    assert gpu_slots.whole_gpu(["0"], 1, {}) == "0"


def test_of_busy_gpus_the_free_slots_of_one_are_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_slots, "lock_folder", lambda: tmp_path)
    busy = {gpu_slots.lock_file(*slot): None for slot in (("a", 0), ("a", 1), ("b", 0))}
    with ExitStack() as cells:
        for path in busy:
            cells.enter_context(gpu_slots.locked(path))
        for _ in range(2):
            kept = {}
            assert gpu_slots.whole_gpu(["a", "b"], 2, kept) is None
            assert kept.keys() == gpu_slots.all_slots("b", 2) - busy.keys()
            gpu_slots.release(kept)


def test_cells_that_come_do_not_keep_a_fit_waiting(start):
    """Of the three slots of each GPU two are taken; the fit keeps the third one of GPU-a."""
    cells = [start("-c", HOLD, 3) for _ in range(4)]
    assert Counter(map(line, cells)) == {"GPU-a": 2, "GPU-b": 2}
    fit = start("-c", HOLD_ALL, 3, 1)
    assert line(fit) == "waiting for a GPU slot"
    more = [start("-c", HOLD, 3) for _ in range(2)]
    found = {line(cell) for cell in more}
    assert "GPU-a" not in found
    assert "waiting for a GPU slot" in found
    for cell in cells:
        cell.kill()
    assert line(fit) in ("GPU-a", "GPU-b")


def test_workers_of_a_cell_have_their_gpus_alone(start):
    cell = start("-c", HOLD, 2)
    assert line(cell) == "GPU-a"
    team = start("-c", HOLD_ALL, 2, 2)
    assert line(team) == "waiting for a GPU slot"
    # It holds the other GPU and a slot already, and a second team waits for its turn before it takes any.
    for late in (start("-c", HOLD_ALL, 2, 2), start("-c", HOLD, 2)):
        assert line(late) == "waiting for a GPU slot"
    late.kill()  # it could be the first to take the slot that the cell leaves
    late.wait()
    cell.kill()
    assert sorted(line(team).split()) == ["GPU-a", "GPU-b"]
    assert line(start("-c", HOLD, 2)) == "waiting for a GPU slot"


def test_who_takes_several_gpus_takes_them_one_after_the_other(start, monkeypatch, tmp_path):
    """Two that each had one of two GPUs would wait for each other."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with gpu_slots.locked(gpu_slots.lock_file("several", 0)):
        first = start("-c", HOLD_ALL, 1, 2, gpus="0,1,2,3")
        assert line(first) == "waiting for a GPU slot"
    assert line(first) == "0 1"
    assert line(start("-c", HOLD_ALL, 1, 2, gpus="0,1,2,3")) == "2 3"


def test_more_workers_than_gpus_are_refused(start):
    team = start("-c", HOLD_ALL.replace("import os, sys", "import os, sys; sys.stderr = sys.stdout"), 1, 2, gpus="0")
    assert "each of 2 workers on this machine needs its own GPU, but it has 1;" in team.communicate()[0]


def test_six_processes_at_once_never_have_more_than_two_on_a_gpu(start):
    processes = [start("-c", HOLD, 2) for _ in range(6)]
    waits = "waiting for a GPU slot"
    found = [line(process) for process in processes]
    assert Counter(found) == {"GPU-a": 2, "GPU-b": 2, waits: 2}
    for process, gpu in zip(processes, found, strict=True):
        if gpu != waits:
            process.stdin.close()
    freed = [line(process) for process, gpu in zip(processes, found, strict=True) if gpu == waits]
    assert set(freed) <= {"GPU-a", "GPU-b"}


@pytest.mark.parametrize("number", gpu_slots.JOB_NUMBERS)
def test_jobs_of_a_scheduler_do_not_wait_for_each_other(start, number):
    """Each sees its own GPU as number 0."""
    first, second = (start("-c", HOLD, 1, gpus="0", **{number: job}) for job in ("1[0].a/b", "2"))
    assert (line(first), line(second)) == ("0", "0")
    assert line(start("-c", HOLD, 1, gpus="0", **{number: "2"})) == "waiting for a GPU slot"


def test_machines_that_share_the_folder_of_locks_do_not_wait_for_each_other(start):
    elsewhere = HOLD.replace("import os, sys", "import os, socket, sys; socket.gethostname = lambda: 'elsewhere'")
    assert [line(start("-c", hold, 1, gpus="0")) for hold in (HOLD, elsewhere)] == ["0", "0"]


@pytest.fixture
def command(prepared, tmp_path):
    """The command that trains a cell, for minutes."""
    write(prepared, tmp_path / "overlay", "labels_p0.5", "cifar10", seed=0)
    settings = settings_with(epochs=100_000).model_dump_json()
    command = [f"{SCRIPTS}/train_cell.py", "--cell", make_cell(), "--settings", settings]
    command += ["--prepared", prepared, "--overlay", tmp_path / "overlay", "--output", tmp_path / "cell"]
    return [*command, "--checkpoint", tmp_path / "state.safetensors"]


def test_cell_that_cannot_use_the_gpu_leaves_its_slot(start, command):
    """As with a driver that is too old for torch: it trains on the CPU, and others need not wait for that."""
    cell = start(*command, gpus="GPU-a")
    assert "sees no GPU here" in line(cell)
    assert " on cpu with " in line(cell)
    assert line(start("-c", HOLD, 1, gpus="GPU-a")) == "GPU-a"
    assert cell.poll() is None


@pytest.mark.parametrize(
    "held", ["device_alone(Namespace(device='auto', cells_per_gpu=1))", "device_in(gpu_slot(1), 'auto')"]
)
def test_other_work_that_cannot_use_the_gpu_says_so_and_leaves_its_slot(start, held):
    """Fits and measures of complexity. What the slot set is not what the user did."""
    work = start("-c", WORK.format(held), gpus="GPU-a,-1")
    assert re.search(
        r"torch .* sees no GPU here \(CUDA_VISIBLE_DEVICES is 'GPU-a,-1'; .*; working on the CPU\. Set hardware\.device",
        line(work),
    )
    assert line(work) in ("cpu", "(device(type='cpu'), None)")
    assert line(start("-c", HOLD, 1, gpus="GPU-a")) == "GPU-a"
    assert work.poll() is None


@pytest.mark.parametrize(
    ("slot", "held"),
    [
        (gpu_slots.gpu_slot, ("0", 0)),
        (partial(gpu_slots.gpus_alone, 1), ("0", 0)),
        (partial(gpu_slots.gpus_alone, 1), ("several", 0)),
    ],
)
def test_before_each_attempt_it_is_asked_whether_to_stop(monkeypatch, tmp_path, capsys, slot, held):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    asked, pauses = [], []

    def pause(seconds):
        pauses.append(seconds)
        assert len(pauses) < 3  # it would wait for ever

    def between():
        asked.append(len(pauses))
        if len(asked) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(gpu_slots, "time", SimpleNamespace(sleep=pause))
    with gpu_slots.locked(gpu_slots.lock_file(*held)), pytest.raises(KeyboardInterrupt), slot(1, between):
        pass
    assert asked[0] == 0 < len(pauses)
    assert capsys.readouterr().out.count("waiting for a GPU slot") == 1


def test_cell_that_waits_for_a_slot_stops_when_asked(start, command):
    holder = start("-c", HOLD, 1, gpus="GPU-a")
    assert line(holder) == "GPU-a"
    waiting = start(*command, gpus="GPU-a")
    assert line(waiting) == "waiting for a GPU slot"
    waiting.send_signal(signal.SIGTERM)
    output, _ = waiting.communicate(timeout=300)
    assert (waiting.returncode, "epoch 1/" in output) == (os.EX_TEMPFAIL, False)
    assert "stopped by SIGTERM" in output


@pytest.mark.parametrize(
    ("given", "gpus"),
    [
        ("2", ["2"]),
        ("3,1", ["3", "1"]),
        ("GPU-1a,MIG-GPU-2b/7/0", ["GPU-1a", "MIG-GPU-2b/7/0"]),
        ("0,-1,1", ["0"]),
        ("-1", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_gpus_are_those_of_cuda_visible_devices(monkeypatch, tmp_path, capsys, given, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert visible_gpus() == gpus
    assert expects_gpu("auto") == bool(gpus)
    with gpu_slots.device_in(gpu_slots.gpus_alone(9, 1), "cpu") as found:  # waits for no GPU
        assert found == (torch.device("cpu"), None)
    assert capsys.readouterr().out == ""
    with gpu_slots.gpu_slot(1) as gpu:
        assert gpu == (gpus[0] if gpus else None)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == (gpu or given)
    with gpu_slots.gpus_alone(1, 1) as alone:
        assert alone == gpus[:1]


def test_folder_that_another_user_made_is_not_trusted(monkeypatch, tmp_path):
    """Nor a link that he made to a folder of the user's."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own, other = gpu_slots.lock_folder(), os.geteuid() + 1
    assert own.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr("os.getuid", lambda: other)
    with pytest.raises(UserError, match="belongs to another user"):
        gpu_slots.lock_folder()
    (another,) = set(tmp_path.iterdir()) - {own}
    if not os.geteuid():
        os.chown(another, other, -1)
        assert gpu_slots.lock_folder() == another
        another.symlink_to(another.rename(tmp_path / "linked"))
        with pytest.raises(UserError, match="belongs to another user"):
            gpu_slots.lock_folder()


@pytest.mark.gpu
def test_torch_sees_the_gpu_of_the_slot_alone(start):
    script = HOLD.replace("import os", "import torch, os").replace("print(gpu", "print(torch.cuda.device_count()")
    holder = start("-c", script, 1, gpus=",".join(visible_gpus()) or "0")
    assert line(holder) == "1"
