"""A bundle that jobs of this Snakemake are in: what its folder and SLURM's queue say of it."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from . import slurm
from .bundles import Bundle, how_it_ended

DAY = 24 * 3600


@dataclass
class Submission:
    """A bundle with those of its jobs that are not over yet."""

    bundle: Bundle
    members: dict[int, SubmittedJobInfo] = field(default_factory=dict)  # by number of the task
    command: list[str] | None = None  # that submits it
    number: str = ""  # of SLURM's job, once it is known
    # Times by this process's clock.
    submitted: float | None = None  # None while SLURM has no job of it, as far as is known
    ended_since: float | None = None  # when SLURM's job was first seen to be over
    idle_since: float | None = None  # when all tasks were first seen to be over, but SLURM's job was not
    runs: tuple[str, str] | None = None  # node and start of SLURM's job when it was last seen to run
    launch_failures: int = 0
    excluded: list[str] | None = None  # the nodes that the user excludes, once a launch has failed
    explained: set[str] = field(default_factory=set)  # reasons to wait that the user has read

    @property
    def name(self) -> str:
        """The name of the bundle and of its job."""
        return self.bundle.name

    def take_ended(self) -> Iterator[tuple[SubmittedJobInfo, str | None]]:
        """Take out the jobs that have ended by themselves since the last look, each with what went wrong."""
        for number, status in self.bundle.ended(self.members).items():
            failed = f"It {how_it_ended(status)} in {self.name} (log: {self.bundle.log}). "
            yield self.members.pop(number), None if status == 0 else failed

    def settled(self, queue: Mapping[str, slurm.QueuedJob], wait: float) -> str | None:
        """In which state the bundle's job has ended, None while it has not or may not have.

        Args:
            queue: what SLURM says.
            wait: seconds in which its last files may still be on their way through the file system.
        """
        job = queue.get(self.name)
        if job is not None and not job.over:
            self.ended_since = None
            return None
        if self.ended_since is None:
            self.ended_since = time.monotonic()
        if time.monotonic() - self.ended_since < wait:
            return None
        return slurm.GONE if job is None else job.state

    @property
    def at_work(self) -> bool:
        """Whether tasks have not ended."""
        return len(self.bundle.ended()) < len(self.bundle.tasks)

    @property
    def made_progress(self) -> bool:
        """Whether a task has ended (those behind it had no turn yet) or has got on."""
        return bool(self.bundle.ended()) or any(self.bundle.tasks[number].made_progress for number in self.members)

    def idle_for(self) -> float:
        """Seconds since all tasks were first seen to have ended."""
        if self.idle_since is None:
            self.idle_since = time.monotonic()
        return time.monotonic() - self.idle_since

    def started_again(self, job: slurm.QueuedJob) -> str | None:
        """What the user should know of a job that SLURM has taken off its node and started again."""
        if job.state != "RUNNING":
            return None
        before, self.runs = self.runs, (job.node, job.began)
        if before in (None, self.runs):
            return None
        return f"SLURM started job {job.number} again on {job.node}: it goes on from its checkpoints"

    def new_reason(self, job: slurm.QueuedJob) -> bool:
        """Whether a job waits for a reason that may last and that the user has not read."""
        if not job.waits or job.could_not_start:
            return False
        kind = job.reason.split(",")[0]  # names of nodes may follow, and change
        long = self.submitted is not None and time.monotonic() - self.submitted > DAY
        if kind in self.explained or (kind in slurm.ORDINARY and not long):
            return False
        self.explained.add(kind)
        return True


def explain_waiting(active: Mapping[str, Submission], queue: Mapping[str, slurm.QueuedJob]) -> list[str]:
    """Why jobs wait, once for each job, if that may not end by itself or has lasted long."""
    held: dict[str, list[str]] = {}
    for name, submission in active.items():
        job = queue.get(name)
        if job is not None and submission.new_reason(job):
            held.setdefault(job.reason, []).append(f"{name} (job {job.number})")
    return [f"SLURM does not start {', '.join(jobs)}: {reason}" for reason, jobs in held.items()]
