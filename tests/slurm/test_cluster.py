"""The whole workflow on a real SLURM, and faults of clusters with real signals: numbers are those of an undisturbed run."""

import json
import re
import signal
import time
from pathlib import Path

import pytest
import yaml
from safetensors import safe_open

from rethinking.run.identity import made_from, record_path
from tests.waiting import wait_for
from tests.workflow.conftest import Workflow

from .conftest import CONFIG, LONG

TARGET = f"results/cells/{LONG}/seed0/summary.json"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The folder of the cell, trained on this machine without a cluster."""
    folder = tmp_path_factory.mktemp("undisturbed")
    Workflow(folder, CONFIG).succeed(TARGET, "--cores", "1")
    return folder / f"results/cells/{LONG}/seed0"


def test_everything_as_on_one_machine(workflow):
    """All results of two seeds, with eight cells per job; afterwards nothing is left to do."""
    workflow.write_config(CONFIG | {"seeds": [0, 1], "overrides": []})
    output = workflow.succeed("all")
    jobs = [line.count("Training") for line in output.splitlines() if line.startswith("SLURM job")]
    assert sum(jobs) == 12
    assert max(jobs) <= 8
    assert "Nothing to be done" in workflow.succeed("all")
    locally = workflow.locally()
    locally.succeed("results/table1.csv", "--cores", "2")
    assert (locally.folder / "results/table1.csv").read_text() == (workflow.results / "table1.csv").read_text()
    assert list(workflow.results.glob("slurm/*")) == []


# --- faults ----------------------------------------------------------------------------------------


def position(workflow):
    """Epoch and step of the last checkpoint."""
    with safe_open(workflow.checkpoint(), framework="np") as file:
        progress = json.loads(file.metadata()["progress"])
    return progress["epoch"], progress["step"]


def start_and_wait(workflow, *arguments):
    """Start, and wait for a second checkpoint."""
    snakemake = workflow.start(TARGET, *arguments)
    wait_for(lambda: snakemake.poll() is not None or workflow.checkpoint().exists())
    assert snakemake.poll() is None, snakemake.stdout.read()
    return snakemake


def finish(snakemake):
    """Wait for the end of a run that must succeed; its output."""
    output, _ = snakemake.communicate(timeout=300)
    assert snakemake.returncode == 0, output
    return output


def assert_same(workflow, undisturbed):
    """The cell ended as if nothing had happened."""
    for name in ("weights.safetensors", "predictions.npz", "memorisation.csv"):
        made = workflow.results / f"cells/{LONG}/seed0" / name
        assert made.read_bytes() == (undisturbed / name).read_bytes(), name


def assert_undisturbed(workflow, before, undisturbed):
    """It also resumed at ``before`` or later, and there is nothing left to do."""
    resumed = re.findall(r"resumed from .*: epoch (\d+), (\d+) steps", workflow.log())
    assert resumed, workflow.log()
    assert tuple(map(int, resumed[0])) >= before
    assert_same(workflow, undisturbed)
    assert "Nothing to be done" in workflow.succeed(TARGET)


def only_job(workflow):
    """Number and node of the job that trains; the queue may also contain a finished one that is being cleaned up."""
    ((number, node),) = re.findall(r"SLURM job (\d+) on (n\d)", workflow.log())
    assert number in workflow.jobs()
    return number, node


def test_time_limit(workflow, cluster, undisturbed):
    """The cell continues in a new job, and no retry is used up."""
    snakemake = start_and_wait(workflow, "--retries", "0")
    before = position(workflow)
    number, _ = only_job(workflow)
    halt_training(cluster)  # the shortest limit is a minute
    cluster.run("scontrol", "update", f"JobId={number}", "TimeLimit=1")
    output = finish(snakemake)
    assert "(TIMEOUT)" in output
    assert "go on from their checkpoints" in output
    assert "stopped by SIGTERM; the next start resumes from" in workflow.log()
    assert_undisturbed(workflow, before, undisturbed)


def trainers_on(cluster):
    """The processes of jobs that train."""
    return [
        process
        for node in cluster.nodes
        for process in cluster.processes_on(node)
        if "run_bundle" in " ".join(process.parent().cmdline())
    ]


def halt_training(cluster):
    """Let the cell not end before it is woken, by SLURM's first signal or by the test, however slow all else is."""
    halted = trainers_on(cluster)
    for process in halted:
        process.suspend()
    return halted


