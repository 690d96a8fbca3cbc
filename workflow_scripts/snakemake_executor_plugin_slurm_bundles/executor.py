"""Snakemake's executor for SLURM that puts several cells into one job and survives what clusters do.

To Snakemake every cell stays a job of its own, with its own settings,
outputs and retries; only on the way to SLURM are jobs gathered into bundles (see ``rethinking.bundles``). What
became of them is read from the bundles' folders, and from SLURM only whether a job is still there. So nothing is
lost where SLURM does not answer, and a Snakemake that was killed finds its jobs again when it is started anew.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from snakemake.shell import shell
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

if TYPE_CHECKING:
    from rethinking.bundles import Bundle, Task

# A job in one of these states has ended; SLURM starts it again by itself from none of them.
ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
    "TIMEOUT",
}  # fmt: skip
# Ended for no fault of its tasks: they go on in another job as long as they come on.
INTERRUPTED = {"BOOT_FAIL", "DEADLINE", "NODE_FAIL", "PREEMPTED", "TIMEOUT", "FAILED", "COMPLETED", "gone"}


class Unreachable(Exception):
    """SLURM did not answer; nothing is known about its jobs."""


class Executor(RemoteExecutor):
    """Jobs of the workflow in SLURM jobs, several at a time."""

    def __post_init__(self) -> None:
        # Not before the workflow has said where its library lies.
        global bundles
        from rethinking import bundles

        settings = self.workflow.executor_settings
        self.settings = settings
        self.next_seconds_between_status_checks = settings.poll_seconds
        self.folder = Path(self.workflow.globals["RESULTS"]) / "slurm"
        self.guard = threading.Lock()
        # Jobs that are in no bundle yet, each with its task.
        self.gathered: list[tuple[SubmittedJobInfo, Task]] = []
        self.last_gathered = 0.0
        # Bundles that this process submitted or found; what SLURM is to know of each, and when it was submitted.
        self.calls: dict[str, str] = {}
        self.submitted: dict[str, float] = {}
        self.members: dict[str, dict[int, SubmittedJobInfo]] = {}
        self.bundles: dict[str, Bundle] = {}
        self.missing_since: dict[str, float] = {}
        self.earlier = bundles.find_bundles(self.folder)
        self.silent = False  # SLURM, at the last look
        self.cancelled: set[str] = set()
        self.launch_failures: dict[str, int] = {}

    # ---- from Snakemake

    def run_jobs(self, jobs: list[Any]) -> None:
        """Take jobs that are ready; where an earlier Snakemake's job still works on one, wait for that."""
        self.known: dict[str, str] | None = None  # what SLURM says, asked once for all of them
        for job in jobs:
            self.run_job(job)

    def run_job(self, job: Any) -> None:
        """Take one job."""
        self.run_job_pre(job)
        task, info = self.task(job), SubmittedJobInfo(job)
        with self.guard:
            if (found := self.find_earlier(task)) is not None:
                bundle, number = found
                info.external_jobid = bundle.name
                self.members.setdefault(bundle.name, {})[number] = info
                self.bundles[bundle.name] = bundle
                self.submitted.setdefault(bundle.name, time.time())
                self.logger.info(f"{task.name} is in {bundle.folder}, submitted by an earlier Snakemake")
            else:
                self.gathered.append((info, task))
                self.last_gathered = time.monotonic()
        self.report_job_submission(info)

    def task(self, job: Any) -> Task:
        """What a compute node has to know of a job."""
        for path in (*job.output, *job.log):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return bundles.Task(
            name=" ".join(part for part in (job.message or job.rule.name).split()),
            command=job.shellcmd,
            identity=bundles.identity(job.params.items(), map(str, job.input)),
            cost=float(job.resources.get("bundle_cost") or 0),
            benchmark=str(job.benchmark) if job.benchmark else None,
            checkpoint=job.params.get("checkpoint"),
            output=[str(path) for path in job.output],
        )

    def find_earlier(self, task: Task) -> tuple[Bundle, int] | None:
        """A task of an earlier Snakemake that makes or has made what this task asks for.

        One that makes the same files from other settings, code or data is stopped.
        """
        for bundle in self.earlier:
            for number, other in enumerate(bundle.tasks):
                if other.output != task.output or bundle.name in self.cancelled:
                    continue
                if (other.identity, other.command) == (task.identity, task.command):
                    if bundles.is_finished(other, bundle, number):
                        return bundle, number
                    if bundle.status(number) is None and self.is_queued(bundle):
                        return bundle, number
                elif bundle.status(number) is None and self.is_queued(bundle):
                    self.logger.info(f"{bundle.name} trains {task.name} with other settings; it is cancelled")
                    self.scancel([bundle.name])
                    self.cancelled.add(bundle.name)
        return None

    def is_queued(self, bundle: Bundle) -> bool:
        """Whether an earlier Snakemake's bundle waits or runs in SLURM; SLURM has to answer for that."""
        while self.known is None:
            try:
                self.known = self.states()
            except Unreachable as error:
                self.logger.warning(
                    f"SLURM does not answer ({error}); whether {bundle.name} runs is not known yet"
                )
                time.sleep(self.settings.poll_seconds)
        return self.known.get(bundle.name, "gone") not in {*ENDED, "gone"}

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel what is in SLURM's queue; cells write their checkpoints."""
        with self.guard:
            names = list(self.members)
        try:
            self.scancel(names)
        except Unreachable as error:
            self.logger.error(f"jobs {' '.join(names)} could not be cancelled: {error}")

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Submit what has gathered and report what has ended."""
        with self.guard:
            over = self.look()
        for info, error in over:
            if error is None:
                self.report_job_success(info)
            else:
                self.report_job_error(info, msg=error)
        ended = {id(info) for info, _ in over}
        for info in active_jobs:
            if id(info) not in ended:
                yield info

    # ---- one look at everything

    def look(self) -> list[tuple[SubmittedJobInfo, str | None]]:
        """Submit, see what has ended, put what was interrupted into new bundles.

        Returns the jobs that are over, each with what went wrong.
        """
        over: list[tuple[SubmittedJobInfo, str | None]] = []
        self.gather()
        try:
            states = self.states() if self.members else {}
            if self.silent:
                self.logger.info("SLURM answers again")
            self.silent = False
        except Unreachable as error:
            if not self.silent:
                self.silent = True
                self.logger.warning(
                    f"SLURM does not answer ({error}); jobs that run go on, asking again every "
                    f"{self.settings.poll_seconds} s"
                )
            states = None
        for name in list(self.members):
            bundle = self.bundles[name]
            if name in self.calls:
                # Not submitted yet, or perhaps: a command that failed may have reached SLURM all the same.
                if states is None:
                    continue
                if name not in states:
                    over += self.submit(bundle)
                    continue
                del self.calls[name]
            state = None if states is None else self.settled(name, states)
            over += self.ended(bundle)
            left = self.members[name]
            if not left:
                self.forget(bundle, state)
            elif state is not None:
                over += self.interrupted(bundle, state)
        return over

    def gather(self) -> None:
        """Make bundles of the cells that have come, as soon as no more come; of others at once."""
        quiet = time.monotonic() - self.last_gathered >= self.settings.gather_seconds
        ready = [(info, task) for info, task in self.gathered if quiet or not task.cost]
        self.gathered = [] if quiet else [(info, task) for info, task in self.gathered if task.cost]
        alike: dict[str, list[tuple[SubmittedJobInfo, Task]]] = {}
        for info, task in ready:
            # What is bundled asks for the same resources; what is no cell stays alone.
            resources = {k: v for k, v in info.job.resources.items() if k not in ("bundle_cost", "tmpdir")}
            key = repr(sorted(resources.items())) if task.cost else task.name
            alike.setdefault(key, []).append((info, task))
        for members in alike.values():
            infos = {id(task): info for info, task in members}
            for tasks in bundles.divide([task for _, task in members], max(1, self.settings.cells)):
                self.new_bundle([(infos[id(task)], task) for task in tasks])

    def new_bundle(self, members: list[tuple[SubmittedJobInfo, Task]]) -> Bundle:
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
        bundle.write()
        self.bundles[bundle.name] = bundle
        self.members[bundle.name] = {number: info for number, (info, _) in enumerate(members)}
        self.calls[bundle.name] = self.sbatch(bundle, job)
        for info, _ in members:
            info.external_jobid = bundle.name
        return bundle

    def sbatch(self, bundle: Bundle, job: Any) -> str:
        """The command that submits a bundle of jobs like this one."""
        resources = Resources(job.resources.items())
        if resources.get("mem_mb"):
            resources["mem_mb"] = self.at_most_a_node(
                resources["mem_mb"] * bundle.side_by_side, resources.get("slurm_partition")
            )
        cpus = resources.get("cpus_per_task", job.threads)
        if cpus > 0 and bundle.side_by_side > max(1, resources.get("gpu", 0)):
            resources["cpus_per_task"] = cpus * bundle.side_by_side
        like = SimpleNamespace(resources=resources, threads=job.threads)
        account, partition = resources.get("slurm_account"), resources.get("slurm_partition")
        call = get_submit_command(
            like,
            {
                "run_uuid": bundle.name,
                "slurm_logfile": bundle.log,
                "comment_str": f"{len(bundle.tasks)} x {job.rule.name}",
                "account": f"--account={account}" if account else "",
                "partition": f"--partition={partition}" if partition else "",
                "workdir": Path.cwd(),
            },
            SimpleNamespace(requeue=True, no_requeue=False, qos=None, reservation=None),
        )
        return f"{call} {set_gres_string(like)} --open-mode=append"

    def at_most_a_node(self, mem_mb: int, partition: str | None) -> int:
        """Memory to ask for: not more than any node has, which SLURM would refuse."""
        options = [f"--partition={partition}"] if partition else []
        try:
            nodes = [
                int(line.strip("+ ")) for line in run(["sinfo", "-h", "-o", "%m", *options]).splitlines()
            ]
        except (Unreachable, ValueError, subprocess.CalledProcessError):
            return mem_mb
        if nodes and mem_mb > max(nodes):
            self.logger.info(f"{mem_mb} MB are more than any node has; asking for {max(nodes)} MB")
        return min(mem_mb, max(nodes, default=mem_mb))

    def submit(self, bundle: Bundle) -> list[tuple[SubmittedJobInfo, str | None]]:
        """Give a bundle to SLURM; what SLURM refuses is over."""
        script = f"#!/bin/bash\n{bundle.prefix}exec python -m run_bundle '{bundle.folder}'\n"
        try:
            number = run(["bash", "-c", self.calls[bundle.name]], script).strip().split(";")[0]
        except Unreachable as error:
            self.logger.warning(f"{bundle.name} is not submitted yet: {error}")
            return []
        except subprocess.CalledProcessError as error:
            reason = f"sbatch refused: {error.stderr.strip()}\n    {self.calls.pop(bundle.name)}\n"
            return [(info, reason) for info in self.members.pop(bundle.name).values()]
        del self.calls[bundle.name]
        self.submitted[bundle.name] = time.time()
        names = ", ".join(task.name for task in bundle.tasks)
        self.logger.info(f"SLURM job {number}: {names} (log: {bundle.log})")
        return []

    def settled(self, name: str, states: dict[str, str]) -> str | None:
        """In which state a bundle's job has ended, None while it has not or may not have."""
        state = states.get(name, "gone")
        if state not in ENDED and state != "gone":
            self.missing_since.pop(name, None)
            return None
        # Its last files may still be on their way through the file system.
        since = self.missing_since.setdefault(name, time.monotonic())
        wait = min(self.workflow.execution_settings.latency_wait, 3 * self.settings.poll_seconds)
        return state if time.monotonic() - since >= wait else None

    def ended(self, bundle: Bundle) -> list[tuple[SubmittedJobInfo, str | None]]:
        """The jobs of a bundle that have ended by themselves since the last look."""
        over = []
        for number, info in list(self.members[bundle.name].items()):
            if (status := bundle.status(number)) is None:
                continue
            del self.members[bundle.name][number]
            bundle.reported(number)
            failed = f"It ended with status {status} in {bundle.name} (log: {bundle.log}). "
            over.append((info, None if status == 0 else failed))
        return over

    def interrupted(self, bundle: Bundle, state: str) -> list[tuple[SubmittedJobInfo, str | None]]:
        """Put the jobs that a SLURM job left undone into a new one, as long as they come on; others are over."""
        members = self.members.pop(bundle.name)
        began = self.submitted.get(bundle.name, 0.0)
        over: list[tuple[SubmittedJobInfo, str | None]] = []
        # Tasks behind one that ended or came on had no turn yet.
        if state in INTERRUPTED and (
            any(bundle.status(number) is not None for number in range(len(bundle.tasks)))
            or any(bundles.came_on(bundle.tasks[number], began) for number in members)
        ):
            again = [(info, bundle.tasks[number]) for number, info in members.items()]
            new = self.new_bundle(again)
            self.logger.info(
                f"SLURM ended {bundle.name} ({state}) with {len(again)} of {len(bundle.tasks)} cells to do; they "
                f"go on from their checkpoints as {new.name}"
            )
        else:
            failed = f"SLURM ended {bundle.name} ({state}; log: {bundle.log}). "
            over = [(info, failed) for info in members.values()]
        self.remove(bundle)
        return over

    def forget(self, bundle: Bundle, state: str | None) -> None:
        """Drop a bundle of which all is reported; a job that hangs in SLURM all the same is cancelled."""
        at_work = any(bundle.status(number) is None for number in range(len(bundle.tasks)))
        if state is None and not at_work:
            since = self.missing_since.setdefault(f"done {bundle.name}", time.monotonic())
            if time.monotonic() - since < 3 * self.settings.poll_seconds:
                return
            try:
                self.scancel([bundle.name])
            except Unreachable:
                return
        del self.members[bundle.name]
        # One that an earlier Snakemake submitted may hold more that is asked for later.
        if not at_work or state is not None:
            self.remove(bundle)

    def remove(self, bundle: Bundle) -> None:
        """Remove a bundle that has nothing more to tell."""
        if not any(bundle.unreported(number) for number in range(len(bundle.tasks))):
            bundle.remove()

    # ---- SLURM's commands

    def states(self) -> dict[str, str]:
        """The state of each of this user's jobs that SLURM knows, by name."""
        lines = run(["squeue", "--me", "--states=all", "--noheader", "--format=%j|%T|%A|%r"]).splitlines()
        known = {}
        for line in lines:
            name, state, number, reason = line.strip().split("|", 3)
            known[name] = state
            if "launch failed requeued held" in reason.lower() and name in self.members:
                self.start_elsewhere(name, number)
        return known

    def start_elsewhere(self, name: str, number: str) -> None:
        """Let a job go on waiting that SLURM could not start on its node (a full disk, say) and holds since.

        SLURM does not say which node that was, and would take the same one again. It takes the first that is free, so
        with each failure one more of these is excluded.
        """
        self.launch_failures[name] = self.launch_failures.get(name, 0) + 1
        free = run(["sinfo", "--noheader", "--Node", "--states=idle,mixed", "--format=%N"]).split()
        excluded = list(dict.fromkeys(free))[: self.launch_failures[name]]
        if len(excluded) == len(set(free)):
            excluded = []  # none would be left
        self.logger.warning(
            f"SLURM could not start {name} (job {number}) on its node; trying again"
            + (f" without {', '.join(excluded)}" if excluded else "")
        )
        run(["scontrol", "update", f"JobId={number}", f"ExcNodeList={','.join(excluded)}"])
        run(["scontrol", "release", number])

    def scancel(self, names: Iterable[str]) -> None:
        """Cancel jobs by their names."""
        for name in names:
            try:
                run(["scancel", "--me", f"--name={name}"])
            except subprocess.CalledProcessError as error:
                raise Unreachable(error.stderr.strip()) from error


class Resources(dict):
    """A job's resources, to be had by key and as attributes."""

    __getattr__ = dict.__getitem__


def run(command: list[str], stdin: str | None = None) -> str:
    """The output of one of SLURM's commands.

    Raises:
        Unreachable: the controller did not answer.
        CalledProcessError: it refused.
    """
    try:
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{command[0]} took more than {error.timeout:.0f} s") from error
    except subprocess.CalledProcessError as error:
        temporary = (
            "unable to contact",
            "timed out",
            "connection",
            "zero bytes",
            "communication",
            "temporarily",
        )
        if command[0] in ("squeue", "scontrol") or any(word in error.stderr.lower() for word in temporary):
            raise Unreachable(error.stderr.strip()) from error
        raise
