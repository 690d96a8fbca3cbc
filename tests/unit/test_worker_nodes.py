"""Where the workers of a cell run, and how it is told that one was killed."""

import os
import re
import signal
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.distributed import TCPStore

from rethinking.run import team, workers
from rethinking.run.files import UserError
from rethinking.run.team import Team
from rethinking.run.workers import exit_status, node_of, nodes_of_job, start


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


@pytest.fixture
def store(monkeypatch):
    """What a worker 0 on a CPU leaves for the others, of which none waits for another."""
    monkeypatch.setattr(workers, "end_with_worker_0", lambda: None)
    monkeypatch.setattr(workers, "join", lambda *_: None)
    store = TCPStore(workers.LOOPBACK, 0, 2, is_master=True, wait_for_workers=False)
    monkeypatch.setattr(workers, "running_code", lambda: {"f": "as worker 0"})
    store.set(workers.CODE, workers.combined(workers.running_code()))
    store.set(workers.DEVICE, "cpu")
    return store


def test_workers_run_the_code_of_worker_0(monkeypatch, store):
    found, device = workers.follow(1, 2, 1, store.port, "cpu")
    assert (found.size, device.type) == (2, "cpu")
    monkeypatch.setattr(workers, "running_code", lambda: {"f": "edited"})
    with pytest.raises(UserError, match="the code has changed since this cell was started"):
        workers.follow(1, 2, 1, store.port, "cpu")


def test_workers_on_other_devices_than_worker_0_say_so(monkeypatch, store):
    """One of two GPUs is broken, say."""
    monkeypatch.setattr(workers, "choose_device", torch.device)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f")
    with pytest.raises(UserError, match=r"worker 1 .*: GPU-8f\) would train on 'cuda', but worker 0 trains on 'cpu'"):
        workers.follow(1, 2, 1, store.port, "cuda")


def test_what_one_worker_is_asked_all_note(monkeypatch):
    """Worker 1 was asked to stop when worker 0 asked for a checkpoint."""

    def reduce(asked, how):
        assert how == torch.distributed.ReduceOp.MAX
        asked.clamp_(min=1 + signal.SIGUSR1)

    monkeypatch.setattr(torch.distributed, "all_reduce", reduce)
    checkpoint = SimpleNamespace(asked=lambda: 1, signal=None)
    assert Team().agree(checkpoint)
    assert checkpoint.signal is None
    assert Team(0, 2).agree(checkpoint)
    assert checkpoint.signal == signal.SIGUSR1
    assert not Team().agree(SimpleNamespace(asked=lambda: 0))


def test_workers_on_the_cpu_need_no_nccl(monkeypatch):
    """Also beside GPUs that torch sees."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked = []
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend, **_: asked.append(backend))
    for device in ("cpu", "cuda"):
        workers.join(workers.Team(0, 2), None, torch.device(device), 2)
    assert asked == ["gloo", "cpu:gloo,cuda:nccl"]


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


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("NCCL error: unhandled system error", "error: worker 1: Traceback.*unhandled system error"),
        ("CUDA out of memory. Tried to allocate 2 GiB", r"^error: worker 1: the GPU is full \(CUDA out of memory"),
    ],
)
def test_an_error_between_workers_is_shown_by_the_worker_that_has_it(monkeypatch, capsys, error, said):
    """Worker 0 knows only with which status it ended."""
    monkeypatch.setattr(team, "GRACE_SECONDS", 0)
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with pytest.raises(RuntimeError), team.Team(1, 2).together():  # raised here, as this process goes on
        raise RuntimeError(error)
    assert ended == [os.EX_SOFTWARE]
    assert re.search(said, capsys.readouterr().err, re.DOTALL)
