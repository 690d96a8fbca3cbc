"""How jobs end, are interrupted and are started again."""

import os
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.settings import DeploymentMethod

from .conftest import Alone, at_work, given, job


@pytest.mark.parametrize("clock", [-3600, 0, 3600])
@pytest.mark.parametrize("change", ["written", "gone", "same"])
def test_time_limit(fake, results, clock, change):
    """A changed checkpoint is progress, whatever the clock of the file server says."""

    def write(path, seconds):
        path.write_text("state")
        os.utime(path, times=(time.time() + clock + seconds,) * 2)

    checkpoint = results / "checkpoint"
    checkpoint.parent.mkdir()
    write(checkpoint, -60)
    executor, cell = Alone(results), job("a")
    cell.params = {"checkpoint": str(checkpoint)}
    executor.run_jobs([cell])
    executor.look()
    (old,) = executor.active
    if change == "written":
        write(checkpoint, 0)
    elif change == "gone":
        checkpoint.unlink()
    fake.queues((old, "TIMEOUT", "TimeLimit"))
    executor.look()
    if change == "same":
        ((_, error),) = executor.over
        assert "(TIMEOUT" in error
    else:
        assert executor.over == []
        assert [*executor.active] != [old]


@pytest.mark.parametrize(
    ("state", "goes_on"),
    [
        *((state, True) for state in ("BOOT_FAIL", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "PREEMPTED")),
        ("CANCELLED", False),
        ("OUT_OF_MEMORY", False),
    ],
)
def test_a_cell_that_makes_progress_goes_on_unless_somebody_or_its_memory_ended_it(fake, results, state, goes_on):
    executor, cell = Alone(results), job("a")
    cell.params = {"checkpoint": str(results / "checkpoint")}
    executor.run_jobs([cell])
    executor.look()
    (old,) = executor.active
    (results / "checkpoint").touch()
    fake.queues((old, state, "None"))
    executor.look()
    assert (len(executor.active), len(executor.over)) == ((1, 0) if goes_on else (0, 1))
    assert old not in executor.active


@pytest.mark.parametrize("comes", [True, False])
def test_last_files_of_a_job_can_come_late(fake, results, monkeypatch, comes):
    executor, (bundle,) = at_work(results, fake, "a")
    executor.workflow.execution_settings.latency_wait, executor.settings.poll_seconds = 5, 2
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    fake.queues((bundle.name, "OUT_OF_MEMORY", "None"))
    for now[0] in (1.0, 5.9):
        executor.look()
        assert executor.over == []
    if comes:
        bundle.note_end(0, 0)
    now[0] = 6.0
    executor.look()
    ((_, error),) = executor.over
    assert (error is None) == comes


def test_a_job_that_runs_again_has_the_whole_time_for_its_last_files(fake, results, monkeypatch):
    executor, (bundle,) = at_work(results, fake, "a")
    executor.workflow.execution_settings.latency_wait, executor.settings.poll_seconds = 5, 2
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    ended, over = "OUT_OF_MEMORY", []
    for now[0], state in ((1.0, ended), (3.0, "RUNNING"), (5.0, ended), (9.0, ended), (10.0, ended)):
        fake.queues((bundle.name, state, "None"))
        executor.look()
        over.append(len(executor.over))
    assert over == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("status", [None, -9, 0])
def test_one_that_runs_out_of_memory_takes_no_retry_of_those_without_a_turn(fake, results, status):
    """Where none has ended, nobody knows which it was: all ask for more memory."""
    executor, (bundle,) = at_work(results, fake, "a", "b")
    if status is not None:
        bundle.note_end(0, status)
    fake.queues((bundle.name, "OUT_OF_MEMORY", "None"))
    executor.look()
    failed = [info.job.message for info, error in executor.over if error]
    left = [info.job.message for each in executor.active.values() for info in each.members.values()]
    assert (failed, left) == {None: (["a", "b"], []), -9: (["a"], ["b"]), 0: ([], ["b"])}[status]


def test_started_again(fake, results, read):
    """Also on the same node; a job that only runs on is not mentioned."""
    executor, (bundle,) = at_work(results, fake, "a")
    for state, node, began in [
        ("PENDING", "", "N/A"),
        ("RUNNING", "n1", "1"),
        ("RUNNING", "n1", "1"),
        ("PENDING", "", "5"),
        ("PENDING", "", "6"),
        ("RUNNING", "n2", "7"),
        ("RUNNING", "n2", "8"),
    ]:
        fake.says("squeue", f"5|{state}|{node}|{began}|None|{bundle.name}")
        executor.look()
    line = "SLURM started job 5 again on n2: it goes on from its checkpoints"
    assert read("job 5") == [line, line]


@pytest.mark.parametrize(
    ("partition", "sizes"), [(None, [1, 1, 1]), ("long", [1, 2]), ("other", [1, 2]), ("big", [1, 1, 1])]
)
def test_idle_nodes(fake, results, partition, sizes):
    """Fewer cells than full jobs could hold are spread over them."""
    fake.says("sinfo", "main* 3", "long 1", "big 5")
    executor = given(results, *(job(name, slurm_partition=partition, mem_mb=0) for name in "abc"))
    assert sorted(len(each.members) for each in executor.active.values()) == sizes


