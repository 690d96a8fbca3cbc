"""What the executor makes of what an earlier Snakemake left, damaged files too."""

import json
import os
from pathlib import Path

import pytest
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from snakemake_executor_plugin_slurm_bundles.bundles import AGAIN, Bundle, Task
from snakemake_executor_plugin_slurm_bundles.earlier import why_wait
from snakemake_executor_plugin_slurm_bundles.gathering import task_of

from .conftest import AWAY, Alone, at_work, earlier, given, job


@pytest.mark.parametrize("text", ["", '{"tasks": [{"na', "[1]", '{"tasks": [{"colour": 1}]}', "\0\0", "5"])
def test_damaged_bundle(fake, results, read, text):
    """Readable bundles are used; the job of an unreadable one is cancelled before anything is submitted."""
    whole, damaged = earlier(results), earlier(results)
    (damaged.folder / "bundle.json").write_text(text)
    fake.queues((whole.name, "RUNNING", "None"), (damaged.name, "RUNNING", "None"))
    executor = Alone(results)
    executor.run_jobs([job("a"), job("b")])
    executor.gathering.seconds = 100
    executor.look()
    assert read(f"bundle.json of {damaged.name} is damaged")
    assert fake.calls("scancel") == [f"scancel --quiet --me --name={damaged.name}"]
    assert list(executor.active) == [whole.name]
    assert [task.name for task in executor.gathering.members] == ["b"]


def test_a_job_of_another_version_is_taken_over(fake, results):
    """It notes more than this one knows."""
    bundle = earlier(results)
    values = json.loads((bundle.folder / "bundle.json").read_text())
    values["nodes"] = values["tasks"][0]["stale"] = 1
    (bundle.folder / "bundle.json").write_text(json.dumps(values))
    fake.queues((bundle.name, "RUNNING", "None"))
    executor = given(results, job())
    assert [*executor.active] == [bundle.name]
    assert fake.calls("scancel") == []


def test_damaged_bundle_without_a_job(fake, results):
    (earlier(results).folder / "bundle.json").write_text("")
    given(results, job())
    assert fake.calls("scancel") == []


@pytest.mark.parametrize("away", ["squeue", "scancel"])
@pytest.mark.parametrize("damaged", [True, False])
def test_slurm_is_away_when_a_job_is_to_be_cancelled(fake, results, read, away, damaged):
    """The user is told once why nothing happens; Snakemake's own thread does not wait."""
    bundle = earlier(results, identity="other settings")
    if damaged:
        (bundle.folder / "bundle.json").write_text("")
    fake.queues((bundle.name, "RUNNING", "None"))
    fake.fails(away)
    executor = given(results, job())
    executor.look()
    assert len(read(AWAY)) == 1
    assert (fake.calls("sbatch"), executor.active) == ([], {})
    (fake.folder / f"{away}.error").unlink()
    executor.look()
    assert len(read("it is cancelled")) == 1
    assert len(fake.calls("sbatch")) == 1


@pytest.mark.parametrize("other", [{"identity": "other settings"}, {"command": "train a --device cpu"}, {}])
def test_a_job_that_is_not_what_is_asked_for_is_cancelled(fake, results, other):
    bundle = earlier(results, **other)
    fake.queues((bundle.name, "RUNNING", "None"))
    executor = given(results, job())
    assert (bundle.name in executor.active) == (not other)
    assert fake.calls("scancel") == ([f"scancel --quiet --me --name={bundle.name}"] if other else [])


@pytest.mark.parametrize("status", [0, 1])
def test_what_has_ended_and_is_asked_for_is_submitted_again(fake, results, status):
    """The record of what it made says whether that is still asked for; a job that finds it there leaves it alone."""
    bundle = earlier(results)
    bundle.note_end(0, status)
    fake.queues((bundle.name, "RUNNING", "None"))
    executor = given(results, job("a"))
    assert executor.over == []
    assert (len(fake.calls("sbatch")), fake.calls("scancel")) == (1, [])


