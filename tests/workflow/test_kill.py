"""Real processes, real signals: a cell that is killed and started again ends as if nothing had happened."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pandas as pd
import psutil
import pytest
from safetensors import safe_open

from rethinking.cells import Cell
from rethinking.config.loading import load_config
from rethinking.run.stop_signals import SIGNALS

from ..default_config import default_values
from ..waiting import wait_for
from .conftest import ROOT, TINY

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_left_running")]

SCRIPTS = ROOT / "workflow_scripts"
INCEPTION = "digits/random_labels/inception/none"  # batch normalisation
ALEXNET = "digits/random_labels/alexnet/crop+wd"  # random crops
MLP = "digits/labels_p0.5/mlp_1x512/augment"  # label corruption
EPOCHS = {INCEPTION: 6, ALEXNET: 8, MLP: 40}
STEPS = 6  # of an epoch
NO_CHECKPOINTS = 3600  # seconds between two checkpoints; longer than any run here

# Where a process can be when it is killed.
START_UP, STEP, EVALUATION = "start-up", "step", "evaluation"
CHECKPOINT, FINAL_WRITE, FINISHED = "checkpoint", "final write", "finished"
STEP_OR_EVALUATION = "step or evaluation"
ANY = "any"
WAITING = "another process is at work on this cell"  # a line of the log


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Prepared digits and two corruptions of their labels."""
    folder = tmp_path_factory.mktemp("data")
    prepare = ["--source", "embedded", "--train-limit", "60", "--test-limit", "20", "--provenance", "test"]
    commands = [["prepare_dataset.py", *prepare, "--output", folder / "prepared"]]
    for corruption in ("random_labels", "labels_p0.5"):
        corrupt = ["--corruption", corruption, "--seed", "0", "--prepared", folder / "prepared"]
        commands.append(["corrupt_dataset.py", *corrupt, "--output", folder / corruption])
    for script, *arguments in commands:
        subprocess.run([sys.executable, SCRIPTS / script, "--dataset", "digits", *arguments], check=True)
    return folder


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """The folder of a cell that was never killed and wrote no checkpoint."""

    @cache
    def train(name):
        folder = tmp_path_factory.mktemp("undisturbed")
        finish(start(name, data, folder, NO_CHECKPOINTS), folder)
        return folder

    return train


def start(name, data, folder, checkpoint_seconds=0, log="log"):
    """Start training a cell; by default it writes a checkpoint after every step."""
    values = default_values()
    values["training"] |= {"epochs": EPOCHS[name], "batch_size": 10}
    cell = Cell.from_name(name, 0)
    settings = load_config(values, []).settings(cell).model_dump_json()
    command = [sys.executable, SCRIPTS / "train_cell.py", "--cell", str(cell), "--settings", settings]
    command += ["--prepared", data / "prepared", "--overlay", data / cell.corruption]
    command += ["--output", folder / "cell", "--checkpoint", folder / "state.safetensors"]
    command += ["--checkpoint-seconds", str(checkpoint_seconds), "--device", "cpu"]
    with open(folder / log, "w") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def finish(process, folder, log="log"):
    """Wait for a process that must succeed, and return its log."""
    process.wait(timeout=300)
    output = (folder / log).read_text()
    assert process.returncode == 0, output
    return output


def assert_same(folder, other):
    """All files of two cells are identical bit for bit, except for the times in them."""
    names = sorted(path.name for path in other.iterdir() if path.is_file())
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == names
    for name in set(names) - {"curve.csv", "summary.json"}:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    curves = [pd.read_csv(each / "curve.csv").drop(columns="seconds") for each in (folder, other)]
    assert curves[0].equals(curves[1])
    summaries = [json.loads((each / "summary.json").read_text()) for each in (folder, other)]
    for summary in summaries:
        for name in ("wall_seconds", "device_seconds", "images_per_second"):
            del summary[name]
        del summary["provenance"]["finished"], summary["provenance"]["git_commit"]
    assert summaries[0] == summaries[1]


def started(log):
    """Whether training is under way, by the log."""
    return "resumed from" in log or "first step done" in log