def test_bundles_are_not_put_off_for_ever(fake, results):
    """Where jobs keep coming, those that have waited for long are submitted."""
    executor = Alone(results)
    executor.gathering.seconds = 10
    executor.run_jobs([job("a")])
    executor.look()
    assert not executor.active
    executor.gathering.first -= 60
    executor.run_jobs([job("b")])
    executor.look()
    assert len(executor.active) == 1


def test_a_job_finds_the_folders_of_its_outputs_and_its_log(results, fake):
    """Its command writes into them from its first word on."""
    asked = job("a")
    asked.log, asked.benchmark = ["logs/b/a.log"], "benchmarks/a.tsv"
    (submission,) = given(results, asked).active.values()
    assert os.path.isdir("a")
    assert os.path.isdir("logs/b")
    assert submission.bundle.tasks[0].benchmark == "benchmarks/a.tsv"


def test_cells_wait_for_others_and_other_jobs_do_not(fake, results):
    """Until no further one has come for as long as the setting says."""
    executor = Alone(results)
    executor.gathering.seconds = 10
    executor.run_jobs([job("a"), job("b", bundle_cost=0)])
    executor.look()
    assert [each.bundle.tasks[0].name for each in executor.active.values()] == ["b"]
    fake.queues((*executor.active, "RUNNING", "None"))
    executor.gathering.last -= 10
    executor.look()
    assert sorted(each.bundle.tasks[0].name for each in executor.active.values()) == ["a", "b"]


def test_the_log_that_a_message_names_is_there(fake, results):
    executor, (bundle,) = at_work(results, fake, "a")
    bundle.log.write_text("what happened")
    fake.queues((bundle.name, "FAILED", "NonZeroExitCode"))
    executor.look()
    ((_, error),) = executor.over
    assert f"log: {bundle.log}" in error
    assert bundle.log.exists()


def test_finished_bundle_leaves_nothing_behind(fake, results):
    """One with a failed task leaves its log."""
    executor, found = at_work(results, fake, "a", "b", "c")
    for bundle, status in zip(found, (0, 1), strict=True):
        bundle.log.write_text("what happened")
        for number in range(len(bundle.tasks)):
            bundle.note_end(number, status)
    fake.queues(*((bundle.name, "COMPLETED", "None") for bundle in found))
    executor.look()
    assert sorted(results.glob("slurm/*/*")) == [found[1].log]


def test_what_killed_a_cell_is_said(fake, results):
    executor, (bundle,) = at_work(results, fake, "a")
    bundle.note_end(0, -9)
    executor.look()
    ((_, error),) = executor.over
    assert error.startswith("It was killed by SIGKILL (by SLURM or the kernel if it took too much memory) in cells-")


def test_no_slurm_here(results, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkflowError, match="no sbatch here"):
        Alone(results)


@pytest.mark.parametrize(
    ("values", "methods", "why"),
    [
        ({"shellcmd": None}, (), "train_cell cannot be run by the executor slurm-bundles, which knows nothing but shell:"),
        ({"is_group": lambda: True, "jobs": [job()]}, (), "train_cell cannot .* knows no groups"),
        ({"conda_env_spec": "env.yaml"}, ("CONDA",), "train_cell cannot .* knows no conda:"),
        ({"conda_env_spec": "env.yaml"}, (), None),
        ({"conda_env_spec": None}, ("CONDA",), None),
        ({"env_modules": "cuda"}, ("ENV_MODULES",), "knows no conda:, container: or envmodules:"),
        ({"container_img_url": "docker://x"}, ("APPTAINER",), "knows no conda:"),
    ],
)  # fmt: skip
def test_what_is_no_shell_command_is_refused(fake, results, values, methods, why):
    """It would fail without a word of use, or run in another environment."""
    executor, asked = Alone(results), job("a")
    vars(asked).update(values)
    executor.workflow.deployment_settings.deployment_method = {DeploymentMethod[each] for each in methods}
    with pytest.raises(WorkflowError, match=why) if why else nullcontext():
        executor.run_job(asked)
    assert len(executor.arrived) == (why is None)


@pytest.mark.parametrize(
    ("said", "calls"), [("invalid partition specified: a", 1), ("Transport endpoint is not connected", 3)]
)
def test_retries_of_snakemake(fake, tmp_path, said, calls):
    """What is refused for good is not tried again; what is not taken now costs no retry, so that 'attempt' stays 1."""
    (fake.folder / "sbatch").write_text(
        f'#!/bin/sh\necho "sbatch $*" >> {fake.folder}/calls\n'
        f'[ $(grep -c ^sbatch {fake.folder}/calls) -ge 3 ] && {{ sh; exit; }}\necho "{said}" >&2; exit 1\n'
    )
    (tmp_path / "Snakefile").write_text(
        'rule a:\n    output: "a"\n    resources: mem_mb=lambda wildcards, attempt: 100 * attempt\n'
        '    shell: "touch {output}"\n'
    )
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--executor",
        "slurm-bundles",
        "--jobs",
        "1",
        "--retries",
        "2",
    ]
    command += ["--slurm-bundles-poll-seconds", "1", "--latency-wait", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [call.split("--mem=")[1].split()[0] for call in fake.calls("sbatch")] == ["100"] * calls, done.stderr
    assert (done.returncode == 0) == (calls > 1)
    assert "Trying to restart" not in done.stderr