@pytest.mark.parametrize(
    ("forced", "status", "there", "stays"),
    [("", 0, True, True), (AGAIN, 0, True, False), ("", 1, True, False), ("", 0, False, False)],
)
def test_log_of_what_ended_while_a_run_was_planned_stays(fake, results, forced, status, there, stays):
    """The job that is submitted for it says that it is there; what was said in training would be gone."""
    Path("log").write_text("trained")
    asked, bundle = job(), earlier(results)
    asked.log, asked.shellcmd = ["log"], f"train a{forced}"
    Path("a").mkdir()
    if there:
        Path("a/summary.json").touch()
    bundle.note_end(0, status)
    executor = given(results, asked)
    (submission,) = executor.active.values()
    assert submission.bundle.tasks[0].made == stays
    assert Path("log").exists() == stays


@pytest.mark.parametrize("checkpoint", [None, "checkpoint"])
@pytest.mark.parametrize("inputs", [[], ["network"]])
def test_a_job_that_may_have_read_what_this_run_has_made_again_is_cancelled(fake, results, read, inputs, checkpoint):
    """One that goes on from its checkpoint would do so in another job, too."""
    asked = job()
    asked.params, asked.input = {"record": "x", "checkpoint": checkpoint}, inputs
    bundle = earlier(results)
    fake.queues((bundle.name, "RUNNING", "None"))
    executor = given(results, asked)
    taken = not inputs or checkpoint is not None
    assert (bundle.name in executor.active) == taken
    assert len(read(f"{bundle.name} (a) may have read what was made again since; it is cancelled")) == (not taken)


def test_all_cells_of_an_earlier_job_are_waited_for(fake, results):
    """One that is forgotten would never be over."""
    bundle = earlier(results)
    bundle.tasks.append(Task("b", "train b", "[]", output=["b/summary.json"]))
    bundle.write()
    fake.queues((bundle.name, "RUNNING", "None"))
    executor = given(results, job("a"), job("b"))
    assert [*executor.active] == [bundle.name]
    for number in (0, 1):
        bundle.note_end(number, 0)
    executor.look()
    assert [(info.job.message, error) for info, error in executor.over] == [("a", None), ("b", None)]


@pytest.mark.parametrize(
    ("earlier_forced", "forced", "taken"),
    [(True, True, True), (True, False, True), (False, True, False)],
)
def test_a_job_that_an_earlier_run_forced_is_taken_over(fake, results, read, earlier_forced, forced, taken):
    """But not the other way round: what nobody forced leaves alone what is there."""
    said = {False: "x", True: f"x{AGAIN}"}
    asked = job()
    asked.shellcmd, asked.params = f"train a --record {said[forced]}", {"record": said[forced]}
    bundle = earlier(results, command=f"train a --record {said[earlier_forced]}")
    fake.queues((bundle.name, "PENDING", "None"))
    executor = given(results, asked)
    assert (bundle.name in executor.active) == taken
    assert len(read(f"{bundle.name} (a) would keep what is there; it is cancelled")) == (not taken)


@pytest.mark.parametrize("wanted_first", [True, False])
def test_where_one_job_makes_what_is_asked_for_another_with_other_settings_is_cancelled(fake, results, wanted_first):
    """Whichever folder comes first."""
    wanted, other = earlier(results), earlier(results, identity="other settings")
    names = [f"cells-{number}" for number in ((0, 1) if wanted_first else (1, 0))]
    for bundle, name in zip((wanted, other), names, strict=True):
        bundle.folder = bundle.folder.rename(results / "slurm" / name)
    fake.queues(*((name, "RUNNING", "None") for name in names))
    executor = given(results, job())
    assert [*executor.active] == [wanted.name]
    assert fake.calls("scancel") == [f"scancel --quiet --me --name={other.name}"]


def test_job_has_ended_when_it_is_to_be_cancelled(fake, results):
    bundle = earlier(results, identity="other settings")
    fake.queues((bundle.name, "RUNNING", "None"))
    fake.fails("scancel", "Job/step already completing or completed")
    executor = given(results, job())
    assert fake.calls("sbatch") == []
    fake.queues((bundle.name, "COMPLETED", "None"))
    executor.look()
    assert len(fake.calls("sbatch")) == 1


