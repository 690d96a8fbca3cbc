"""Snakemake's executor for SLURM that puts several cells into one job and survives what clusters do.

To Snakemake every cell stays a job of its own, with its own settings,
outputs and retries; only on the way to SLURM are jobs gathered into bundles (see ``bundles``). What
became of them is read from the bundles' folders, and from SLURM only whether a job is still there. So nothing is
lost where SLURM does not answer, and a Snakemake that was killed finds its jobs again when it is started again.
"""

import shlex
import shutil
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snakemake.shell import shell
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

from . import bundles, sbatch, slurm
from .bundles import Task
from .earlier import Earlier
from .submission import Submission

LONGEST_PAUSE = 300  # seconds between two attempts to submit


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    """Settings of the executor."""

    cells: int = field(default=1, metadata={"help": "Cells that one SLURM job trains at most."})
    minutes: int = field(
        default=0,
        metadata={
            "help": "A SLURM job begins no further cell that would probably end later than this; 0 sets no limit."
        },
    )
    gather_seconds: int = field(
        default=10,
        metadata={"help": "A job that is not full is submitted when no further cell has come for so long."},
    )
    poll_seconds: int = field(default=10, metadata={"help": "Time between two looks at the jobs."})


common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=1,
)


class Executor(RemoteExecutor):
    """Jobs of the workflow in SLURM jobs, several at a time.

    Snakemake's thread hands in jobs and stops; everything else happens in the thread that looks at the jobs. So nothing
    waits for SLURM but that thread, and no lock is needed.
    """

    def __post_init__(self) -> None:
        if shutil.which("sbatch") is None:
            raise WorkflowError("There is no sbatch here; start Snakemake where SLURM's commands are.")
        self.settings = self.workflow.executor_settings
        self.next_seconds_between_status_checks = self.settings.poll_seconds
        self.folder = Path(self.workflow.globals.get("RESULTS", ".snakemake")) / "slurm"
        self.came: deque[SubmittedJobInfo] = deque()  # from Snakemake
        self.last_came = 0.0
        # Jobs that are in no bundle yet, each with its task.
        self.gathered: list[tuple[SubmittedJobInfo, Task]] = []
        # Bundles that this process submitted or found, by name.
        self.active: dict[str, Submission] = {}
        # Jobs that are over, each with what went wrong.
        self.over: list[tuple[SubmittedJobInfo, str | None]] = []
        self.earlier = Earlier(self.folder, self.logger.warning)
        self.silent = False  # SLURM, at the last look
        self.pause, self.next_attempt = 0.0, 0.0  # while sbatch fails
        self.warned: set[str] = set()  # at this look
        self.warned_before: set[str] = set()  # at the one before
        self.stopping = False

    # ---- from Snakemake

    def run_jobs(self, jobs: list[Any]) -> None:
        """Take jobs that are ready."""
        for job in jobs:
            self.run_job(job)

    def run_job(self, job: Any) -> None:
        """Take one job."""
        self.run_job_pre(job)
        info = SubmittedJobInfo(job)
        # Before it can be over.
        self.report_job_submission(info)
        self.last_came = time.monotonic()
        self.came.append(info)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel what is in SLURM's queue; cells write their checkpoints."""
        # What has no job yet gets none, and what ends now is for the next Snakemake to see.
        self.stopping = True
        names = list(self.active)
        until = time.monotonic() + slurm.TIMEOUT_SECONDS
        left = {}
        for name in names:
            try:
                if time.monotonic() > until:
                    raise slurm.Unreachable("SLURM is too slow")
                slurm.scancel(name)
            except slurm.Unreachable as error:
                left[name] = error
        for name, error in left.items():
            self.logger.error(f"not cancelled: {name} ({error}); type scancel --me --name={name}")

    def shutdown(self) -> None:
        """End, and leave no folder of a bundle behind of which all is told."""
        super().shutdown()
        for submission in self.active.values():
            if submission.bundle.all_well:
                submission.bundle.remove(log=True)

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report what has ended, which needs no answer from SLURM; then submit what has gathered, and ask SLURM."""
        for step in (self.read_ends, self.look):
            if self.stopping:
                break
            step()
            self.report()
        for info in active_jobs:
            if not info.aux:
                yield info

    def report(self) -> None:
        """Tell Snakemake what is over."""
        over, self.over = self.over, []
        for info, error in over:
            info.aux = {"over": True}
            if error is None:
                self.report_job_success(info)
            else:
                self.report_job_error(info, msg=error)

    # ---- one look at everything

    def look(self) -> None:
        """Take jobs, submit, see what has ended, put what was interrupted into new bundles."""
        self.warned, self.warned_before = set(), self.warned
        came = len(self.came)  # what comes while SLURM is asked is for the next look
        queue = self.ask()
        if came and not (self.earlier and queue is None):  # otherwise nobody knows what runs
            self.take(came, queue)
        try:
            self.gather()
        except OSError as error:
            self.warn(f"jobs cannot be written to {self.folder} ({error.strerror}); trying again")
        for submission in list(self.active.values()):
            if self.stopping:
                return
            try:
                self.look_at(submission, queue)
            except OSError as error:
                self.warn(f"{submission.bundle.folder}: {error.strerror}; trying again")
        if queue:
            self.explain_waiting(queue)

    def read_ends(self) -> None:
        """Note the jobs that have ended, from the folders of their bundles alone."""
        for submission in list(self.active.values()):
            # The look that follows says what is wrong with the disk.
            with suppress(OSError):
                self.over += submission.ended()

    def ask(self) -> dict[str, slurm.QueuedJob] | None:
        """What SLURM says of the jobs, None while it says nothing."""
        if not self.active and not (self.came and self.earlier):
            return {}
        try:
            queue = slurm.queue()
        except slurm.Unreachable as error:
            if not self.silent:
                self.logger.warning(f"SLURM does not answer ({error}); jobs that run go on, asking again")
            self.silent = True
            return None
        if self.silent:
            self.logger.info("SLURM answers again")
        self.silent = False
        return queue

    def warn(self, line: str) -> None:
        """Say something once, not at each look at which it is still so."""
        if line not in self.warned_before | self.warned:
            self.logger.warning(line)
        self.warned.add(line)

    # ---- from jobs to bundles

    def take(self, came: int, queue: dict[str, slurm.QueuedJob] | None) -> None:
        """Take the jobs that have come; where an earlier Snakemake's job still works on one, wait for that."""
        try:
            self.earlier.stop_damaged(queue or {})
            for _ in range(came):
                task = self.task(self.came[0].job)
                found = self.earlier.take(task, queue or {})
                info = self.came.popleft()
                if found is None:
                    self.gathered.append((info, task))
                    continue
                bundle, number = found
                info.external_jobid = bundle.name
                new = Submission(bundle, submitted=time.monotonic())
                self.active.setdefault(bundle.name, new).members[number] = info
                self.logger.info(f"{task.name} is in {bundle.folder}, submitted by an earlier Snakemake")
        except (slurm.Unreachable, OSError) as error:
            self.warn(f"jobs are not taken yet ({error}); trying again")

    def task(self, job: Any) -> Task:
        """What a compute node has to know of a job."""
        for path in (*job.output, *job.log):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return bundles.Task(
            name=" ".join(part for part in (job.message or job.rule.name).split()),
            command=job.shellcmd,
            # A parameter 'record' says what the files are made from; without one the input files stand for it.
            identity=bundles.identity(
                job.params.items(), [] if job.params.get("record") else map(str, job.input)
            ),
            cost=float(job.resources.get("bundle_cost") or 0),
            benchmark=str(job.benchmark) if job.benchmark else None,
            checkpoint=job.params.get("checkpoint"),
            output=[str(path) for path in job.output],
        )

    def gather(self) -> None:
        """Make bundles of the cells that have come, as soon as no more come; of others at once."""
        quiet = time.monotonic() - self.last_came >= self.settings.gather_seconds
        alike: dict[str, list[tuple[SubmittedJobInfo, Task]]] = {}
        for info, task in self.gathered:
            if task.cost and not quiet:
                continue
            # What is bundled asks for the same resources; what is no cell stays alone.
            resources = {k: v for k, v in info.job.resources.items() if k not in ("bundle_cost", "tmpdir")}
            key = repr(sorted(resources.items())) if task.cost else str(id(task))
            alike.setdefault(key, []).append((info, task))
        bundled: set[int] = set()
        try:
            for members in alike.values():
                infos = {id(task): info for info, task in members}
                for tasks in self.divide(members):
                    self.new_bundle([(infos[id(task)], task) for task in tasks])
                    bundled.update(map(id, tasks))
        finally:
            # What could not be written stays.
            self.gathered = [(info, task) for info, task in self.gathered if id(task) not in bundled]

    def divide(self, members: Sequence[tuple[SubmittedJobInfo, Task]]) -> list[list[Task]]:
        """Full bundles, or smaller ones where nodes would have nothing to do otherwise."""
        idle = slurm.idle_nodes(members[0][0].job.resources.get("slurm_partition")) if len(members) > 1 else 0
        return bundles.divide([task for _, task in members], max(1, self.settings.cells), idle)

    def new_bundle(self, members: Sequence[tuple[SubmittedJobInfo, Task]]) -> str:
        """Write a bundle, to be submitted; its name."""
        job = members[0][0].job
        side_by_side = 1
        if members[0][1].cost:
            side_by_side = job.resources.get("cells_per_gpu", 1) * max(1, job.resources.get("gpu", 0))
        for _, task in members:
            task.before = bundles.mark(task.checkpoint)
        bundle = bundles.Bundle(
            bundles.new_folder(self.folder),
            [task for _, task in members],
            min(side_by_side, len(members)),
            self.settings.minutes,
            shell._process_prefix or "",
        )
        try:
            bundle.write()
        except OSError:
            # The next attempt has another name.
            with suppress(OSError):
                bundle.folder.rmdir()
            raise
        infos = {number: info for number, (info, _) in enumerate(members)}
        self.active[bundle.name] = Submission(bundle, infos)
        for info in infos.values():
            info.external_jobid = bundle.name
        return bundle.name

    # ---- one bundle

    def look_at(self, submission: Submission, queue: dict[str, slurm.QueuedJob] | None) -> None:
        """Submit a bundle, or see what has become of it."""
        job = (queue or {}).get(submission.name)
        if submission.submitted is None and job is not None:
            # A command that failed has reached SLURM all the same.
            submission.submitted = time.monotonic()
        if submission.submitted is None:
            if queue is not None and time.monotonic() >= self.next_attempt:
                self.submit(submission)
            return
        if job is not None:
            if job.could_not_start:
                self.start_elsewhere(submission, job.number)
            if line := submission.started_again(job):
                self.logger.info(line)
        wait = min(self.workflow.execution_settings.latency_wait, 3 * self.settings.poll_seconds)
        state = None if queue is None else submission.settled(queue, wait)
        self.over += submission.ended()
        if not submission.members:
            self.forget(submission, state)
        elif state is not None:
            self.interrupted(submission, state)

    def submit(self, submission: Submission) -> None:
        """Give a bundle to SLURM. What SLURM refuses is over; otherwise the next attempt is after a longer pause."""
        bundle, job = submission.bundle, next(iter(submission.members.values())).job
        run = f"exec python -m {__package__}.run_bundle {shlex.quote(str(bundle.folder))}"
        try:
            if submission.command is None:
                submission.command = self.command(submission, job)
            number = sbatch.submit(submission.command, f"#!/bin/bash\n{bundle.prefix}{run}\n", job.resources)
        except slurm.Unreachable as error:
            self.warn(f"{bundle.name} is not submitted yet ({error}); trying again")
            self.pause = min(LONGEST_PAUSE, max(1, 2 * self.pause, self.settings.poll_seconds))
            self.next_attempt = time.monotonic() + self.pause
            return
        except sbatch.Refused as error:
            reason = f"sbatch refused: {error}\n    {shlex.join(submission.command)}\n"
            for info in submission.members.values():
                # Another attempt would end in the same way.
                info.job.attempt = max(info.job.attempt, info.job.restart_times + 1)
            self.end_all(submission, reason)
            return
        finally:
            # Snakemake's thread may have cancelled it too early.
            if self.stopping:
                with suppress(slurm.Unreachable):
                    slurm.scancel(bundle.name)
        self.pause, submission.submitted = 0.0, time.monotonic()
        names = ", ".join(task.name for task in bundle.tasks)
        self.logger.info(f"SLURM job {number}: {names} (log: {bundle.log})")

    def command(self, submission: Submission, job: Any) -> list[str]:
        """The command that submits a bundle of jobs like this one."""
        bundle, resources = submission.bundle, dict(job.resources.items())
        if resources.get("mem_mb"):
            wanted = resources["mem_mb"] * bundle.side_by_side
            resources["mem_mb"] = slurm.at_most_a_node(wanted, resources.get("slurm_partition"))
            if resources["mem_mb"] < wanted:
                self.logger.info(
                    f"{wanted} MB are more than any node has; asking for {resources['mem_mb']} MB"
                )
        cpus = resources.get("cpus_per_task", job.threads)
        if cpus > 0 and bundle.side_by_side > max(1, resources.get("gpu", 0)):
            resources["cpus_per_task"] = cpus * bundle.side_by_side
        comment = f"{len(bundle.tasks)} x {job.rule.name}"
        return sbatch.command(bundle.name, bundle.log, comment, resources, job.threads)

    def interrupted(self, submission: Submission, state: str) -> None:
        """Put the jobs that a SLURM job left undone into a new one, as long as they make progress; others are over."""
        bundle, members = submission.bundle, submission.members
        # What was cancelled for another's sake is no failure.
        if bundle.name not in self.earlier.cancelled and not (
            state in slurm.INTERRUPTED and submission.made_progress
        ):
            self.end_all(
                submission, f"SLURM ended {bundle.name} ({state}; log: {bundle.log}). ", keep_log=True
            )
            return
        new = self.new_bundle([(info, bundle.tasks[number]) for number, info in members.items()])
        self.logger.info(
            f"SLURM ended {bundle.name} ({state}) with {len(members)} of {len(bundle.tasks)} cells to do; "
            f"they go on from their checkpoints as {new}"
        )
        self.drop(submission)

    def end_all(self, submission: Submission, reason: str, keep_log: bool = False) -> None:
        """Report all jobs of a bundle as failed."""
        self.over += [(info, reason) for info in submission.members.values()]
        self.drop(submission, keep_log=keep_log)

    def forget(self, submission: Submission, state: str | None) -> None:
        """Drop a bundle of which all is reported; a job that hangs in SLURM all the same is cancelled."""
        if state is None and not submission.at_work:
            if submission.idle_for() < 3 * self.settings.poll_seconds:
                return
            try:
                slurm.scancel(submission.name)
            except slurm.Unreachable:
                return
        # One that an earlier Snakemake submitted may hold more that is asked for later.
        if submission.at_work and state is None:
            del self.active[submission.name]
        else:
            self.drop(submission)

    def drop(self, submission: Submission, keep_log: bool = False) -> None:
        """Look no more at a bundle, and remove it if it has nothing more to tell."""
        bundle = submission.bundle
        del self.active[bundle.name]
        numbers = range(len(bundle.tasks))
        if not any(bundle.unreported(number) for number in numbers):
            failed = any(bundle.status(number) not in (None, 0) for number in numbers)
            bundle.remove(log=not (failed or keep_log))

    # ---- jobs that wait

    def start_elsewhere(self, submission: Submission, number: str) -> None:
        """Let a job go to another node that SLURM could not start on the one it had chosen."""
        name = submission.name
        try:
            excluded = slurm.start_elsewhere(number, submission.launch_failures + 1)
        except slurm.Unreachable as error:
            self.warn(
                f"SLURM could not start {name} (job {number}) on its node and holds it, and it is not released yet "
                f"({error}); trying again"
            )
            return
        submission.launch_failures += 1
        self.logger.warning(
            f"SLURM could not start {name} (job {number}) on its node; trying again"
            + (f" without {', '.join(excluded)}" if excluded else "")
        )

    def explain_waiting(self, queue: dict[str, slurm.QueuedJob]) -> None:
        """Say once of each job why it waits, if that may not end by itself or has lasted long."""
        held: dict[str, list[str]] = {}
        for name, submission in self.active.items():
            job = queue.get(name)
            if job is not None and submission.new_reason(job):
                held.setdefault(job.reason, []).append(f"{name} (job {job.number})")
        for reason, jobs in held.items():
            self.logger.warning(f"SLURM does not start {', '.join(jobs)}: {reason}")
