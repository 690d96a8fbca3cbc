"""Bundles of tasks: how they are distributed, what they write, and a runner that is stopped and started again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from snakemake_executor_plugin_slurm_bundles import run_bundle
from snakemake_executor_plugin_slurm_bundles.bundles import (
    Bundle,
    Task,
    check_room,
    divide,
    find_bundles,
    how_it_ended,
    new_folder,
)

from ..waiting import wait_for

RUNNER = Path(run_bundle.__file__)


def tasks(*commands, cost=1.0):
    return [Task(f"task {number}", command, "", cost) for number, command in enumerate(commands)]


def make(folder, *commands, **options):
    bundle = Bundle(new_folder(folder), tasks(*commands), **options)
    bundle.write()
    return bundle


def start(bundle, *program):
    """Start the runner, or another program on the same folder."""
    command = [sys.executable, *(program or [RUNNER]), bundle.folder]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(bundle):
    process = start(bundle)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.mark.parametrize(
    ("costs", "most"),
    [([1] * 10, 4), ([9, 5, 4, 3, 3, 2, 1, 1], 3), ([7], 8), ([1] * 16, 8), ([100, 1, 1, 1, 1, 1], 3)],
)
def test_shared_out_in_few_groups_of_about_the_same_cost(costs, most):
    all_tasks = [Task(str(number), "", "", cost) for number, cost in enumerate(costs)]
    groups = divide(all_tasks, most)
    assert len(groups) == -(-len(costs) // most)
    assert sorted(task.name for group in groups for task in group) == sorted(task.name for task in all_tasks)
    for group in groups:
        assert 1 <= len(group) <= most
        assert [task.cost for task in group] == sorted((task.cost for task in group), reverse=True)
    totals = [sum(task.cost for task in group) for group in groups]
    assert max(totals) - min(totals) <= max(costs)


def test_one_large_task_and_many_small_ones_of_the_same_cost_end_together():
    groups = divide(tasks("large", cost=8.0) + tasks(*["small"] * 8), 8)
    assert sorted(len(group) for group in groups) == [1, 8]


def test_commands_run_as_snakemake_runs_them(tmp_path):
    """With its prefix; an error within a pipe is one."""
    bundle = make(tmp_path, "test $WORD = right", "false | true", prefix="export WORD=right; ")
    run(bundle)
    assert bundle.ended() == {0: 0, 1: 1}


def test_a_benchmark_has_the_units_of_snakemake(tmp_path):
    """Seconds, hours, memory in MB and the load in per cent of a core."""
    usage = SimpleNamespace(ru_utime=3600, ru_stime=61.5, ru_maxrss=3 * 1024)
    run_bundle.write_benchmark(tmp_path / "a.tsv", 7323.0, usage)
    names, values = (line.split("\t") for line in (tmp_path / "a.tsv").read_text().splitlines())
    row = dict(zip(names, values, strict=True))
    assert (row["s"], row["h:m:s"], row["max_rss"]) == ("7323.0000", "2:02:03", "3.00")
    assert (row["mean_load"], row["cpu_time"]) == ("50.00", "3661.50")


@pytest.mark.parametrize("resumes", [True, False])
def test_log_of_an_earlier_attempt_stays_where_it_resumes(tmp_path, resumes):
    """Otherwise the logs of a cell that is trained again and again would grow for ever."""
    log, checkpoint = tmp_path / "log", tmp_path / "checkpoint"
    log.write_text("an earlier attempt\n")
    bundle = make(tmp_path, f"echo another > {log} 2>&1")
    bundle.tasks[0].checkpoint = str(checkpoint)
    bundle.write()
    if resumes:
        checkpoint.touch()
    run(bundle)
    assert log.read_text().endswith("another\n")
    assert ("an earlier attempt" in log.read_text()) == resumes


@pytest.mark.parametrize("made", [True, False])
@pytest.mark.parametrize("works", [True, False])
def test_a_task_that_finds_its_files_made_leaves_their_log_and_time_alone(tmp_path, made, works):
    """One that works all the same replaces the time."""
    log, benchmark, file = tmp_path / "log", tmp_path / "benchmark.tsv", tmp_path / "file"
    for path in (log, benchmark, file):
        path.write_text("of an earlier job\n")
    bundle = make(tmp_path, f"{{ echo said{f'; echo again >> {file}' * works}; }} > {log} 2>&1")
    task = bundle.tasks[0]
    task.benchmark, task.output, task.made = str(benchmark), [str(file)], made
    bundle.write()
    run(bundle)
    assert log.read_text().endswith("said\n")
    assert ("of an earlier job" in log.read_text()) == made
    assert (benchmark.read_text() == "of an earlier job\n") == (not works)


def test_package_needs_nothing_of_the_project_and_its_runner_no_snakemake(tmp_path):
    """Alone in another folder."""
    shutil.copytree(RUNNER.parent, tmp_path / RUNNER.parent.name)
    for name, others in (("run_bundle", {"rethinking", "snakemake", "numpy"}), ("executor", {"rethinking"})):
        code = f"import sys, {RUNNER.parent.name}.{name}; assert not {others} & {{*sys.modules}}"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": ""}, check=True)


def test_what_became_of_tasks(tmp_path):
    bundle = make(tmp_path, "true", "exit 3", f"kill -9 $$; touch {tmp_path}/never")
    code, output = run(bundle)
    assert code == 0, output
    assert bundle.ended() == {0: 0, 1: 3, 2: -9}
    bundle.remove()
    assert find_bundles(tmp_path) == []


def test_ends_that_are_not_noted_yet_are_not_looked_for(tmp_path, monkeypatch):
    """At each look at thousands of tasks, a network file system would be asked for each."""
    bundle = make(tmp_path, "true", "true")
    monkeypatch.setattr(Path, "read_text", None)
    assert bundle.ended() == {}


def test_started_again_it_goes_on_where_it_stood(tmp_path):
    bundle = make(tmp_path, f"echo a >> {tmp_path}/a", f"touch {tmp_path}/b; sleep 60", f"echo c >> {tmp_path}/c")
    process = start(bundle)
    wait_for((tmp_path / "b").exists, process)
    process.kill()
    process.wait()
    bundle.tasks[1].command = "true"
    bundle.write()
    assert run(bundle)[0] == 0
    assert (tmp_path / "a").read_text() == "a\n"
    assert (tmp_path / "c").read_text() == "c\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_signal_ends_the_tasks_and_no_other_begins(tmp_path, number):
    """Also one that does not handle signals yet, as while it imports torch."""
    importing = f"import pathlib, time; pathlib.Path('{tmp_path}/a').touch(); time.sleep(60)"
    bundle = make(tmp_path, f'exec python -c "{importing}"', f"touch {tmp_path}/b")
    process = start(bundle)
    wait_for((tmp_path / "a").exists, process)
    process.send_signal(number)
    line = ""
    while "tasks left" not in line:
        line = process.stdout.readline()
    assert "2 tasks left" in line
    # It stays, so that the state of the job is what SLURM makes of it.
    assert process.poll() is None
    process.kill()
    process.wait()
    assert bundle.ended() == {}
    assert not (tmp_path / "b").exists()


def test_signal_comes_just_as_a_task_ends(tmp_path):
    """Its process is gone already; the bundle waits for the other one all the same."""
    bundle = make(tmp_path, "true", "sleep 0.5; exit 75", side_by_side=2)
    program = """
