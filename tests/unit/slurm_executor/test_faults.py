"""The executor under faults that a real cluster cannot show: a full disk, commands that fail or hang."""

import asyncio
import errno
import os
import threading

import pytest

from snakemake_executor_plugin_slurm_bundles import slurm
from snakemake_executor_plugin_slurm_bundles.bundles import Bundle
from snakemake_executor_plugin_slurm_bundles.gathering import Gathering

from ...faults import refuse
from ...waiting import wait_for
from .conftest import AWAY, Alone, at_work, given, job

full = refuse(errno.ENOSPC)


def test_full_disk_when_a_bundle_is_written(fake, results, read, monkeypatch):
    executor = Alone(results)
    with monkeypatch.context() as patch:
        patch.setattr(
            "snakemake_executor_plugin_slurm_bundles.bundles.write",
            lambda path, _: (path.parent.mkdir(parents=True), full()),
        )
        executor.run_jobs([job("a"), job("b"), job("c")])
        for _ in range(3):
            executor.look()
    assert len(read("No space left")) == 1
    assert list((results / "slurm").iterdir()) == []
    executor.look()
    assert len(fake.calls("sbatch")) == 2
    assert not executor.gathering.members


@pytest.mark.parametrize("fault", [errno.ELOOP, errno.EACCES, errno.EIO])
def test_a_checkpoint_that_cannot_be_opened_holds_up_nothing(fake, results, monkeypatch, fault):
    """The job itself will say what is wrong with it; the others go on."""
    asked, opened = job("a"), os.open
    asked.params = {"checkpoint": "checkpoint"}
    monkeypatch.setattr(
        os, "open", lambda path, *flags: opened(path, *flags) if path != "checkpoint" else refuse(fault)()
    )
    executor = given(results, asked, job("b"))
    (submission,) = executor.active.values()
    assert [info.job.message for info in submission.members.values()] == ["a", "b"]
    assert not submission.made_progress


def test_a_job_that_cannot_be_taken_yet_is_not_lost(fake, results, read, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Gathering, "add", full)
        executor = given(results, job("a"))
    assert len(read("jobs are not taken yet")) == 1
    executor.look()
    assert len(fake.calls("sbatch")) == 1


def test_full_disk_when_an_interrupted_bundle_goes_on(fake, results, monkeypatch):
    executor, (bundle,) = at_work(results, fake, "a", "b")
    bundle.note_end(0, 0)
    fake.queues((bundle.name, "TIMEOUT", "TimeLimit"))
    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "write", full)
        executor.look()
    assert [error for _, error in executor.over] == [None]
    assert len(executor.active[bundle.name].members) == 1
    executor.look()
    (submission,) = executor.active.values()
    assert [info.job.message for info in submission.members.values()] == ["b"]
    assert submission.bundle.name != bundle.name


def test_full_disk_while_cells_are_trained(fake, results, read, monkeypatch):
    """No node can note that one has ended, so nobody would say why nothing happens."""
    executor, _ = at_work(results, fake, "a")
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            executor.look()
            executor.look()
        executor.look()
    line = (
        f"{results}/slurm cannot be written (No space left on device); jobs wait to note there which cells have ended"
    )
    assert read("") == [*read("SLURM job"), *[f"{line}: free some space"] * 2]


def test_refused(fake, results):
    fake.fails("sbatch", "sbatch: error: invalid partition specified: a")
    executor, found = at_work(results, fake, "a")
    ((info, error),) = executor.over
    assert "sbatch refused: sbatch: error: invalid partition" in error
    assert (info.job.message, found) == ("a", [])
    assert list((results / "slurm").iterdir()) == []
    assert info.job.attempt > info.job.restart_times  # Snakemake does not try it again


@pytest.mark.parametrize(("resumes", "attempt"), [(False, 1), (True, 1), (False, 2)])
def test_refused_where_an_earlier_run_has_left_its_log(fake, results, tmp_path, resumes, attempt):
    """Snakemake shows the log with the error, as if it told why. That of a first attempt is of this run."""
    (tmp_path / "a.log").write_text("of another run")
    asked = job("a")
    asked.attempt = attempt
    asked.log, asked.params = [str(tmp_path / "a.log")], {"checkpoint": str(tmp_path / "a.safetensors")}
    if resumes:
        (tmp_path / "a.safetensors").touch()
    fake.fails("sbatch", "sbatch: error: invalid partition specified: a")
    assert len(given(results, asked).over) == 1
    assert (tmp_path / "a.log").exists() == (resumes or attempt > 1)


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ("--comment='a b", "no list of options (No closing quotation): --comment='a b"),
        ("--hold --array=1-2", "array"),
        ("-a 1-2", "array"),
    ],
)
def test_options_that_cannot_be_used(fake, results, extra, why):
    executor = given(results, job("a", slurm_extra=extra), job("b", slurm_extra="--acctg-freq=0"))
    ((info, error),) = executor.over
    assert info.job.message == "a"
    assert why in error
    assert len(fake.calls("sbatch")) == 1


