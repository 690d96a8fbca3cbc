"""The SLURM executor under faults that a real cluster cannot show: failing commands, a full disk, damaged files."""

import asyncio
import errno
import logging
import time
from types import SimpleNamespace

import pytest
from snakemake_interface_common.exceptions import WorkflowError

from snakemake_executor_plugin_slurm_bundles import executor as executor_module
from snakemake_executor_plugin_slurm_bundles import slurm
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
        lines = [f"{number}|{state}|{why}|{name}" for number, (name, state, why) in enumerate(jobs, 1)]
        self.says("squeue", *lines)

    def calls(self, name):
        calls = self.folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [line for line in lines if line.split()[0] == name]


class Alone(Executor):
    """The executor without Snakemake."""

    def __init__(self, folder):
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


def once_it_waits(monkeypatch, change):
    """Change something as soon as the executor waits."""
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        assert len(waits) < 10
        if len(waits) == 2:
            change()

    monkeypatch.setattr(executor_module, "time", SimpleNamespace(**vars(time) | {"sleep": sleep}))


# ---- commands


def test_queue(fake):
    fake.says(
        "squeue",
        "1|RUNNING|None|a",
        "2|CANCELLED|None|a",
        "3|FAILED|NonZeroExitCode|b",
        "4|PENDING|ReqNodeNotAvail, UnavailableNodes:n1|b",
        "5|RUNNING|None|what | users|call|jobs",
        "no job",
    )
    known = slurm.queue()
    assert (known["a"].number, known["a"].over) == ("1", False)
    assert (known["b"].number, known["b"].waits) == ("4", True)
    assert known["what | users|call|jobs"].state == "RUNNING"


def test_what_the_user_likes_to_see_hides_no_jobs(fake, monkeypatch):
    (fake.folder / "squeue").write_text('#!/bin/sh\necho "1|RUNNING|None|a$SQUEUE_PARTITION"\n')
    monkeypatch.setenv("SQUEUE_PARTITION", "short")
    assert list(slurm.queue()) == ["a"]


@pytest.mark.parametrize(
    ("command", "said", "error"),
    [
        ("squeue", "anything", slurm.Unreachable),
        ("sbatch", AWAY, slurm.Unreachable),
        ("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit", slurm.Unreachable),
        ("sbatch", "sbatch: error: invalid partition specified: a", slurm.Refused),
        ("scontrol", "slurm_update error: Invalid node name specified", slurm.Refused),
        ("scontrol", AWAY, slurm.Unreachable),
    ],
)
def test_who_does_not_answer_and_who_refuses(fake, command, said, error):
    fake.fails(command, said)
    with pytest.raises(error, match=said.replace("(", r"\(").replace(")", r"\)")):
        slurm.run([command])


def test_a_command_that_is_not_there(fake):
    (fake.folder / "squeue").unlink()
    (fake.folder / "squeue").mkdir()
    with pytest.raises(slurm.Unreachable):
        slurm.run([str(fake.folder / "squeue")])


# ---- what an earlier Snakemake left


@pytest.mark.parametrize("text", ["", '{"tasks": [{"na', "[1]", '{"tasks": [{"colour": 1}]}', "\0\0", "5"])
def test_damaged_bundle(fake, results, read, text):
    """Readable bundles are used; the job of an unreadable one is cancelled before anything is submitted."""
    whole, damaged = earlier(results), earlier(results)
    (damaged.folder / "bundle.json").write_text(text)
    fake.queues((whole.name, "RUNNING", "None"), (damaged.name, "RUNNING", "None"))
    executor = Alone(results)
    executor.run_jobs([job("a"), job("b")])
    assert read(f"{damaged.folder / 'bundle.json'} is no bundle")
    assert fake.calls("scancel") == [f"scancel --me --name={damaged.name}"]
    assert list(executor.active) == [whole.name]
    assert [task.name for _, task in executor.gathered] == ["b"]


def test_damaged_bundle_without_a_job(fake, results, read):
    (earlier(results).folder / "bundle.json").write_text("")
    Alone(results).run_jobs([job()])
    assert fake.calls("scancel") == []


