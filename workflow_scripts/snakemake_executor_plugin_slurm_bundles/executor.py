"""Snakemake's executor for SLURM that puts several cells into one job and survives what clusters do.

To Snakemake every cell stays a job of its own, with its own settings, outputs and retries; only on the way to SLURM
are jobs gathered into bundles (see ``bundles``). What became of them is read from the bundles' folders, and from SLURM
only whether a job is still there. So nothing is lost where SLURM does not answer, and a Snakemake that was killed finds
its jobs again when it is started again.
"""

import shlex
import shutil
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

from . import sbatch, slurm
from .bundles import Bundle, check_room
from .earlier import Earlier
from .gathering import Gathering, check_job, submit_command, task_of
from .settings import ExecutorSettings, common_settings
from .submission import Submission, explain_waiting

__all__ = ["Executor", "ExecutorSettings", "common_settings"]
LONGEST_PAUSE = 300  # seconds between two attempts to submit


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
        self.arrived: deque[SubmittedJobInfo] = deque()  # from Snakemake
        self.gathering = Gathering(
            self.folder, self.settings.cells, self.settings.gather_seconds, self.settings.minutes
        )
        # Bundles that this process submitted or found, by name.
        self.active: dict[str, Submission] = {}
        # Jobs that are over, each with what went wrong.
        self.over: list[tuple[SubmittedJobInfo, str | None]] = []
        self.earlier = Earlier(self.folder, self.logger.warning)
        self.pause, self.next_attempt = 0.0, 0.0  # while sbatch fails
        self.warned: set[str] = set()  # at this look
        self.warned_before: set[str] = set()  # at the one before
        self.stopping = False

    # ---- from Snakemake

    def run_job(self, job: Any) -> None:
        """Take one job.

        Raises:
            WorkflowError: it is more than a command for the shell.
        """
        check_job(job, self.workflow.deployment_settings.deployment_method)
        info = SubmittedJobInfo(job)
        # Before it can be over.
        self.report_job_submission(info)
        self.gathering.last = time.monotonic()
        self.arrived.append(info)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel what is in SLURM's queue; cells write their checkpoints."""
        # Bundles without a job get none.
        self.stopping = True
        submitted = [each for each in list(self.active.values()) if each.number or each.command]
        try:
            slurm.scancel(
                [each.number for each in submitted if each.number],
                # sbatch may have failed and reached SLURM all the same.
                [each.name for each in submitted if not each.number],
            )
        except slurm.Unreachable as error:
            names = " ".join(f"{each.name} (job {each.number or 'unknown'})" for each in submitted)
            self.logger.error(f"not all jobs are cancelled ({error}): {names}")

    def shutdown(self) -> None:
        """End, and remove the folders of bundles whose tasks have all ended."""
        super().shutdown()
        with suppress(slurm.Unreachable, OSError):
            for submission in list(self.active.values()):
                if not submission.at_work:
                    self.drop(submission)
            if self.earlier.bundles:
                self.earlier.remove_ended(slurm.queue())

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Look at everything, and report what has ended."""
        if not self.stopping:
            self.look()
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
        arrived = len(self.arrived)  # what comes while SLURM is asked is for the next look
        queue = self.ask()
        if arrived and not (self.earlier.bundles and queue is None):  # otherwise nobody knows what runs
            self.take(arrived, queue)
        try:
            for bundle, infos in self.gathering.bundles():
                self.add(bundle, infos)
        except OSError as error:
            self.warn(f"jobs cannot be written to {self.folder} ({error.strerror}); trying again")
        if self.active:
            try:
                check_room(self.folder)
            except OSError as error:
                self.warn(
                    f"{self.folder} cannot be written ({error.strerror}); jobs wait to note there which cells have ended: "
                    "free some space"
                )
        for submission in list(self.active.values()):
            if self.stopping:
                return
            try:
                self.look_at(submission, queue)
            except OSError as error:
                self.warn(f"{submission.bundle.folder}: {error.strerror}; trying again")
            except slurm.Unreachable as error:
                self.warn(f"SLURM does not say whether it still has {submission.name} ({error}); asking again")
        for line in explain_waiting(self.active, queue or {}):
            self.logger.warning(line)

    def ask(self) -> dict[str, slurm.QueuedJob] | None:
        """What SLURM says of the jobs, None while it says nothing."""
        if not self.active and not (self.arrived and self.earlier.bundles):
            return {}
        try:
            return slurm.queue()
        except slurm.Unreachable as error:
            self.warn(f"SLURM does not answer ({error}); jobs that run go on, asking again")
            return None

    def warn(self, line: str) -> None:
        """Say something once, not at each look at which it is still so."""
        if line not in self.warned_before | self.warned:
            self.logger.warning(line)
        self.warned.add(line)

    # ---- from jobs to bundles

    def take(self, arrived: int, queue: dict[str, slurm.QueuedJob] | None) -> None:
        """Take the jobs that have come; where an earlier Snakemake's job still works on one, wait for that."""
        try:
            self.earlier.stop_damaged(queue or {})
            for _ in range(arrived):
                info = self.arrived[0]
                task = task_of(info.job)
                found = self.earlier.take(task, queue or {})
                if found is None:
                    task.made = self.earlier.has_made(task)
                    self.gathering.add(info, task)
                else:
                    bundle, number = found
                    info.external_jobid = bundle.name
                    new = Submission(bundle, submitted=time.monotonic())
                    self.active.setdefault(bundle.name, new).members[number] = info
                    self.logger.info(f"{task.name} is in {bundle.folder}, submitted by an earlier Snakemake")
                self.arrived.popleft()  # once nothing can fail any more
        except (slurm.Unreachable, OSError) as error:
            self.warn(f"jobs are not taken yet ({error}); trying again")

    def add(self, bundle: Bundle, infos: Sequence[SubmittedJobInfo]) -> None:
        """Look after a bundle from now on."""
        self.active[bundle.name] = Submission(bundle, dict(enumerate(infos)))
        for info in infos:
            info.external_jobid = bundle.name

    # ---- one bundle

    def look_at(self, submission: Submission, queue: dict[str, slurm.QueuedJob] | None) -> None:
        """Submit a bundle, or see what has become of it."""
        self.over += submission.take_ended()  # whatever SLURM says
        job = (queue or {}).get(submission.name)
        if job is None and submission.submitted is None and submission.members:
            if queue is not None and time.monotonic() >= self.next_attempt:
                self.submit(submission)
            return
        if job is not None:
            submission.number = job.number
            if submission.submitted is None:  # a command that failed has reached SLURM all the same
                submission.submitted = time.monotonic()
            if job.could_not_start and submission.members:
                self.start_elsewhere(submission, job.number)
            if line := submission.started_again(job):
                self.logger.info(line)
        wait = min(self.workflow.execution_settings.latency_wait, 3 * self.settings.poll_seconds)
        state = None if queue is None else submission.settled(queue, wait)
        if not submission.members:
            self.forget(submission, state)
        elif state is not None and not (state == slurm.GONE and slurm.hidden(submission.number, submission.name)):
            self.interrupted(submission, state)

    def submit(self, submission: Submission) -> None:
        """Give a bundle to SLURM. What SLURM refuses is over; otherwise the next attempt is after a longer pause."""
        bundle, job = submission.bundle, next(iter(submission.members.values())).job
        # The Python of Snakemake, which has this package, whether or not its environment is activated.
        run = shlex.join([sys.executable, "-m", f"{__package__}.run_bundle", str(bundle.folder)])
        try:
            if submission.command is None:
                submission.command = submit_command(bundle, job, self.logger.info)
            submission.number = sbatch.submit(
                submission.command, f"#!/bin/bash\n{bundle.prefix}exec {run}\n", job.resources
            )
        except slurm.Unreachable as error:
            self.warn(f"{bundle.name} is not submitted yet ({error}); trying again")
            self.pause = min(LONGEST_PAUSE, max(1, 2 * self.pause, self.settings.poll_seconds))
            self.next_attempt = time.monotonic() + self.pause
            return
        except sbatch.Refused as error:
            for info in submission.members.values():
                # Another attempt would end in the same way.
                info.job.attempt = max(info.job.attempt, info.job.restart_times + 1)
            self.end_all(submission, f"{error}\n")
            return
        finally:
            # Snakemake's thread may have cancelled it too early.
            if self.stopping:
                with suppress(slurm.Unreachable):
                    slurm.scancel(names=[bundle.name])
        self.pause, submission.submitted = 0.0, time.monotonic()
        names = ", ".join(task.name for task in bundle.tasks)
        self.logger.info(f"SLURM job {submission.number}: {names} (log: {bundle.log})")

    def interrupted(self, submission: Submission, state: str) -> None:
        """Put the jobs that a SLURM job left undone into a new one, as long as they make progress; others are over."""
        bundle, members = submission.bundle, submission.members
        # A job that was cancelled because one of its cells is now asked for with other settings has not failed, nor has
        # one that the user was cancelling (Ctrl-C) when it was found.
        found_cancelled = submission.command is None and state == "CANCELLED"
        cancelled = found_cancelled or bundle.name in self.earlier.cancelled
        # The task that took too much memory may be the one that has ended; others had no turn yet.
        no_fault = state in slurm.INTERRUPTED or (state == "OUT_OF_MEMORY" and bundle.ended())
        if not cancelled and not (no_fault and submission.made_progress):
            self.end_all(submission, f"SLURM ended {bundle.name} ({state}; log: {bundle.log}). ", keep_log=True)
            return
        left = [(info, bundle.tasks[number]) for number, info in members.items()]
        new = self.gathering.write(left)
        self.add(new, [info for info, _ in left])
        self.logger.info(
            f"SLURM ended {bundle.name} ({state}) with {len(members)} of {len(bundle.tasks)} cells to do; "
            f"they go on from their checkpoints as {new.name}"
        )
        self.drop(submission)

    def end_all(self, submission: Submission, reason: str, keep_log: bool = False) -> None:
        """Report all jobs of a bundle as failed."""
        self.over += [(info, reason) for info in submission.members.values()]
        self.drop(submission, keep_log=keep_log)

    def forget(self, submission: Submission, state: str | None) -> None:
        """Drop a bundle of which all is reported; a job that hangs in SLURM all the same is cancelled."""
        if state is None and submission.at_work:
            # An earlier Snakemake submitted it, and it may hold more that is asked for later.
            del self.active[submission.name]
            return
        if state is None:
            if submission.idle_for() < 3 * self.settings.poll_seconds:
                return
            try:
                slurm.scancel(names=[submission.name])
            except slurm.Unreachable:
                return
        self.drop(submission)

    def drop(self, submission: Submission, keep_log: bool = False) -> None:
        """Look no more at a bundle, and remove it."""
        del self.active[submission.name]
        submission.bundle.remove(keep_log)

    # ---- jobs that wait

    def start_elsewhere(self, submission: Submission, number: str) -> None:
        """Let a job go to another node that SLURM could not start on the one it had chosen."""
        name, resources = submission.name, next(iter(submission.members.values())).job.resources
        try:
            if submission.excluded is None:
                submission.excluded = slurm.excluded_nodes(number)
            suspects = slurm.start_elsewhere(
                number, sbatch.partition(resources), submission.excluded, submission.launch_failures + 1
            )
        except slurm.Unreachable as error:
            self.warn(
                f"SLURM could not start {name} (job {number}) on its node and holds it, and it is not released yet "
                f"({error}); trying again"
            )
            return
        submission.launch_failures += 1
        self.logger.warning(
            f"SLURM could not start {name} (job {number}) on its node; trying again"
            + (f" without {', '.join(suspects)}" if suspects else "")
        )