def test_slurm_holds_as_many_jobs_as_it_may(fake, results, read):
    """The others wait, and sbatch is not called for each of them."""
    fake.fails("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit")
    executor, _ = at_work(results, fake, *"abcdef")
    fake.queues()
    executor.look_again()
    assert len(fake.calls("sbatch")) == 2
    assert executor.over == []
    executor.look()
    assert len(fake.calls("sbatch")) == 2  # there is a pause between two attempts
    assert executor.pause > 1
    assert len(read("QOSMaxSubmitJobPerUserLimit")) == 1
    for _ in range(12):
        executor.look_again()
    assert executor.pause == 300  # seconds at most, or nothing would be submitted for hours
    fake.says("sbatch", "1")
    executor.look_again()
    assert len(fake.calls("sbatch")) == 14 + 3


def test_memory_of_nodes_is_asked_for_when_slurm_answers(fake, results):
    """More than any node has would be refused."""
    fake.fails("sinfo")
    executor, _ = at_work(results, fake, "a")
    assert fake.calls("sbatch") == []
    fake.queues()
    fake.says("sinfo", "main* 800+", "main* 500", "big 900")
    executor.look_again()
    (call,) = fake.calls("sbatch")
    assert "--mem=800 " in call


def test_sbatch_failed_and_reached_slurm(fake, results):
    fake.fails("sbatch")
    executor, (bundle,) = at_work(results, fake, "a")
    executor.look()
    assert len(fake.calls("sbatch")) == 1
    assert executor.active[bundle.name].submitted


def test_while_slurm_does_not_say_what_it_has_nothing_is_submitted_again(fake, results):
    """A command that failed may have reached it, and a second job would train the same at the same time."""
    fake.fails("sbatch")
    executor = given(results, job())
    fake.says("sbatch", "1")
    fake.fails("squeue")
    executor.look_again()
    assert len(fake.calls("sbatch")) == 1
    fake.queues((*executor.active, "RUNNING", "None"))
    executor.look_again()
    assert len(fake.calls("sbatch")) == 1


def test_sbatch_failed_and_the_job_has_ended_all_the_same(fake, results):
    """Before SLURM told of it; nothing is submitted again."""
    fake.fails("sbatch")
    executor, (bundle,) = at_work(results, fake, "a")
    bundle.note_end(0, 0)
    fake.queues()
    executor.look_again()
    assert [error for _, error in executor.over] == [None]
    assert len(fake.calls("sbatch")) == 1
    assert executor.active == {}


@pytest.mark.parametrize(("command", "error"), [("sinfo", AWAY), ("scontrol", "Access denied")])
def test_job_that_cannot_be_released(fake, results, read, command, error):
    """Other jobs are still watched."""
    executor, (held, other) = at_work(results, fake, "a", "b", "c")
    fake.queues((held.name, "PENDING", "launch failed requeued held"), (other.name, "RUNNING", "None"))
    fake.says("sinfo", "other n0", "main* n1", "main* n2", "other n1")
    fake.fails(command, error)
    other.note_end(0, 0)
    executor.look()
    executor.look()
    assert [info.job.message for info, _ in executor.over] == ["b"]
    assert len(read(error)) == 1
    assert not read("does not answer")
    fake.says("scontrol")
    fake.says("sinfo", "other n0", "main* n1", "main* n2", "other n1")
    executor.look()
    assert fake.calls("scontrol")[-2:] == ["scontrol update JobId=1 ExcNodeList=n1", "scontrol release 1"]
    assert len(read("trying again without n1")) == 1


def test_job_starts_elsewhere(fake, results):
    """On no node that the user excludes; and when all others have been tried, on these again."""
    executor, (held,) = at_work(results, fake, "a")
    fake.queues((held.name, "PENDING", "launch failed requeued held"))
    fake.says("sinfo", "main* n1", "main* n2", "main* n3", "other n4")
    (fake.folder / "scontrol").write_text(
        f'#!/bin/sh\necho "scontrol $*" >> {fake.folder}/calls\n'
        'case "$2" in job) echo " ExcNodeList=n[2,5]";; hostnames) printf "n2\\nn5\\n";; esac\n'
    )
    for _ in range(3):
        executor.look()
    updates = [call.split("=")[-1] for call in fake.calls("scontrol") if "update" in call]
    assert updates == ["n2,n5,n1", "n2,n5", "n2,n5,n1"]