@pytest.mark.parametrize("away", ["squeue", "scancel"])
@pytest.mark.parametrize("damaged", [True, False])
def test_slurm_is_away_when_a_job_is_to_be_cancelled(fake, results, read, monkeypatch, away, damaged):
    """The user is told once why nothing happens."""
    bundle = earlier(results, identity="other settings")
    if damaged:
        (bundle.folder / "bundle.json").write_text("")
    fake.queues((bundle.name, "RUNNING", "None"))
    fake.fails(away)
    once_it_waits(monkeypatch, lambda: (fake.folder / f"{away}.error").unlink())
    executor = Alone(results)
    executor.run_jobs([job()])
    assert len(read(AWAY)) == 1
    assert len(read("it is cancelled")) == 1
    assert len(executor.gathered) == 1


def test_job_has_ended_when_it_is_to_be_cancelled(fake, results, read, monkeypatch):
    bundle = earlier(results, identity="other settings")
    fake.queues((bundle.name, "RUNNING", "None"))
    fake.fails("scancel", "Job/step already completing or completed")
    once_it_waits(monkeypatch, lambda: fake.queues((bundle.name, "COMPLETED", "None")))
    executor = Alone(results)
    executor.run_jobs([job()])
    assert len(executor.gathered) == 1


def test_cancelled_for_the_sake_of_another(fake, results, read):
    """Tasks with the same settings as before continue in a new job and do not fail even once."""
    bundle = earlier(results)
    bundle.tasks.append(Task("b", "train b", "other settings", output=["b/summary.json"]))
    bundle.write()
    fake.queues((bundle.name, "RUNNING", "None"))
    executor = Alone(results)
    executor.run_jobs([job("a"), job("b")])
    assert len(read("with other settings; it is cancelled")) == 1
    fake.queues((bundle.name, "CANCELLED", "None"))
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
    assert executor.gathered == []


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
    assert list((results / "slurm").glob("*/bundle.json")) == []


def test_resource_that_is_none(fake, results):
    executor = Alone(results)
    executor.run_jobs([job(gres="???")])
    executor.look()
    ((_, error),) = executor.over
    assert "GRES" in error


def test_slurm_holds_as_many_jobs_as_it_may(fake, results, read):
    """The others wait, and sbatch is not called for each of them."""
    fake.fails("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit")
    executor, _ = at_work(results, fake, *"abcdef")
    fake.queues()
    executor.look()
    assert len(fake.calls("sbatch")) == 2
    assert executor.over == []
    assert len(read("QOSMaxSubmitJobPerUserLimit")) == 1
    fake.says("sbatch", "1")
    executor.look()
    assert len(fake.calls("sbatch")) == 5


def test_memory_of_nodes_is_asked_for_when_slurm_answers(fake, results):
    """More than any node has would be refused."""
    fake.fails("sinfo")
    executor, _ = at_work(results, fake, "a")
    assert fake.calls("sbatch") == []
    fake.queues()
    fake.says("sinfo", "800+", "500")
    executor.look()
    (call,) = fake.calls("sbatch")
    assert "--mem 800 " in call


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
    """A job that cannot be cancelled does not prevent cancelling the others, and nothing more is submitted."""
    executor, found = at_work(results, fake, "a", "b", "c")
    executor.run_jobs([job("d")])
    fake.fails("scancel", "scancel: error: Kill job error on job id 1")
    executor.cancel_jobs([])
    assert len(fake.calls("scancel")) == 2
    assert len(read("could not be cancelled")) == 2
    found[0].ended(0, 0)
    submitted = fake.calls("sbatch")
    infos = [info for submission in executor.active.values() for info in submission.members.values()]

    async def check():
        return [info async for info in executor.check_active_jobs(infos)]

    assert asyncio.run(check()) == infos
    assert fake.calls("sbatch") == submitted
    assert found[0].unreported(0)


def test_no_slurm_here(results, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkflowError, match="no sbatch here"):
        Alone(results)
