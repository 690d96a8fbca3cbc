"""What an earlier Snakemake left: jobs that still run, and are taken over or stopped."""

import os
from collections.abc import Callable, Mapping, Set
from pathlib import Path

from . import slurm
from .bundles import AGAIN, Bundle, Task, find_bundles


class Earlier:
    """The bundles in a folder.

    Args:
        folder: where bundles lie.
        say: takes a line for the user.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.say = say
        self.bundles = find_bundles(folder)
        # Output files -> the tasks that make them.
        self.tasks: dict[tuple[str, ...], list[tuple[Bundle, int]]] = {}
        for bundle in self.bundles:
            for number, task in enumerate(bundle.tasks):
                self.tasks.setdefault(tuple(task.output), []).append((bundle, number))
        self.cancelled: set[str] = set()

    def take(self, task: Task, queue: Mapping[str, slurm.QueuedJob]) -> tuple[Bundle, int] | None:
        """A task of a job in the queue that is still to make what this one asks for, by its bundle and number.

        All that make the same files from other settings, code or data, or from inputs that this run has made again, are
        stopped. What has ended plays no part: its files are there and not asked for, or made again.

        Raises:
            Unreachable: what must not run is not cancelled yet.
        """
        found = None
        for bundle, number in self.tasks.get(tuple(task.output), ()):
            over = bundle.name not in queue or queue[bundle.name].over or bundle.status(number) is not None
            if over or bundle.name in self.cancelled:
                continue
            other = bundle.tasks[number]
            alike = what_it_makes(other) == what_it_makes(task)
            # What resumes goes on with what it has read before, in another job too.
            outdated = task.reads_new and not task.checkpoint
            # One that is not forced leaves alone what is there.
            if alike and not outdated and (AGAIN in other.command or AGAIN not in task.command):
                found = bundle, number
            else:
                why = "has other settings, code or data"
                if alike:
                    why = "may have read what was made again since" if outdated else "would keep what is there"
                self.cancel(bundle.name, f"{bundle.name} ({task.name}) {why}")
        return found

    def has_made(self, task: Task) -> bool:
        """Whether the files of a task that is not forced are there, and an earlier Snakemake's job made them."""
        # One that reads what this run has made will make them again.
        return (
            not task.reads_new
            and AGAIN not in task.command
            and any(
                what_it_makes(bundle.tasks[number]) == what_it_makes(task)
                and bundle.status(number) == 0
                and all(map(os.path.exists, task.output))
                for bundle, number in self.tasks.get(tuple(task.output), ())
            )
        )

    def stop_damaged(self, queue: Mapping[str, slurm.QueuedJob]) -> None:
        """Cancel jobs of bundles that cannot be read, so that what they train is not trained twice at a time.

        The cells write their checkpoints, and are submitted again where they are asked for.

        Raises:
            Unreachable: SLURM does not cancel them yet.
        """
        for name in {bundle.name for bundle in self.bundles if not bundle.tasks} - self.cancelled:
            if name in queue and not queue[name].over:
                self.cancel(name, f"bundle.json of {name} is damaged, so that nothing says what it does")

    def remove_ended(self, queue: Mapping[str, slurm.QueuedJob]) -> None:
        """Remove the bundles whose jobs are over."""
        for bundle in self.bundles:
            if bundle.name not in queue or queue[bundle.name].over:
                bundle.remove()

    def cancel(self, name: str, why: str) -> None:
        """Cancel a job."""
        slurm.scancel(names=[name])
        self.say(f"{why}; it is cancelled")
        self.cancelled.add(name)


def what_it_makes(task: Task) -> tuple[str, str]:
    """What a task's files depend on, whether or not the user forces it."""
    return task.identity, task.command.replace(AGAIN, "")


def why_wait(folder: Path, files: Set[str]) -> str | None:
    """Why a run without this executor must not make these files: SLURM may still have jobs that write them.

    Args:
        folder: where bundles lie.
        files: outputs, as Snakemake calls them.
    """
    left = [
        bundle
        for bundle in find_bundles(folder)
        # Nothing says what a damaged one does.
        if not bundle.tasks
        or any(bundle.status(n) is None and not files.isdisjoint(task.output) for n, task in enumerate(bundle.tasks))
    ]
    if not left:
        return None
    remedy = "Continue with the profile for SLURM, which takes them over, or cancel them:"
    try:
        queue = slurm.queue()
    except slurm.Unreachable as error:
        names = ", ".join(bundle.name for bundle in left)
        return (
            f"jobs of SLURM may be left that would write over what this run makes ({names}); SLURM does not "
            f"answer here ({error}). {remedy} 'scancel --me --name=NAME' for each, where it answers. Once they are gone, "
            f"delete their folders in {folder}"
        )
    jobs = {bundle.name: queue[bundle.name] for bundle in left if bundle.name in queue and not queue[bundle.name].over}
    if not jobs:
        return None
    return (
        f"jobs of SLURM are left that would write over what this run makes ({', '.join(jobs)}). {remedy} "
        f"scancel {' '.join(job.number for job in jobs.values())}"
    )
