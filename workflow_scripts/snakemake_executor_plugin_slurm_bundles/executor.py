"""Snakemake's executor for SLURM that puts several cells into one job and survives what clusters do.

To Snakemake every cell stays a job of its own, with its own settings,
outputs and retries; only on the way to SLURM are jobs gathered into bundles (see ``bundles``). What
became of them is read from the bundles' folders, and from SLURM only whether a job is still there. So nothing is
lost where SLURM does not answer, and a Snakemake that was killed finds its jobs again when it is started again.
"""

import shlex
import shutil
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from snakemake.shell import shell
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

from . import bundles, slurm
from .bundles import Bundle, Task

DAY = 24 * 3600

T = TypeVar("T")


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


@dataclass
class Submission:
    """A bundle that jobs of this Snakemake are in."""

    bundle: Bundle
    members: dict[int, SubmittedJobInfo] = field(default_factory=dict)  # by number of the task; not over yet
    command: str = ""  # that submits it
    submitted: float | None = None  # when; None while SLURM has no job of it, as far as is known
    ended_since: float | None = None  # when SLURM's job was first seen to be over
    idle_since: float | None = None  # when all tasks were first seen to be over, and SLURM's job not
    launch_failures: int = 0
    explained: set[str] = field(default_factory=set)  # reasons to wait that the user has read


