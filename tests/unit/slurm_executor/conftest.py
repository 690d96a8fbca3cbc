"""SLURM's commands as a test wants them to answer, and the executor without Snakemake."""

import logging
from types import SimpleNamespace

import pytest

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
            deployment_settings=SimpleNamespace(deployment_method=set()),
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
        is_group=lambda: False,
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


def given(results, *jobs):
    """An executor that has looked once at these jobs."""
    executor = Alone(results)
    executor.run_jobs(list(jobs))
    executor.look()
    return executor


def at_work(results, fake, *names):
    """An executor with one submitted bundle for each two jobs, all of which run; the bundles."""
    executor = given(results, *map(job, names))
    found = [submission.bundle for submission in executor.active.values()]
    fake.queues(*((bundle.name, "RUNNING", "None") for bundle in found))
    return executor, found


def earlier(results, **values):
    """A bundle that an earlier Snakemake submitted."""
    task = Task(**({"name": "a", "command": "train a", "identity": "[]"} | values))
    task.output = ["a/summary.json"]
    bundle = Bundle(new_folder(results / "slurm"), [task])
    bundle.write()
    return bundle