def test_preemption(workflow, cluster, undisturbed):
    """A more urgent job takes all nodes; SLURM starts the job again afterwards."""
    snakemake = start_and_wait(workflow, "--retries", "0")
    before = position(workflow)
    nodes = str(len(cluster.nodes))
    cluster.run("sbatch", "-p", "urgent", f"-N{nodes}", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
    assert re.search(r"SLURM started job \d+ again on n\d", finish(snakemake))
    assert len(re.findall(r"SLURM job \d+ on", workflow.log())) > 1
    assert_undisturbed(workflow, before, undisturbed)


def test_node_vanishes(workflow, cluster, undisturbed):
    """The job starts again on another node."""
    snakemake = start_and_wait(workflow, "--retries", "0")
    before = position(workflow)
    _, node = only_job(workflow)
    cluster.kill_node(node)
    assert re.search(r"SLURM started job \d+ again on n\d", finish(snakemake))
    nodes = re.findall(r"SLURM job \d+ on (n\d)", workflow.log())
    assert nodes[0] == node != nodes[-1]
    assert_undisturbed(workflow, before, undisturbed)
    cluster.start_node(node)


def test_node_cannot_start_jobs(workflow, cluster):
    """For example because its disk is full: SLURM holds the job, and it starts on another that the user has not excluded."""
    spool = cluster.folder / "spool" / "n1"
    away = spool.rename(spool.with_name("away"))
    spool.touch()
    try:
        resources = ("--default-resources", "slurm_extra='--exclude=n2'")
        assert "could not start" in workflow.succeed(TARGET, "--until", "prepare_dataset", *resources)
    finally:
        spool.unlink()
        away.rename(spool)
    assert "BatchHost=n3" in cluster.run("scontrol", "show", "job").split("JobId=")[-1]


def test_cancelled_by_hand(workflow, cluster, undisturbed):
    """This uses a retry. Without one the cell fails, and the next run resumes from its checkpoint."""
    snakemake = start_and_wait(workflow, "--retries", "0")
    before = position(workflow)
    cluster.run("scancel", only_job(workflow)[0])
    output, _ = snakemake.communicate(timeout=300)
    assert snakemake.returncode != 0
    assert "(CANCELLED" in output
    finish(workflow.start(TARGET))
    assert_undisturbed(workflow, before, undisturbed)


def test_forced_network_is_cancelled_or_killed(workflow, cluster):
    """The old one stays. Forced once more, training resumes."""
    workflow.succeed(TARGET)
    old = (workflow.results / f"cells/{LONG}/seed0/summary.json").read_text()
    snakemake = start_and_wait(workflow, "-f", "--retries", "0")
    cluster.run("scancel", only_job(workflow)[0])
    snakemake.communicate(timeout=300)
    assert snakemake.returncode != 0
    assert "Nothing to be done" in workflow.succeed(TARGET)
    snakemake = workflow.start(TARGET, "-f", "--retries", "0")
    wait_for(lambda: "resumed from" in workflow.log() and trainers_on(cluster))
    for trainer in trainers_on(cluster):
        trainer.kill()
    snakemake.communicate(timeout=300)
    assert snakemake.returncode != 0
    workflow.succeed(TARGET)
    assert (workflow.results / f"cells/{LONG}/seed0/summary.json").read_text() == old
    assert "Nothing to be done" in workflow.succeed(TARGET)


def test_training_is_killed(workflow, cluster, undisturbed):
    """A retry resumes from the checkpoint."""
    snakemake = start_and_wait(workflow, "--retries", "1")
    before = position(workflow)
    (trainer,) = trainers_on(cluster)
    trainer.kill()
    output = finish(snakemake)
    assert "It was killed by SIGKILL" in output
    assert_undisturbed(workflow, before, undisturbed)


def test_job_step_is_killed(workflow, cluster, undisturbed):
    """slurmstepd dies; the cell still finishes, and SLURM's job does not stay behind."""
    snakemake = start_and_wait(workflow, "--retries", "0")
    number, node = only_job(workflow)
    (keeper,) = [keeper for keeper in cluster.keepers(node) if f"[{number}." in " ".join(keeper.cmdline())]
    keeper.kill()
    finish(snakemake)
    assert_same(workflow, undisturbed)
    wait_for(lambda: not workflow.jobs())


def test_controller_is_away_for_a_while(workflow, cluster, undisturbed):
    """Training continues, and the user is told why nothing is known about it."""
    snakemake = start_and_wait(workflow, "--retries", "0")
    cluster.stop_controller()
    try:
        time.sleep(12)  # until squeue gives up
    finally:
        cluster.start_controller()
    output = finish(snakemake)
    assert "SLURM does not answer" in output
    assert_same(workflow, undisturbed)


def test_snakemake_is_killed_and_started_again(workflow, cluster, undisturbed):
    """The next one waits for the running job: nothing is submitted twice, and the settings are recorded."""
    snakemake = start_and_wait(workflow)
    (trainer,) = halt_training(cluster)
    snakemake.kill()
    snakemake.wait()
    job = only_job(workflow)
    snakemake = workflow.start(TARGET)
    assert any("submitted by an earlier Snakemake" in line for line in snakemake.stdout)
    trainer.resume()
    finish(snakemake)
    assert re.findall(r"SLURM job (\d+) on", workflow.log()) == [job[0]]
    assert_same(workflow, undisturbed)
    assert "Nothing to be done" in workflow.succeed(TARGET)
    workflow.write_config(CONFIG | {"training": {"batch_size": 10, "epochs": 2}})
    assert LONG in "".join(workflow.planned_cells(TARGET))


def test_job_is_held(workflow, cluster):
    """The user is told why it does not start."""
    snakemake = workflow.start(TARGET, "--until", "prepare_dataset", "--default-resources", "slurm_extra='--hold'")
    line = next((line for line in snakemake.stdout if "does not start" in line), "")
    assert "JobHeldUser" in line
    (number,) = workflow.jobs()
    cluster.run("scontrol", "release", number)
    assert "does not start" not in finish(snakemake)


def test_finished_while_no_snakemake_ran(workflow, cluster):
    """The next one uses the results of the job: nothing is trained again."""
    snakemake = start_and_wait(workflow)
    snakemake.kill()
    snakemake.wait()
    wait_for(lambda: not workflow.jobs())
    summary = workflow.results / f"cells/{LONG}/seed0/summary.json"
    written = summary.read_text()
    workflow.succeed(TARGET)
    assert summary.read_text() == written  # with the time when training ended
    assert "Nothing to be done" in workflow.succeed(TARGET)


def test_finished_after_the_next_snakemake_has_planned(workflow, cluster):
    """The job that is submitted for it finds it there, and leaves the log and the time of the training alone."""
    snakemake = start_and_wait(workflow)
    (trainer,) = halt_training(cluster)
    snakemake.kill()
    snakemake.wait()
    benchmark = workflow.results / f"benchmarks/cells/{LONG}/seed0.tsv"
    cluster.stop_controller()
    try:
        snakemake = workflow.start(TARGET)
        assert any("SLURM does not answer" in line for line in snakemake.stdout)
        trainer.resume()
        wait_for(lambda: [*workflow.results.glob("slurm/*/0.exit")])
    finally:
        cluster.start_controller()
    log, times = workflow.log(), benchmark.read_text()
    finish(snakemake)
    assert workflow.log().startswith(log)
    assert "another process has finished this cell" in workflow.log().removeprefix(log)
    assert benchmark.read_text() == times


def test_other_settings_while_the_old_job_runs(workflow, cluster):
    """The old job is cancelled, and the cell is trained with the new settings from the start."""
    snakemake = start_and_wait(workflow)
    halt_training(cluster)
    snakemake.kill()
    snakemake.wait()
    values = yaml.safe_load(workflow.config_file.read_text())
    values["overrides"][0]["set"]["epochs"] = 3
    workflow.write_config(values)
    output = workflow.succeed(TARGET)
    assert "has other settings, code or data; it is cancelled" in output
    summary = json.loads((workflow.results / f"cells/{LONG}/seed0/summary.json").read_text())
    assert summary["provenance"]["settings"]["epochs"] == 3
    wait_for(lambda: not workflow.jobs())


def test_network_is_replaced_while_an_earlier_job_measures_it(workflow, cluster):
    """By a run without SLURM, which may train it. What the job measured is not taken: it is tried again."""
    workflow.write_config(CONFIG | {"overrides": [], "complexity": {"cells": [LONG], "draws": 500}})
    network = f"results/cells/{LONG}/seed0/curve.csv"
    measures = f"results/cells/{LONG}/seed0/complexity.json"
    workflow.succeed(network)
    snakemake = workflow.start(measures)
    # Once it has this lock it has read which network it measures.
    wait_for(record_path(workflow.folder / measures).with_suffix(".lock").exists)
    (measuring,) = halt_training(cluster)
    snakemake.kill()
    snakemake.wait()
    Workflow(workflow.folder, None).succeed(network, "-f", "--cores", "1")
    snakemake = workflow.start(measures)
    assert any("submitted by an earlier Snakemake" in line for line in snakemake.stdout)
    measuring.resume()
    assert f"{network} was made again while" in finish(snakemake)
    assert made_from(workflow.folder / measures, [workflow.folder / network])
    assert "Nothing to be done" in workflow.succeed(measures)


def test_snakemake_is_stopped(workflow, cluster, undisturbed):
    """Ctrl-C cancels the jobs: on SIGTERM they write checkpoints and end. The next run resumes."""
    snakemake = start_and_wait(workflow)
    before = position(workflow)
    halt_training(cluster)
    snakemake.send_signal(signal.SIGINT)
    snakemake.communicate(timeout=300)
    wait_for(lambda: not workflow.jobs())
    finish(workflow.start(TARGET))
    assert_undisturbed(workflow, before, undisturbed)


def test_workers_on_two_nodes(workflow, cluster):
    """A cell that they train together has the bits of one process, also after one of them was killed."""
    workflow.write_config(
        CONFIG
        | {
            "hardware": {"device": "cpu", "checkpoint_seconds": 1, "workers": 2, "nodes": 2},
            "overrides": [{"cells": LONG, "set": {"epochs": 300, "micro_batch": 5}}],
        }
    )
    snakemake = start_and_wait(workflow)
    # On the other node: not worker 0, and not the srun that started it.
    (there,) = [
        process
        for node in cluster.nodes
        for process in cluster.processes_on(node)
        if "--worker=1" in process.cmdline() and process.name() != "srun"
    ]
    ((_, second),) = re.findall(r", 2 workers on (n\d) and (n\d) ", workflow.log())
    assert there.environ()["SLURMD_NODENAME"] == second
    before = position(workflow)
    there.kill()
    finish(snakemake)
    assert "worker 1 was killed by SIGKILL; all workers start again" in workflow.log()
    alone = workflow.locally()
    alone.write_config(yaml.safe_load(alone.config_file.read_text()) | {"hardware": {"device": "cpu"}})
    alone.succeed(TARGET, "--cores", "1")
    assert_undisturbed(workflow, before, alone.folder / Path(TARGET).parent)