class Executor(RemoteExecutor):
    """Jobs of the workflow in SLURM jobs, several at a time."""

    def __post_init__(self) -> None:
        if shutil.which("sbatch") is None:
            raise WorkflowError("There is no sbatch here; start Snakemake where SLURM's commands are.")
        settings = self.workflow.executor_settings
        self.settings = settings
        self.next_seconds_between_status_checks = settings.poll_seconds
        self.folder = Path(self.workflow.globals.get("RESULTS", ".snakemake")) / "slurm"
        self.guard = threading.Lock()
        # Jobs that are in no bundle yet, each with its task.
        self.gathered: list[tuple[SubmittedJobInfo, Task]] = []
        self.last_gathered = 0.0
        # Bundles that this process submitted or found, by name.
        self.active: dict[str, Submission] = {}
        # Jobs that are over, each with what went wrong.
        self.over: list[tuple[SubmittedJobInfo, str | None]] = []
        self.earlier, self.damaged = bundles.find_bundles(self.folder)
        self.cancelled: set[str] = set()
        self.silent = False  # SLURM, at the last look
        self.warned: set[str] = set()  # at this look
        self.warned_before: set[str] = set()  # at the one before
        self.stopping = False
        self.again = f"trying again every {settings.poll_seconds} s"  # for messages

    # ---- from Snakemake

    def run_jobs(self, jobs: list[Any]) -> None:
        """Take jobs that are ready; where an earlier Snakemake's job still works on one, wait for that."""
        self.known: dict[str, slurm.QueuedJob] | None = None  # what SLURM says, asked once for all of them
        self.stop_damaged()
        for job in jobs:
            self.run_job(job)

    def run_job(self, job: Any) -> None:
        """Take one job."""
        self.run_job_pre(job)
        info = SubmittedJobInfo(job)
        task = self.insist(lambda: self.task(job), f"{job} cannot be submitted yet")
        with self.guard:
            found = self.insist(
                lambda: self.find_earlier(task), f"whether {task.name} runs already is not known yet"
            )
            if found is not None:
                bundle, number = found
                info.external_jobid = bundle.name
                new = Submission(bundle, submitted=time.time())
                self.active.setdefault(bundle.name, new).members[number] = info
                self.logger.info(f"{task.name} is in {bundle.folder}, submitted by an earlier Snakemake")
            else:
                self.gathered.append((info, task))
                self.last_gathered = time.monotonic()
            # Before it can be over.
            self.report_job_submission(info)

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

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel what is in SLURM's queue; cells write their checkpoints."""
        with self.guard:
            # What has no job yet gets none, and what ends now is for the next Snakemake to see.
            self.stopping = True
            names = list(self.active)
        for number, name in enumerate(names):
            try:
                slurm.scancel(name)
            except slurm.Refused as error:
                self.logger.error(f"{name} could not be cancelled: {error}")
            except slurm.Unreachable as error:
                self.logger.error(
                    f"SLURM does not answer ({error}); not cancelled: {' '.join(names[number:])}"
                )
                return

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Submit what has gathered and report what has ended."""
        with self.guard:
            if not self.stopping:
                self.look()
            over, self.over = self.over, []
        for info, error in over:
            if error is None:
                self.report_job_success(info)
            else:
                self.report_job_error(info, msg=error)
        ended = {id(info) for info, _ in over}
        for info in active_jobs:
            if id(info) not in ended:
                yield info

    # ---- what an earlier Snakemake left

    def find_earlier(self, task: Task) -> tuple[Bundle, int] | None:
        """A task of an earlier Snakemake that makes or has made what this task asks for.

        One that makes the same files from other settings, code or data is stopped.

        Raises:
            Unreachable: SLURM does not say what runs.
            Refused: it does not cancel what must not run.
        """
        for bundle in self.earlier:
            for number, other in enumerate(bundle.tasks):
                if other.output != task.output or bundle.name in self.cancelled:
                    continue
                if (other.identity, other.command) == (task.identity, task.command):
                    if bundles.is_finished(other, bundle, number):
                        return bundle, number
                    if bundle.status(number) is None and self.is_queued(bundle.name):
                        return bundle, number
                elif bundle.status(number) is None and self.is_queued(bundle.name):
                    self.cancel_earlier(bundle.name, f"{bundle.name} trains {task.name} with other settings")
        return None

    def stop_damaged(self) -> None:
        """Cancel jobs of bundles that cannot be read, so that what they train is not trained twice at a time.

        The cells write their checkpoints, and are submitted again where they are asked for.
        """

        def stop() -> None:
            for name in self.damaged:
                if name not in self.cancelled and self.is_queued(name):
                    self.cancel_earlier(name, f"nothing says what {name} does")

        for why in self.damaged.values():
            self.logger.warning(why)
        self.insist(stop, f"whether {' '.join(self.damaged)} still run is not known yet")
        self.damaged = {}

    def is_queued(self, name: str) -> bool:
        """Whether an earlier Snakemake's job waits or runs in SLURM."""
        if self.known is None:
            self.known = slurm.queue()
        return name in self.known and not self.known[name].over

    def cancel_earlier(self, name: str, why: str) -> None:
        """Cancel an earlier Snakemake's job."""
        try:
            slurm.scancel(name)
        except (slurm.Unreachable, slurm.Refused):
            self.known = None  # it may have ended meanwhile
            raise
        self.logger.info(f"{why}; it is cancelled")
        self.cancelled.add(name)

    def insist(self, ask: Callable[[], T], unknown: str) -> T:
        """An answer that is needed to go on, after waiting for SLURM or the disk as long as it takes."""
        said = ""
        while True:
            try:
                return ask()
            except (slurm.Unreachable, slurm.Refused, OSError) as error:
                if str(error) != said:
                    said = str(error)
                    self.logger.warning(f"{unknown} ({error}); {self.again}")
                time.sleep(self.settings.poll_seconds)

    # ---- one look at everything

    def look(self) -> None:
        """Submit, see what has ended, put what was interrupted into new bundles."""
        self.warned, self.warned_before = set(), self.warned
        try:
            self.gather()
        except OSError as error:
            self.warn(f"jobs cannot be written to {self.folder} ({error.strerror}); {self.again}")
        queue = self.ask()
        open_for_more = queue is not None
        for submission in list(self.active.values()):
            job = (queue or {}).get(submission.bundle.name)
            if submission.submitted is None and job is not None:
                # A command that failed has reached SLURM all the same.
                submission.submitted = time.time()
            try:
                if submission.submitted is None:
                    open_for_more = open_for_more and self.submit(submission)
                    continue
                if job is not None and job.could_not_start:
                    self.start_elsewhere(submission, job.number)
                self.look_at(submission, queue)
            except OSError as error:
                self.warn(f"{submission.bundle.folder}: {error.strerror}; {self.again}")
        if queue is not None:
            self.explain_waiting(queue)

    def ask(self) -> dict[str, slurm.QueuedJob] | None:
        """What SLURM says of the jobs, None while it says nothing."""
        if not self.active:
            return {}
        try:
            queue = slurm.queue()
        except slurm.Unreachable as error:
            if not self.silent:
                self.logger.warning(f"SLURM does not answer ({error}); jobs that run go on, {self.again}")
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

    def gather(self) -> None:
        """Make bundles of the cells that have come, as soon as no more come; of others at once."""
        quiet = time.monotonic() - self.last_gathered >= self.settings.gather_seconds
        alike: dict[str, list[tuple[SubmittedJobInfo, Task]]] = {}
        for info, task in self.gathered:
            if task.cost and not quiet:
                continue
            # What is bundled asks for the same resources; what is no cell stays alone.
            resources = {k: v for k, v in info.job.resources.items() if k not in ("bundle_cost", "tmpdir")}
            key = repr(sorted(resources.items())) if task.cost else task.name
            alike.setdefault(key, []).append((info, task))
        bundled: set[int] = set()
        try:
            for members in alike.values():
                infos = {id(task): info for info, task in members}
                for tasks in bundles.divide([task for _, task in members], max(1, self.settings.cells)):
                    self.new_bundle([(infos[id(task)], task) for task in tasks])
                    bundled.update(map(id, tasks))
        finally:
            # What could not be written stays.
            self.gathered = [(info, task) for info, task in self.gathered if id(task) not in bundled]

    def new_bundle(self, members: Sequence[tuple[SubmittedJobInfo, Task]]) -> Bundle:
        """Write a bundle, to be submitted."""
        job = members[0][0].job
        side_by_side = 1
        if members[0][1].cost:
            side_by_side = job.resources.get("cells_per_gpu", 1) * max(1, job.resources.get("gpu", 0))
        side_by_side = min(side_by_side, len(members))
        bundle = bundles.Bundle(
            bundles.new_folder(self.folder),
            [task for _, task in members],
            side_by_side,
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
        self.active[bundle.name] = Submission(
            bundle, {number: info for number, (info, _) in enumerate(members)}
        )
        for info, _ in members:
            info.external_jobid = bundle.name
        return bundle

    def submit(self, submission: Submission) -> bool:
        """Give a bundle to SLURM; what SLURM refuses is over.

        Returns:
            Whether SLURM takes jobs.
        """
        bundle = submission.bundle
        run = f"exec python -m {__package__}.run_bundle {shlex.quote(str(bundle.folder))}"
        script = f"#!/bin/bash\n{bundle.prefix}{run}\n"
        try:
            if not submission.command:
                submission.command = self.sbatch(bundle, next(iter(submission.members.values())).job)
            number = slurm.submit(submission.command, script)
        except slurm.Unreachable as error:
            self.warn(f"{bundle.name} is not submitted yet ({error}); {self.again}")
            return False
        except (slurm.Refused, WorkflowError) as error:
            reason = f"sbatch refused: {error}\n    {submission.command}\n"
            self.over += [(info, reason) for info in submission.members.values()]
            self.drop(submission)
            return True
        submission.submitted = time.time()
        names = ", ".join(task.name for task in bundle.tasks)
        self.logger.info(f"SLURM job {number}: {names} (log: {bundle.log})")
        return True

    def sbatch(self, bundle: Bundle, job: Any) -> str:
        """The command that submits a bundle of jobs like this one."""
        resources = dict(job.resources.items())
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
        return slurm.sbatch_command(bundle.name, bundle.log, comment, resources, job.threads)

    def look_at(self, submission: Submission, queue: dict[str, slurm.QueuedJob] | None) -> None:
        """See what has become of a bundle that was submitted."""
        state = None if queue is None else self.settled(submission, queue)
        self.ended(submission)
        if not submission.members:
            self.forget(submission, state)
        elif state is not None:
            self.interrupted(submission, state)

    def settled(self, submission: Submission, queue: dict[str, slurm.QueuedJob]) -> str | None:
        """In which state a bundle's job has ended, None while it has not or may not have."""
        job = queue.get(submission.bundle.name)
        if job is not None and not job.over:
            submission.ended_since = None
            return None
        # Its last files may still be on their way through the file system.
        if submission.ended_since is None:
            submission.ended_since = time.monotonic()
        wait = min(self.workflow.execution_settings.latency_wait, 3 * self.settings.poll_seconds)
        if time.monotonic() - submission.ended_since < wait:
            return None
        return slurm.GONE if job is None else job.state

    def ended(self, submission: Submission) -> None:
        """Note the jobs of a bundle that have ended by themselves since the last look."""
        bundle = submission.bundle
        for number in list(submission.members):
            if (status := bundle.status(number)) is None:
                continue
            bundle.reported(number)
            failed = f"It ended with status {status} in {bundle.name} (log: {bundle.log}). "
            self.over.append((submission.members.pop(number), None if status == 0 else failed))

    def interrupted(self, submission: Submission, state: str) -> None:
        """Put the jobs that a SLURM job left undone into a new one, as long as they make progress; others are over."""
        bundle, members = submission.bundle, submission.members
        began = submission.submitted or 0.0
        # Tasks behind one that ended or made progress had no turn yet; what was cancelled for another's sake is no failure.
        if bundle.name in self.cancelled or (
            state in slurm.INTERRUPTED
            and (
                any(bundle.status(number) is not None for number in range(len(bundle.tasks)))
                or any(bundles.made_progress(bundle.tasks[number], began) for number in members)
            )
        ):
            new = self.new_bundle([(info, bundle.tasks[number]) for number, info in members.items()])
            self.logger.info(
                f"SLURM ended {bundle.name} ({state}) with {len(members)} of {len(bundle.tasks)} cells to do; "
                f"they go on from their checkpoints as {new.name}"
            )
        else:
            failed = f"SLURM ended {bundle.name} ({state}; log: {bundle.log}). "
            self.over += [(info, failed) for info in members.values()]
        self.drop(submission)

    def forget(self, submission: Submission, state: str | None) -> None:
        """Drop a bundle of which all is reported; a job that hangs in SLURM all the same is cancelled."""
        bundle = submission.bundle
        at_work = any(bundle.status(number) is None for number in range(len(bundle.tasks)))
        if state is None and not at_work:
            if submission.idle_since is None:
                submission.idle_since = time.monotonic()
            if time.monotonic() - submission.idle_since < 3 * self.settings.poll_seconds:
                return
            try:
                slurm.scancel(bundle.name)
            except (slurm.Unreachable, slurm.Refused):
                return
        # One that an earlier Snakemake submitted may hold more that is asked for later.
        self.drop(submission, remove=not at_work or state is not None)

    def drop(self, submission: Submission, remove: bool = True) -> None:
        """Look no more at a bundle, and remove it if it has nothing more to tell."""
        bundle = submission.bundle
        del self.active[bundle.name]
        if remove and not any(bundle.unreported(number) for number in range(len(bundle.tasks))):
            bundle.remove()

    # ---- jobs that wait

    def start_elsewhere(self, submission: Submission, number: str) -> None:
        """Let a job go to another node that SLURM could not start on the one it had chosen."""
        name = submission.bundle.name
        try:
            excluded = slurm.start_elsewhere(number, submission.launch_failures + 1)
        except (slurm.Unreachable, slurm.Refused) as error:
            self.warn(
                f"SLURM could not start {name} (job {number}) on its node and holds it, and it is not released yet "
                f"({error}); {self.again}"
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
            if job is None or not job.waits or job.could_not_start:
                continue
            kind = job.reason.split(",")[0]  # names of nodes may follow, and change
            long = submission.submitted is not None and time.time() - submission.submitted > DAY
            if kind not in submission.explained and (kind not in slurm.ORDINARY or long):
                submission.explained.add(kind)
                held.setdefault(job.reason, []).append(f"{name} (job {job.number})")
        for reason, jobs in held.items():
            self.logger.warning(f"SLURM does not start {', '.join(jobs)}: {reason}")
