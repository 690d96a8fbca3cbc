"""The SLURM executor under faults that a real cluster cannot show: failing commands, a full disk, damaged files."""

import asyncio
import errno
import logging
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_slurm_bundles import sbatch, slurm
from snakemake_executor_plugin_slurm_bundles.bundles import Bundle, Task, new_folder
from snakemake_executor_plugin_slurm_bundles.executor import Executor

AWAY = "Unable to contact slurm controller (connect failure)"
# Says what lies in a file, fails with what lies in another, and keeps a record.
COMMAND = """\
#!/bin/sh
folder=$(dirname "$0")
name=$(basename "$0")
echo "$name $*" >> "$folder/calls"
if [ -e "$folder/$name.error" ]; then cat "$folder/$name.error" >&2; exit 1; fi
cat "$folder/$name.out"
"""


class Slurm:
    """SLURM's commands, as a test wants them to answer."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        for name in ("squeue", "sbatch", "scancel", "scontrol", "sinfo"):
            (folder / name).write_text(COMMAND)
            (folder / name).chmod(0o755)
            self.says(name, "")

    def says(self, name, *lines):
        (self.folder / f"{name}.error").unlink(missing_ok=True)
        (self.folder / f"{name}.out").write_text("".join(f"{line}\n" for line in lines))

    def fails(self, name, error=AWAY):
        (self.folder / f"{name}.error").write_text(error)

    def queues(self, *jobs):
        """Each with name, state and reason."""
        lines = [f"{number}|{state}|n1|N/A|{why}|{name}" for number, (name, state, why) in enumerate(jobs, 1)]
        self.says("squeue", *lines)

    def calls(self, name):
        calls = self.folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [line for line in lines if line.split()[0] == name]


class Alone(Executor):
    """The executor without Snakemake."""

    def __init__(self, folder):
        self.reported = []
        self.workflow = SimpleNamespace(
            executor_settings=SimpleNamespace(cells=2, minutes=0, gather_seconds=0, poll_seconds=0),
            execution_settings=SimpleNamespace(latency_wait=0),
            globals={"RESULTS": folder},
        )
        self.logger = logging.getLogger("test")
        self.__post_init__()

    def run_job_pre(self, job):
        pass

    def report_job_submission(self, info):
        pass

    def report_job_success(self, info):
        self.reported.append((info.job.message, None))

    def report_job_error(self, info, msg):
        self.reported.append((info.job.message, msg))

    def look_again(self):
        """A look after any pause."""
        self.next_attempt = 0
        self.look()


@pytest.fixture
def fake(tmp_path, monkeypatch):
    fake = Slurm(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(fake.folder), prepend=":")
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.fixture
def read(caplog):
    """The messages to the user so far that contain a text."""
    caplog.set_level(logging.INFO, "test")
    return lambda text: [line for line in caplog.messages if text in line]


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def job(name="a", **resources):
    return SimpleNamespace(
        rule=SimpleNamespace(name="train_cell"),
        message=name,
        shellcmd=f"train {name}",
        resources={"bundle_cost": 1, "mem_mb": 1000, "cpus_per_task": 1} | resources,
        threads=1,
        params={},
        input=[],
        output=[f"{name}/summary.json"],
        log=[],
        benchmark=None,
        restart_times=2,
        attempt=1,
    )


def at_work(results, fake, *names):
    """An executor with one submitted bundle for each two jobs, all of which run; the bundles."""
    executor = Alone(results)
    executor.run_jobs([job(name) for name in names])
    executor.look()
    found = [submission.bundle for submission in executor.active.values()]
    fake.queues(*((bundle.name, "RUNNING", "None") for bundle in found))
    return executor, found


def earlier(results, **values):
    """A bundle that an earlier Snakemake submitted."""
    task = Task(**({"name": "a", "command": "train a", "identity": "[[], []]"} | values))
    task.output = ["a/summary.json"]
    bundle = Bundle(new_folder(results / "slurm"), [task])
    bundle.write()
    return bundle


# ---- commands


def test_queue(fake):
    fake.says(
        "squeue",
        "1|RUNNING|n1|2026-01-01T00:00:00|None|a",
        "2|CANCELLED|||None|a",
        "3|FAILED|||NonZeroExitCode|b",
        "4|PENDING||N/A|ReqNodeNotAvail, UnavailableNodes:n1|b",
        "5|RUNNING|n1||None|what | users|call|jobs",
        "no job",
    )
    known = slurm.queue()
    assert (known["a"].number, known["a"].node, known["a"].over) == ("1", "n1", False)
    assert (known["b"].number, known["b"].waits) == ("4", True)
    assert known["what | users|call|jobs"].state == "RUNNING"


def test_what_the_user_likes_to_see_hides_no_jobs(fake, monkeypatch):
    (fake.folder / "squeue").write_text('#!/bin/sh\necho "1|RUNNING|||None|a$SQUEUE_PARTITION"\n')
    monkeypatch.setenv("SQUEUE_PARTITION", "short")
    assert list(slurm.queue()) == ["a"]


# What SLURM says (22.05) of jobs that it never takes, and the setting that it is about.
NEVER = {
    "invalid partition specified: a": "slurm_partition",
    "Invalid partition name specified": "slurm_partition",
    "User's group not permitted to use this partition": "slurm_partition",
    "Invalid account or account/partition combination specified": "slurm_account",
    "Invalid qos specification": "qos",
    "Requested node configuration is not available": "mem_mb (now 1000), cpus_per_task (now 1)",
    "Memory specification can not be satisfied": "mem_mb",
    "CPU count per node can not be satisfied": "cpus_per_task",
    "Requested time limit is invalid (missing or exceeds some limit)": "runtime",
    "Invalid --time specification": "runtime",
    "Invalid feature specification": "constraint",
    "Invalid generic resource (gres) specification": "gpu",
    "QOSMaxGRESPerJob\nsbatch: error: Job violates accounting/QOS policy (job submit limit, user's size)": "gpu",
    "unrecognized option '--colour=red'": "slurm_extra",
}
# What passes by itself.
LATER = [
    AWAY,
    "QOSMaxSubmitJobPerUserLimit\nsbatch: error: Job violates accounting/QOS policy (job submit limit, user's size)",
    "AssocMaxSubmitJobLimit",
    "Transport endpoint is not connected",
    "I/O error writing script/environment to file",
    "Socket timed out on send/recv operation",
    "Required partition not available (inactive or drain)",
    "Protocol authentication error",
    "Unspecified error",
    "something that nobody has seen before",
    "",
]


@pytest.mark.parametrize(("said", "setting"), NEVER.items())
def test_what_sbatch_never_takes(fake, said, setting):
    fake.fails("sbatch", f"sbatch: error: {said}")
    with pytest.raises(sbatch.Refused) as refused:
        sbatch.submit(["sbatch"], "", {"mem_mb": 1000, "cpus_per_task": 1})
    assert said in str(refused.value)
    assert setting in str(refused.value)


@pytest.mark.parametrize("said", LATER)
def test_what_sbatch_may_take_later(fake, said):
    fake.fails("sbatch", said)
    with pytest.raises(slurm.Unreachable, match=re.escape(said) or "status 1"):
        sbatch.submit(["sbatch"], "", {})


def test_variable_at_fault(fake, monkeypatch):
    """One that a setting of the profile wins over is not named."""
    fake.fails("sbatch", "Requested node configuration is not available")
    for name, value in {"SBATCH_GPUS_PER_NODE": "8", "SBATCH_CONSTRAINT": "a100"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(sbatch.Refused, match="SBATCH_GPUS_PER_NODE=8") as refused:
        sbatch.submit(["sbatch"], "", {"constraint": "v100"})
    assert "constraint (now v100)" in str(refused.value)
    assert "a100" not in str(refused.value)


@pytest.mark.parametrize(
    "resources",
    [
        {},
        {
            "mem_mb": 1,
            "runtime": 90,
            "slurm_partition": "p",
            "slurm_account": "a",
            "qos": "q",
            "constraint": "x",
        },
        {"gpu": 2, "nodes": 1, "mem_mb_per_cpu": 3, "cpus_per_gpu": 4},
        {"gpu_model": "a100", "tasks": 2, "cpus_per_task": 3},
        {"gres": "gpu:1", "cpus_per_task": -1},
        {"tasks": 2, "slurm_extra": "'--mail-user=a b' --hold"},
    ],
)
def test_resources_mean_what_they_mean_to_snakemakes_own_executor(resources):
    """The options are those of its plugin."""
    own = pytest.importorskip("snakemake_executor_plugin_slurm.submit_string")
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    class Resources(dict):
        __getattr__ = dict.__getitem__

    like = SimpleNamespace(resources=Resources(resources), threads=5)
    text = {"run_uuid": "n", "slurm_logfile": "l", "comment_str": "c", "workdir": None}
    text |= {"account": "--account=a" * ("slurm_account" in resources)}
    text |= {"partition": "--partition=p" * ("slurm_partition" in resources)}
    theirs = own.get_submit_command(like, text, SimpleNamespace(requeue=True, qos=None, reservation=None))
    theirs = shlex.join(shlex.split(f"{theirs} {set_gres_string(like)}")) + " "
    for short, long in (("-t ", "--time="), ("-C ", "--constraint=")):
        theirs = theirs.replace(f" {short}", f" {long}")
    for option in ("job-name", "output", "comment", "mem", "mem-per-cpu"):
        theirs = theirs.replace(f"--{option} ", f"--{option}=")
    ours = sbatch.command("n", Path("l"), "c", resources, 5)
    only_ours = {"--open-mode=append", f"--chdir={Path.cwd()}"}
    assert set(ours) - only_ours == set(shlex.split(theirs))


def test_a_cell_with_several_workers_has_a_job_with_all_their_gpus(results, fake):
    executor = Alone(results)
    alone = {"workers": 4, "gpu": 1, "bundle_cost": 0}
    executor.run_jobs([job("a", **alone), job("b", **alone), job("c"), job("d")])
    executor.look()
    *apart, together = sorted(fake.calls("sbatch"), key=lambda call: "--gpus" not in call)
    assert len(apart) == 2
    assert all({"--gpus=4", "--nodes=1", "--mem=4000"} <= set(call.split()) for call in apart)
    assert {"--mem=1000", "--comment=2"} <= set(together.split())


@pytest.mark.parametrize("command", ["squeue", "scontrol"])
def test_other_commands_that_fail(fake, command):
    fake.fails(command, "anything")
    with pytest.raises(slurm.Unreachable, match="anything"):
        slurm.run([command])


def test_a_command_that_is_not_there(fake):
    (fake.folder / "squeue").unlink()
    (fake.folder / "squeue").mkdir()
    with pytest.raises(slurm.Unreachable):
        slurm.run([str(fake.folder / "squeue")])


def test_a_command_that_hangs(fake, monkeypatch):
    """Also a wrapper, whose child keeps the pipe open."""
    (fake.folder / "squeue").write_text("#!/bin/sh\nsleep 60\n")
    monkeypatch.setattr(slurm, "TIMEOUT_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(slurm.Unreachable, match="more than"):
        slurm.queue()
    assert time.monotonic() - began < 10


# ---- what an earlier Snakemake left


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
    assert read(f"{damaged.folder / 'bundle.json'} is no bundle")
    assert fake.calls("scancel") == [f"scancel --me --name={damaged.name}"]
    assert list(executor.active) == [whole.name]
    assert [task.name for _, task in executor.gathering.members] == ["b"]


def test_damaged_bundle_without_a_job(fake, results, read):
    (earlier(results).folder / "bundle.json").write_text("")
    executor = Alone(results)
    executor.run_jobs([job()])
    executor.look()
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
    executor = Alone(results)
    executor.run_jobs([job()])
    executor.look()
    executor.look()
    assert len(read(AWAY)) == 1
    assert (fake.calls("sbatch"), executor.active) == ([], {})
    (fake.folder / f"{away}.error").unlink()
    executor.look()
    assert len(read("it is cancelled")) == 1
    assert len(fake.calls("sbatch")) == 1


def test_job_has_ended_when_it_is_to_be_cancelled(fake, results, read):
    bundle = earlier(results, identity="other settings")
    fake.queues((bundle.name, "RUNNING", "None"))
    fake.fails("scancel", "Job/step already completing or completed")
    executor = Alone(results)
    executor.run_jobs([job()])
    executor.look()
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
    assert len(read("with other settings; it is cancelled")) == 1
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


# ---- a look


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


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
    assert executor.gathering.members == []


def test_full_disk_when_an_interrupted_bundle_goes_on(fake, results, monkeypatch):
    executor, (bundle,) = at_work(results, fake, "a", "b")
    bundle.ended(0, 0)
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


def test_full_disk_when_an_end_is_noted(fake, results, monkeypatch):
    """The others are still noticed."""
    executor, (bundle, other) = at_work(results, fake, "a", "b", "c")
    bundle.ended(0, 0)
    other.ended(0, 1)
    reported = Bundle.reported
    with monkeypatch.context() as patch:
        patch.setattr(Bundle, "reported", lambda self, n: full() if self == bundle else reported(self, n))
        executor.look()
    assert [info.job.message for info, _ in executor.over] == ["b"]
    executor.look()
    assert [info.job.message for info, _ in executor.over] == ["b", "a"]


def test_refused(fake, results):
    fake.fails("sbatch", "sbatch: error: invalid partition specified: a")
    executor, found = at_work(results, fake, "a")
    ((info, error),) = executor.over
    assert "sbatch refused: sbatch: error: invalid partition" in error
    assert (info.job.message, found) == ("a", [])
    assert list((results / "slurm").iterdir()) == []
    assert info.job.attempt > info.job.restart_times  # Snakemake does not try it again


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
    fake.says("sbatch", "1")
    executor.look_again()
    assert len(fake.calls("sbatch")) == 5


def test_memory_of_nodes_is_asked_for_when_slurm_answers(fake, results):
    """More than any node has would be refused."""
    fake.fails("sinfo")
    executor, _ = at_work(results, fake, "a")
    assert fake.calls("sbatch") == []
    fake.queues()
    fake.says("sinfo", "800+", "500")
    executor.look_again()
    (call,) = fake.calls("sbatch")
    assert "--mem=800 " in call


def test_sbatch_failed_and_reached_slurm(fake, results):
    fake.fails("sbatch")
    executor, (bundle,) = at_work(results, fake, "a")
    executor.look()
    assert len(fake.calls("sbatch")) == 1
    assert executor.active[bundle.name].submitted


@pytest.mark.parametrize(("command", "error"), [("sinfo", AWAY), ("scontrol", "Access denied")])
def test_job_that_cannot_be_released(fake, results, read, command, error):
    """Other jobs are still watched."""
    executor, (held, other) = at_work(results, fake, "a", "b", "c")
    fake.queues((held.name, "PENDING", "launch failed requeued held"), (other.name, "RUNNING", "None"))
    fake.says("sinfo", "n1", "n2")
    fake.fails(command, error)
    other.ended(0, 0)
    executor.look()
    executor.look()
    assert [info.job.message for info, _ in executor.over] == ["b"]
    assert len(read(error)) == 1
    assert not read("does not answer")
    fake.says("scontrol")
    fake.says("sinfo", "n1", "n2")
    executor.look()
    assert fake.calls("scontrol")[-2:] == ["scontrol update JobId=1 ExcNodeList=n1", "scontrol release 1"]
    assert len(read("trying again without n1")) == 1


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


def test_job_that_waits_for_long(fake, results, read):
    executor, (bundle,) = at_work(results, fake, "a")
    executor.active[bundle.name].submitted -= 25 * 3600
    fake.queues((bundle.name, "PENDING", "Resources"))
    executor.look()
    executor.look()
    assert len(read("SLURM does not start")) == 1


def test_slurm_does_not_answer(fake, results, read):
    executor, (bundle,) = at_work(results, fake, "a", "b")
    fake.fails("squeue")
    bundle.ended(0, 0)
    executor.look()
    executor.look()
    assert len(executor.over) == 1
    assert len(read("SLURM does not answer")) == 1
    fake.queues((bundle.name, "RUNNING", "None"))
    executor.look()
    assert len(read("SLURM answers again")) == 1


def test_cancelled(fake, results, read):
    """All jobs at once, also one that reached SLURM although sbatch failed; nothing more is submitted."""
    executor, found = at_work(results, fake, "a", "b", "c")
    fake.queues(*((bundle.name, "RUNNING", "None") for bundle in found))
    executor.run_jobs([job("d")])
    fake.fails("sbatch")
    executor.look()
    (unknown,) = set(executor.active) - {bundle.name for bundle in found}
    executor.run_jobs([job("e")])
    executor.cancel_jobs([])
    assert fake.calls("scancel") == ["scancel --me 1 2", f"scancel --me --name={unknown}"]
    fake.fails("scancel", "scancel: error: Kill job error on job id 1")
    executor.cancel_jobs([])
    (line,) = read("not all jobs are cancelled")
    assert f"{found[0].name} (job 1)" in line
    found[0].ended(0, 0)
    submitted = fake.calls("sbatch")
    infos = [info for submission in executor.active.values() for info in submission.members.values()]

    async def check():
        return [info async for info in executor.check_active_jobs(infos)]

    assert asyncio.run(check()) == infos
    assert fake.calls("sbatch") == submitted
    assert found[0].unreported(0)


def test_squeue_hangs(fake, results, monkeypatch):
    """What ended is reported before SLURM is asked, and Ctrl-C cancels without waiting for the answer."""
    executor, (bundle, _) = at_work(results, fake, "a", "b", "c")
    executor.look()
    bundle.ended(0, 0)
    (fake.folder / "squeue").write_text(f"#!/bin/sh\ntouch {fake.folder}/asked\nsleep 60\n")
    monkeypatch.setattr(slurm, "TIMEOUT_SECONDS", 3)

    async def check():
        return [info async for info in executor.check_active_jobs([])]

    looking = threading.Thread(target=lambda: asyncio.run(check()))
    looking.start()
    while not (fake.folder / "asked").exists():
        time.sleep(0.01)
    assert executor.reported == [("a", None)]
    executor.run_jobs([job("d")])
    executor.cancel_jobs([])
    assert looking.is_alive()
    assert fake.calls("scancel") == ["scancel --me 1 2"]
    looking.join()


# ---- interruptions


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
    assert read("job 5")[-3:] == [
        "SLURM ended job 5 on n1 and will start it again",
        "SLURM started job 5 again on n2: it goes on from its checkpoints",
        "SLURM started job 5 again on n2: it goes on from its checkpoints",
    ]


@pytest.mark.parametrize(
    ("partition", "sizes"), [(None, [1, 1, 1]), ("long", [1, 2]), ("other", [1, 2]), ("big", [1, 1, 1])]
)
def test_idle_nodes(fake, results, partition, sizes):
    """Fewer cells than full jobs could hold are spread over them."""
    fake.says("sinfo", "main* 3", "long 1", "big 5")
    executor = Alone(results)
    executor.run_jobs([job(name, slurm_partition=partition, mem_mb=0) for name in "abc"])
    executor.look()
    assert sorted(len(each.members) for each in executor.active.values()) == sizes


def test_finished_bundle_leaves_nothing_behind(fake, results):
    """One with a failed task leaves its log."""
    executor, found = at_work(results, fake, "a", "b", "c")
    for bundle, status in zip(found, (0, 1), strict=True):
        bundle.log.write_text("what happened")
        for number in range(len(bundle.tasks)):
            bundle.ended(number, status)
    fake.queues(*((bundle.name, "COMPLETED", "None") for bundle in found))
    executor.look()
    assert sorted(results.glob("slurm/*/*")) == [found[1].log]


def test_no_slurm_here(results, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkflowError, match="no sbatch here"):
        Alone(results)


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
    assert [call.split("--mem=")[1].split()[0] for call in fake.calls("sbatch")] == ["100"] * calls, (
        done.stderr
    )
    assert (done.returncode == 0) == (calls > 1)
    assert "Trying to restart" not in done.stderr
