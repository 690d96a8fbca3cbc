"""From Snakemake's jobs to bundles on the disk, and from a bundle to the command that submits it."""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from snakemake.shell import shell
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from . import bundles, sbatch, slurm
from .bundles import Bundle, Task

MOST_TIMES = 6
# How Snakemake is told to use a software environment, and what of a job then has one.
ENVIRONMENTS = {"CONDA": "conda_env_spec", "APPTAINER": "container_img_url", "ENV_MODULES": "env_modules"}


def check_job(job: Any, methods: Iterable[Any]) -> None:
    """Refuse a job that is more than a command for the shell.

    Args:
        job: Snakemake's.
        methods: the software environments that Snakemake was told to use.

    Raises:
        WorkflowError: a task could not run it; the message names the rule.
    """
    if job.is_group():
        names, why = (
            ", ".join(sorted({each.rule.name for each in job.jobs})),
            "no groups; leave out group: and --groups",
        )
    elif job.shellcmd is None:
        names, why = job.rule.name, "nothing but shell:; give it one, or make it a local rule (localrule: True)"
    elif [each for each in methods if getattr(job, ENVIRONMENTS[each.name])]:
        names, why = job.rule.name, "no conda:, container: or envmodules:; leave out --software-deployment-method"
    else:
        return
    raise WorkflowError(f"{names} cannot be run by the executor slurm-bundles, which knows {why}")


def task_of(job: Any) -> Task:
    """What a compute node has to know of a job."""
    for path in (*job.output, *job.log):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    # A parameter 'record' says in the command what the files are made from; without one the input files stand for it.
    inputs = [] if job.params.get("record") else job.input
    return Task(
        name=" ".join(part for part in (job.message or job.rule.name).split()),
        command=job.shellcmd,
        identity=str([(str(file), os.stat(file).st_mtime_ns) for file in inputs]),
        cost=float(job.resources.get("bundle_cost") or 0),
        benchmark=str(job.benchmark) if job.benchmark else None,
        checkpoint=job.params.get("checkpoint"),
        output=[str(path) for path in job.output],
        reads_new=bool(job.params.get("record") and job.input),
    )


class Gathering:
    """Jobs that are in no bundle yet, each with its task.

    Args:
        folder: where bundles go.
        most: jobs in a bundle.
        seconds: bundles of cells are made when no job has come for so long, or jobs have come for MOST_TIMES as long;
            other jobs do not wait.
        minutes: of each bundle, see :class:`~.bundles.Bundle`.
    """

    def __init__(self, folder: Path, most: int, seconds: float, minutes: float) -> None:
        self.folder, self.most, self.seconds, self.minutes = folder, max(1, most), seconds, minutes
        self.members: dict[Task, SubmittedJobInfo] = {}
        self.first = self.last = 0.0  # when the first of these and the last one came

    def add(self, info: SubmittedJobInfo, task: Task) -> None:
        """Take a job. The log of an earlier run goes, which would pass as this one's.

        A job that resumes, or finds its files made, adds to it. That of a first attempt stays until the next one begins.
        """
        if info.job.attempt == 1 and not task.made and bundles.mark(task.checkpoint) is None:
            for path in info.job.log:
                with suppress(OSError):
                    Path(path).unlink()
        if not self.members:
            self.first = self.last
        self.members[task] = info

    def bundles(self) -> Iterable[tuple[Bundle, list[SubmittedJobInfo]]]:
        """Write bundles, each with its jobs. What could not be written stays."""
        for tasks in self.ready():
            idle = 0
            if len(tasks) > 1:
                idle = slurm.idle_nodes(sbatch.partition(self.members[tasks[0]].job.resources))
            for chosen in bundles.divide(tasks, self.most, idle):
                bundle = self.write([(self.members[task], task) for task in chosen])
                yield bundle, [self.members.pop(task) for task in chosen]

    def ready(self) -> list[list[Task]]:
        """The tasks that need not wait for others; what is bundled asks for the same resources."""
        now = time.monotonic()
        enough = now - self.last >= self.seconds or now - self.first >= MOST_TIMES * self.seconds
        alike: dict[Task | str, list[Task]] = {}
        for task, info in self.members.items():
            if task.cost and not enough:
                continue
            resources = {k: v for k, v in info.job.resources.items() if k not in ("bundle_cost", "tmpdir")}
            alike.setdefault(repr(sorted(resources.items())) if task.cost else task, []).append(task)
        return list(alike.values())

    def write(self, members: Sequence[tuple[SubmittedJobInfo, Task]]) -> Bundle:
        """Write a bundle, to be submitted."""
        job = members[0][0].job
        side_by_side = 1
        if members[0][1].cost:
            side_by_side = job.resources.get("cells_per_gpu", 1) * max(1, sbatch.gpus(job.resources))
        for _, task in members:
            task.before = bundles.mark(task.checkpoint)
        bundle = Bundle(
            bundles.new_folder(self.folder),
            [task for _, task in members],
            min(side_by_side, len(members)),
            self.minutes,
            shell._process_prefix or "",
        )
        try:
            bundle.write()
        except OSError:
            # The next attempt has another name.
            with suppress(OSError):
                bundle.folder.rmdir()
            raise
        return bundle


def submit_command(bundle: Bundle, job: Any, say: Callable[[str], None]) -> list[str]:
    """The command that submits a bundle of jobs like this one.

    Raises:
        Refused: ``slurm_extra`` cannot be read or asks for an array.
        Unreachable: SLURM does not say how much memory its nodes have, or how long jobs may take.
    """
    resources = dict(job.resources.items())
    threads = job.threads
    if (workers := resources.get("workers", 1)) > 1:
        nodes = resources.setdefault("nodes", 1)  # on which the GPUs are
        sbatch.times(resources, workers // nodes)
        threads = -(-threads // nodes)
        if resources.get("cpus_per_task", 0) > 0:
            resources["cpus_per_task"] = -(-resources["cpus_per_task"] // nodes)
    # A retry asks for more.
    for name, factor, most, unit, what in (
        ("mem_mb", bundle.side_by_side, slurm.memory_of_nodes, "MB", "any node has"),
        ("runtime", 1, slurm.longest_minutes, "minutes", "the partition allows"),
    ):
        if resources.get(name):
            wanted = resources[name] * factor
            resources[name] = min(wanted, most(sbatch.partition(resources)) or wanted)
            if resources[name] < wanted:
                say(f"{wanted} {unit} are more than {what}; asking for {resources[name]} {unit}")
    cpus = resources.get("cpus_per_task", threads)
    if cpus > 0 and bundle.side_by_side > 1:
        resources["cpus_per_task"] = cpus * bundle.side_by_side
    comment = f"{len(bundle.tasks)} x {job.rule.name}"
    return sbatch.command(bundle.name, bundle.log, comment, resources, threads)