import os, signal
from snakemake_executor_plugin_slurm_bundles import run_bundle

wait4 = os.wait4

def interrupted(*arguments):
    os.wait4, ended = wait4, wait4(*arguments)
    os.kill(os.getpid(), signal.SIGTERM)
    return ended

os.wait4, run_bundle.LEAVE_SECONDS = interrupted, 0
run_bundle.main()
"""
    output, _ = start(bundle, "-c", program).communicate(timeout=60)
    assert "1 tasks left" in output
    assert bundle.ended() == {0: 0}


@pytest.mark.parametrize("command", [f"exit {os.EX_TEMPFAIL}", "kill -TERM $$"])
def test_a_task_that_asks_for_another_try_or_is_asked_to_stop_has_not_ended(tmp_path, command):
    """It has written its checkpoint; noted as a failure it would begin from there only if the user starts it again."""
    bundle = make(tmp_path, command, "true")
    code, output = run(bundle)
    assert (code, bundle.ended()) == (os.EX_TEMPFAIL, {1: 0})
    assert "continues later: task 0" in output


def test_side_by_side(tmp_path):
    # Each ends only if the other runs at the same time.
    commands = [f"touch {tmp_path}/{a}; while [ ! -e {tmp_path}/{b} ]; do sleep 0.01; done" for a, b in ("xy", "yx")]
    bundle = make(tmp_path, *commands, side_by_side=2)
    assert run(bundle)[0] == 0
    assert bundle.ended() == {0: 0, 1: 0}


def test_a_task_begins_if_it_ends_in_time_by_its_share_of_what_was_done(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    runner = run_bundle.Runner(Bundle(tmp_path, tasks("a", cost=2.0) + tasks("b", cost=3.0), minutes=10))
    now[0] += 595
    assert runner.may_begin(1)  # nothing is known yet
    runner.cost_done, runner.seconds_done = 2.0, 200.0
    for seconds, begins in ((300, True), (301, False)):
        now[0] = 1000.0 + seconds
        assert runner.may_begin(1) == begins
    runner.bundle.minutes = 0
    assert runner.may_begin(1)
    runner.signal = signal.SIGTERM
    assert not runner.may_begin(1)
    runner.begin(1)  # the signal comes in between
    assert not runner.running


def test_tasks_side_by_side_begin_only_if_they_end_in_time(tmp_path):
    """All take two seconds, two at a time, so that the last would end after four of three and a half."""
    bundle = make(tmp_path, *["sleep 2"] * 2, *["sleep 2.01"] * 2, side_by_side=2, minutes=3.5 / 60)
    code, output = run(bundle)
    assert code == os.EX_TEMPFAIL
    assert "2 tasks left" in output


def test_full_disk_is_waited_out(small_disk):
    """A task that ended while the disk was full is recorded once there is room, and then the next one begins."""
    bundle = make(small_disk, f"head -c 64k /dev/zero > {small_disk}/fill || true", "true")
    package = "snakemake_executor_plugin_slurm_bundles"
    impatient = f"from {package} import run_bundle; run_bundle.RETRY_SECONDS = 0.1; run_bundle.main()"
    runner = start(bundle, "-c", impatient)
    assert "No space left" in next(line for line in runner.stdout if "trying again" in line)
    (small_disk / "fill").unlink()
    runner.communicate(timeout=60)
    assert runner.returncode == 0
    assert bundle.ended() == {0: 0, 1: 0}


def test_room_is_there_or_not(small_disk):
    """A file can be made on a full disk; what counts is whether anything can be written into it."""
    check_room(small_disk)
    with suppress(OSError), open(small_disk / "fill", "wb") as file:
        file.write(bytes(1 << 16))
    with pytest.raises(OSError, match="No space left"):
        check_room(small_disk)


def test_what_can_never_be_written_does_not_hold_up_the_rest(tmp_path):
    """A benchmark file whose folder is a file."""
    (tmp_path / "blocked").touch()
    bundle = Bundle(
        new_folder(tmp_path),
        [Task("task", "true", "", benchmark=str(tmp_path / "blocked" / "benchmark.tsv")), *tasks("true")],
    )
    bundle.write()
    code, output = run(bundle)
    assert code == 0
    assert "not written:" in output
    assert "blocked" in output
    assert bundle.ended() == {0: 0, 1: 0}


def test_a_bundle_is_deleted_while_its_job_ends(tmp_path):
    """Snakemake does so as soon as the last end is noted; the job has succeeded all the same."""
    bundle = make(tmp_path, "true")
    bundle.tasks[0].command = f"rm -r {bundle.folder}"
    bundle.write()
    code, output = run(bundle)
    assert "all tasks have ended" in output
    assert code == 0


@pytest.mark.parametrize(
    ("status", "words"),
    [(3, "ended with status 3"), (-15, "was killed by SIGTERM"), (-40, "was killed by signal 40")],
)
def test_ends_are_told(status, words):
    assert how_it_ended(status) == words
