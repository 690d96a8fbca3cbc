"""Where the workers of a cell run, and how it is told that one was killed."""

import os
import re
import signal
import subprocess
import sys
import threading
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


def test_each_worker_starts_on_its_node_and_on_its_own_gpu(monkeypatch):
    """Four workers on two nodes: those of the first take its GPUs in turn, the others choose theirs when they are there."""
    started = []

    def pretend(command, gpu):
        started.append(([word for word in command if word.startswith(("srun", "--nodelist", "--worker"))], [*gpu]))
        return subprocess.Popen("true")

    monkeypatch.setattr(workers, "start", pretend)
    monkeypatch.setattr(workers, "join", lambda *_: None)
    monkeypatch.setattr(Team, "leave", lambda self: None)
    monkeypatch.setattr(workers, "running_code", dict)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with workers.lead(4, torch.device("cpu"), ["GPU-a", "GPU-b"], ["n1", "n2"], lambda: False) as found:
        assert (found.rank, found.size) == (0, 4)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before  # so that it can be asked to stop
    assert started == [
        (["--worker=1"], ["GPU-b"]),
        (["srun", "--nodelist=n2", "--worker=2"], []),
        (["srun", "--nodelist=n2", "--worker=3"], []),
    ]


def test_workers_end_with_an_error_of_worker_0(monkeypatch):
    children = []

    def pretend(*_):
        children.append(subprocess.Popen(["sleep", "60"]))
        return children[-1]

    monkeypatch.setattr(workers, "start", pretend)
    monkeypatch.setattr(workers, "join", lambda *_: None)
    monkeypatch.setattr(workers, "running_code", dict)
    with pytest.raises(ValueError, match="no"), workers.lead(3, torch.device("cpu"), [], [""], lambda: False):
        raise ValueError("no")
    assert [child.returncode for child in children] == [-signal.SIGKILL] * 2


@pytest.mark.parametrize(("nodes", "loopback"), [(1, True), (2, False)])
def test_workers_of_one_node_talk_within_it_and_those_of_several_do_not(monkeypatch, nodes, loopback):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "ib0")
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *_, **__: None)
    workers.join(Team(0, 2), None, torch.device("cpu"), nodes)
    assert (os.environ["GLOO_SOCKET_IFNAME"] in ("lo", "lo0")) == loopback


@pytest.mark.parametrize(("rank", "gpu"), [(3, "GPU-a"), (4, "GPU-b"), (5, "GPU-c")])
def test_workers_on_another_node_take_its_gpus_in_turn(monkeypatch, store, rank, gpu):
    """Two on one GPU would train, at half the speed, beside a GPU with nothing to do."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b,GPU-c")
    monkeypatch.setenv("SLURM_LAUNCH_NODE_IPADDR", workers.LOOPBACK)
    workers.follow(rank, 6, 2, store.port, "cpu")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == gpu


@pytest.mark.parametrize("count", [2, 4])
def test_a_job_on_other_nodes_than_the_configuration_says(monkeypatch, count):
    """On fewer, a node would be asked for that is not there; of more, some would do nothing."""
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[1-3]")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="n1\nn2\nn3\n"))
    assert nodes_of_job(3) == ["n1", "n2", "n3"]
    with pytest.raises(UserError, match=rf"hardware\.nodes is {count}, but this SLURM job has 3;"):
        nodes_of_job(count)


class Ended(Exception):
    """In place of the end of this process, or of its start in place."""


@pytest.mark.parametrize(
    ("status", "before", "stopping", "ends", "said"),
    [
        (-9, 2, False, "starts again", r"was killed by SIGKILL; all workers start again \(3 of at most 3 times\)"),
        (-9, 3, False, 1, "was killed by SIGKILL; the workers were started again 3 times"),
        (-9, 0, True, os.EX_TEMPFAIL, "was killed by SIGKILL while all were stopping"),
        (2, 0, False, 1, "ended with status 2; its message stands above"),
        (2, 0, True, 1, "ended with status 2; its message stands above"),
    ],
)
def test_what_follows_from_a_lost_worker(monkeypatch, capsys, status, before, stopping, ends, said):
    """Workers that are killed each time must not begin for ever, nor must an error be tried again."""
    killed, found = [], []

    def end(what):
        found.append(what)
        raise Ended

    monkeypatch.setattr(workers, "GRACE_SECONDS", 0)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(os, "execve", lambda *words: end(words))
    monkeypatch.setenv(workers.RESTARTED, str(before))
    child = SimpleNamespace(wait=lambda *_: None, kill=lambda: killed.append(True))
    others = workers.Others(Team(0, 2), lambda: stopping, [child], threading.Event())
    with pytest.raises(Ended):
        workers.lost(others, 1, status)
    assert killed
    printed = "".join(capsys.readouterr())
    assert re.search(f"worker 1 {said}", printed), printed
    if ends == "starts again":
        ((program, command, environment),) = found
        assert (program, command) == (workers.COMMAND[0], workers.COMMAND)
        assert environment[workers.RESTARTED] == str(before + 1)
    else:
        assert found == [ends]


def test_a_worker_that_ends_after_the_training_is_not_lost(monkeypatch):
    for name in ("_exit", "execve"):
        monkeypatch.setattr(os, name, lambda *_: pytest.fail("nothing depends on it any more"))
    others = workers.Others(Team(0, 2), lambda: False, [], threading.Event())
    others.done.set()
    workers.lost(others, 1, -9)
    assert others.team.failure is None


@pytest.mark.parametrize(
    ("status", "lost"), [(None, []), (0, []), (os.EX_TEMPFAIL, []), (1, [(2, 1)]), (137, [(2, -9)])]
)
def test_workers_that_end_with_all_are_not_lost(monkeypatch, status, lost):
    """Training has ended, or all have agreed to stop."""
    found = []
    monkeypatch.setattr(workers, "lost", lambda others, rank, how: found.append((rank, how)))
    children = [SimpleNamespace(poll=lambda: None), SimpleNamespace(poll=lambda: status)]
    looks = iter([False, True])
    done = SimpleNamespace(wait=lambda _seconds: next(looks))
    workers.watch(workers.Others(Team(0, 3), lambda: False, children, done))
    assert found == lost


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