def test_cancelled_for_the_sake_of_another(fake, results, read):
    """Tasks with the same settings as before continue in a new job and do not fail even once."""
    bundle = earlier(results)
    bundle.tasks.append(Task("b", "train b", "other settings", output=["b/summary.json"]))
    bundle.write()
    fake.queues((bundle.name, "RUNNING", "None"))
    executor = Alone(results)
    executor.run_jobs([job("a"), job("b")])
    executor.gathering.seconds = 100
    executor.look()
    assert len(read("has other settings, code or data; it is cancelled")) == 1
    fake.queues((bundle.name, "CANCELLED", "None"))
    executor.gathering.seconds = 0
    executor.look()
    assert executor.over == []
    jobs = [info.job for submission in executor.active.values() for info in submission.members.values()]
    assert sorted(each.message for each in jobs) == ["a", "b"]
    assert bundle.name not in executor.active


def test_exit_status_that_holds_no_number(results):
    bundle = earlier(results)
    (bundle.folder / "0.exit").write_text("")
    assert bundle.status(0) is None


def test_at_the_end_nothing_is_left_of_jobs_that_are_over(fake, results, monkeypatch):
    monkeypatch.setattr(RemoteExecutor, "shutdown", lambda self: None)
    over, running = earlier(results), earlier(results)
    fake.queues((running.name, "RUNNING", "None"))
    Alone(results).shutdown()
    assert running.folder.exists()
    assert not over.folder.exists()


def test_at_the_end_jobs_that_run_keep_what_tells_the_next_snakemake_of_them(fake, results, monkeypatch):
    """Without it their cells would be trained a second time at the same time."""
    monkeypatch.setattr(RemoteExecutor, "shutdown", lambda self: None)
    executor, (runs, over) = at_work(results, fake, "a", "b", "c")
    over.note_end(0, 0)
    executor.shutdown()
    assert len(Bundle.read(runs.folder).tasks) == 2
    assert not over.folder.exists()


@pytest.mark.parametrize("params", [{}, {"record": "what it is made from"}])
def test_times_of_inputs_count_only_where_no_record_says_what_a_job_is_made_from(tmp_path, fake, params):
    """Else a job that runs would be cancelled for a file that was written again with the same contents."""
    asked, file = job(), tmp_path / "input"
    asked.params, asked.input = params, [file]
    found = []
    for seconds in (0, 60):
        file.touch()
        os.utime(file, (seconds, seconds))
        found.append(task_of(asked).identity)
    assert (found[0] == found[1]) == bool(params)


def test_started_again_while_jobs_are_still_being_cancelled(fake, results):
    """After Ctrl-C jobs take a while to end; their cells go on in a new one."""
    bundle = earlier(results)
    fake.queues((bundle.name, "COMPLETING", "None"))
    executor = given(results, job())
    assert [*executor.active] == [bundle.name]
    fake.queues((bundle.name, "CANCELLED", "None"))
    executor.look()
    assert executor.over == []
    assert len(executor.active) == 1
    assert bundle.name not in executor.active


def test_a_run_on_this_machine_waits_for_jobs_that_would_write_over_what_it_makes(fake, results):
    """Not for those that SLURM no longer has, that make something else or have ended."""
    waits, ended = earlier(results), earlier(results)
    ended.note_end(0, 0)

    def said(file):
        return why_wait(results / "slurm", {file}) or ""

    assert said("a/summary.json") == ""
    fake.queues((waits.name, "PENDING", "PartitionDown"), (ended.name, "COMPLETING", "None"))
    assert said("b/summary.json") == ""
    assert f"({waits.name})" in said("a/summary.json")
    assert said("a/summary.json").endswith(": scancel 1")
    fake.fails("squeue")
    assert f"{AWAY}" in said("a/summary.json")
    assert said("a/summary.json").endswith(f"Once they are gone, delete their folders in {results}/slurm")
    (ended.folder / "bundle.json").write_text("")
    assert ended.name in said("b/summary.json")