def files(folder):
    """All files of a folder with the time of their last change."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {(path.relative_to(folder).as_posix(), path.stat().st_mtime_ns) for path in paths}


def phase(folder, before, epochs, checkpoint_seconds):
    """The phase in which a process died or stopped, from its log and the changes since the files ``before``.

    A step and an evaluation are told apart by the last checkpoint, so only where one is written after every step.
    """
    log, state = (folder / "log").read_text(), folder / "state.safetensors"
    changed = {name for name, _ in files(folder) - before}
    if any(name.startswith("cell/") for name in changed):
        return FINAL_WRITE if state.exists() else FINISHED
    if any(name.startswith(".state") for name in changed):
        return CHECKPOINT
    if not started(log):
        return START_UP
    if checkpoint_seconds > 0:
        return STEP_OR_EVALUATION
    if not state.exists():
        return STEP
    with safe_open(state, framework="np") as file:
        progress = json.loads(file.metadata()["progress"])
    epoch_trained = progress["step"] == STEPS and f"epoch {progress['epoch']}/" not in log
    all_trained = progress["epoch"] > epochs or f"epoch {epochs}/" in log
    return EVALUATION if epoch_trained or all_trained else STEP


def stop(process):
    """Halt a process; returns whether it was still running."""
    # Not process.send_signal, which would reap a process that has ended.
    os.kill(process.pid, signal.SIGSTOP)
    state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return state.si_code == os.CLD_STOPPED


def kill(name, data, folder, aim, wait, checkpoint_seconds, rng):
    """Start a cell and kill it in a phase, some seconds into it or, for others than start-up, into training.

    Returns the phase, or None if the process ended before.
    """
    before = files(folder)
    process = start(name, data, folder, checkpoint_seconds)
    if aim != START_UP:
        wait_for(lambda: started((folder / "log").read_text()), process)
    time.sleep(wait)
    # Inspect it while it is halted, so that it is killed in the observed phase.
    while stop(process):
        found = phase(folder, before, EPOCHS[name], checkpoint_seconds)
        if aim in (found, ANY) and found != FINISHED:
            process.kill()
            process.wait()
            return found
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(rng.uniform(0, 0.002))
    process.wait()
    return None


@pytest.mark.parametrize("name", [INCEPTION, ALEXNET, MLP])
def test_killed_in_every_phase_and_at_random_times(name, data, undisturbed, tmp_path):
    reference = undisturbed(name) / "cell"
    seconds = json.loads((reference / "summary.json").read_text())["wall_seconds"]
    rng = random.Random(name)
    # Each with the longest wait before it and the time between two checkpoints, all in seconds.
    # The evaluations of the small networks are too short to be observed.
    evaluation = EVALUATION if name == INCEPTION else ANY
    aims = [(START_UP, 0.5, 0), *((aim, 0.3 * seconds, 0) for aim in (STEP, evaluation, CHECKPOINT))]
    aims += [(ANY, 0.6 * seconds, 0), (ANY, 0.6 * seconds, 0.1)]
    rng.shuffle(aims)
    kills, folder = [], tmp_path / "start"
    folder.mkdir()
    for number, (aim, longest, checkpoint_seconds) in enumerate([*aims, (FINAL_WRITE, 0, 0)]):
        found = None
        for attempt in range(10):
            # A process that was not caught has finished the cell: restore the files from before it.
            trial = shutil.copytree(folder, tmp_path / f"kill{number}.{attempt}")
            # Earlier each time, because a cell that was resumed often has little left to do.
            wait = rng.uniform(0, longest / 2**attempt)
            if found := kill(name, data, trial, aim, wait, checkpoint_seconds, rng):
                break
        assert found, f"never caught in: {aim}"
        kills.append(found)
        folder = trial
    print(f"{name} was killed in: {', '.join(kills)}")
    assert {aim for aim, *_ in aims} - {ANY} | {FINAL_WRITE} <= set(kills)
    finish(start(name, data, folder), folder)
    assert_same(folder / "cell", reference)
    assert not (folder / "state.safetensors").exists()


def test_signals_write_a_checkpoint_and_say_so(data, undisturbed, tmp_path):
    log = tmp_path / "log"
    for epoch, number in enumerate(SIGNALS, 2):
        process = start(ALEXNET, data, tmp_path, NO_CHECKPOINTS)
        wait_for(lambda epoch=epoch: f"epoch {epoch}/" in log.read_text(), process)
        process.send_signal(number)
        assert process.wait(timeout=60) == os.EX_TEMPFAIL == 75
        assert f"stopped by {number.name}" in log.read_text()
        assert ("resumed from" in log.read_text()) == (epoch > 2)
    assert "resumed from" in finish(start(ALEXNET, data, tmp_path), tmp_path)
    assert_same(tmp_path / "cell", undisturbed(ALEXNET) / "cell")


def heeds(process, number):
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return bool(int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> number - 1 & 1)


def test_signals_before_training_end_it_at_once(data, tmp_path):
    process = start(MLP, data, tmp_path)
    wait_for(lambda: all(heeds(process, number) for number in SIGNALS), process)
    process.send_signal(signal.SIGINT)  # of them it alone has a handler of Python's own before
    assert process.wait(timeout=60) == os.EX_TEMPFAIL
    log = (tmp_path / "log").read_text()
    assert "stopped by SIGINT before this process trained; a checkpoint that is there stays" in log
    assert "cell " not in log


def test_two_processes_train_a_cell_once_and_signals_end_the_waiting(data, tmp_path):
    first = start(MLP, data, tmp_path)
    wait_for(lambda: "epoch 1/" in (tmp_path / "log").read_text(), first)
    assert stop(first)
    others = {name: start(MLP, data, tmp_path, log=name) for name in ("stopped", "patient")}
    for name, other in others.items():
        wait_for(lambda log=tmp_path / name: WAITING in log.read_text(), other)
    others["stopped"].send_signal(signal.SIGTERM)
    assert others["stopped"].wait(timeout=60) == os.EX_TEMPFAIL
    os.kill(first.pid, signal.SIGCONT)
    finish(first, tmp_path)
    output = finish(others["patient"], tmp_path, "patient")
    assert "another process has finished this cell" in output
    assert "first step done" not in output


def test_nothing_is_trained_twice_where_snakemake_was_killed(tiny_workflow):
    # Long enough for several checkpoints.
    overrides = [{"cells": "digits/random_labels/*/*", "set": {"epochs": 2000}}]
    hardware = {"device": "cpu", "checkpoint_seconds": 1}
    tiny_workflow.write_config(TINY | {"hardware": hardware, "overrides": overrides})
    results = tiny_workflow.folder / "results"
    short, long = (f"digits/{labels}/mlp_1x512/none/seed0" for labels in ("true_labels", "random_labels"))
    command = [f"results/cells/{cell}/summary.json" for cell in (short, long)] + ["--cores", "2"]
    log = results / f"logs/cells/{long}.log"

    # Snakemake and its jobs, while one cell is trained and the other is done.
    snakemake = tiny_workflow.start(*command)
    assert any("Finished jobid" in line and "train_cell" in line for line in snakemake.stdout)
    wait_for((results / f"checkpoints/{long}.safetensors").exists, snakemake)
    for process in [*psutil.Process(snakemake.pid).children(recursive=True), snakemake]:
        process.kill()
    snakemake.wait()
    done = files(results / f"cells/{short}") | files(results / "logs/cells/digits/true_labels")
    tiny_workflow.succeed("--unlock")

    # Snakemake alone; its job is slower than the next Snakemake.
    snakemake = tiny_workflow.start(*command)
    wait_for(lambda: log.exists() and "resumed from" in log.read_text(), snakemake)
    (job,) = psutil.Process(snakemake.pid).children(recursive=True)
    job.suspend()
    snakemake.kill()
    snakemake.wait()
    tiny_workflow.succeed("--unlock")
    snakemake = tiny_workflow.start(*command)
    wait_for(lambda: log.exists() and WAITING in log.read_text(), snakemake)
    second = tiny_workflow.fail(*command)
    assert f"results is being worked on by process {snakemake.pid} of" in second
    job.resume()
    output, _ = snakemake.communicate()
    assert snakemake.returncode == 0, output
    assert "another process has finished this cell" in log.read_text()
    assert files(results / f"cells/{short}") | files(results / "logs/cells/digits/true_labels") == done