def test_why_jobs_wait(fake, results, read):
    """One line for each reason that may last, however often it is reported."""
    executor, (one, two) = at_work(results, fake, "a", "b", "c")
    for node in ("n1", "n2"):
        fake.queues((one.name, "PENDING", "Priority"), (two.name, "PENDING", "Resources"))
        executor.look()
        fake.queues((one.name, "PENDING", "BadConstraints"), (two.name, "PENDING", "BadConstraints"))
        executor.look()
        reason = f"ReqNodeNotAvail, UnavailableNodes:{node}"
        fake.queues((one.name, "PENDING", reason), (two.name, "COMPLETING", "NonZeroExitCode"))
        executor.look()
    assert read("SLURM does not start") == [
        f"SLURM does not start {one.name} (job 1), {two.name} (job 2): BadConstraints",
        f"SLURM does not start {one.name} (job 1): ReqNodeNotAvail, UnavailableNodes:n1",
    ]


@pytest.mark.parametrize("state", ["PENDING", "REQUEUED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"])
def test_job_that_waits_for_long(fake, results, read, state):
    executor, (bundle,) = at_work(results, fake, "a")
    executor.active[bundle.name].submitted -= 25 * 3600
    fake.queues((bundle.name, state, "Resources"))
    executor.look()
    executor.look()
    assert len(read("SLURM does not start")) == 1


def test_slurm_does_not_answer(fake, results, read):
    executor, (bundle,) = at_work(results, fake, "a", "b")
    fake.fails("squeue")
    bundle.note_end(0, 0)
    executor.look()
    executor.look()
    assert len(executor.over) == 1
    assert len(read("SLURM does not answer")) == 1


def test_slurm_is_not_asked_what_runs_where_nothing_can(fake, results):
    fake.fails("squeue")
    given(results, job())
    assert (fake.calls("squeue"), len(fake.calls("sbatch"))) == ([], 1)


def test_cancelled(fake, results, read):
    """All jobs at once, also one that reached SLURM although sbatch failed; nothing more is submitted.

    All are tried, also where one cannot be cancelled.
    """
    executor, found = at_work(results, fake, "a", "b", "c")
    fake.queues(*((bundle.name, "RUNNING", "None") for bundle in found))
    executor.run_jobs([job("d")])
    fake.fails("sbatch")
    executor.look()
    (unknown,) = set(executor.active) - {bundle.name for bundle in found}
    executor.run_jobs([job("e")])
    fake.fails("scancel", "scancel: error: Kill job error on job id 1")
    executor.cancel_jobs([])
    assert fake.calls("scancel") == ["scancel --quiet 1 2", f"scancel --quiet --me --name={unknown}"]
    (line,) = read("not all jobs are cancelled")
    assert f"{found[0].name} (job 1)" in line
    found[0].note_end(0, 0)
    submitted = fake.calls("sbatch")
    infos = [info for submission in executor.active.values() for info in submission.members.values()]

    async def check():
        return [info async for info in executor.check_active_jobs(infos)]

    assert asyncio.run(check()) == infos
    assert fake.calls("sbatch") == submitted


@pytest.mark.parametrize(
    ("shown", "gone"),
    [
        ("JobId=1 JobName={}\n   JobState=RUNNING Reason=None", False),
        ("JobId=1 JobName={}\n   JobState=COMPLETED Reason=None", True),
        ("JobId=1 JobName=of-another\n   JobState=RUNNING Reason=None", True),
        ("JobId=2 JobName=of-another\n   JobState=PENDING\n\nJobId=1 JobName={}\n   JobState=RUNNING", False),
        (None, True),
    ],
)
def test_squeue_says_nothing(fake, results, read, shown, gone):
    """Jobs are not submitted again as long as SLURM still has them."""
    fake.says("sbatch", "1")
    executor, (bundle,) = at_work(results, fake, "a", "b")
    bundle.note_end(0, 0)
    fake.queues()
    fake.fails("scontrol")
    executor.look()
    executor.look()
    assert [*executor.active] == [bundle.name]
    assert len(read("does not say whether it still has")) == 1
    if shown is None:
        fake.fails("scontrol", "slurm_load_jobs error: Invalid job id specified")
    else:
        fake.says("scontrol", shown.format(bundle.name))
    executor.look()
    assert ([*executor.active] != [bundle.name]) == gone


def test_squeue_hangs(fake, results, monkeypatch):
    """What ended is reported all the same, and Ctrl-C cancels without waiting for the answer."""
    executor, (bundle, _) = at_work(results, fake, "a", "b", "c")
    executor.look()
    bundle.note_end(0, 0)
    (fake.folder / "squeue").write_text(f"#!/bin/sh\ntouch {fake.folder}/asked\nsleep 60\n")
    monkeypatch.setattr(slurm, "TIMEOUT_SECONDS", 3)

    async def check():
        return [info async for info in executor.check_active_jobs([])]

    looking = threading.Thread(target=lambda: asyncio.run(check()))
    looking.start()
    wait_for((fake.folder / "asked").exists)
    executor.cancel_jobs([])
    assert looking.is_alive()
    assert fake.calls("scancel") == ["scancel --quiet 1 2"]
    looking.join()
    executor.stopping = False
    asyncio.run(check())
    assert executor.reported == [("a", None)]
