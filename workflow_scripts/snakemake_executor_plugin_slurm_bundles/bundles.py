"""Bundles: several jobs of the workflow in one job of a cluster.

A bundle is a folder on the file system that login and compute nodes share:

- ``bundle.json``: its tasks, largest first, how many run side by side and for how long new ones may begin;
- ``<task>.exit``: the exit status of a task that has ended by itself, written by the compute node;
- ``log``: what the bundle did, from all attempts.

A Snakemake that submitted a bundle may die; the next one reads from the folder how far the bundle got.
"""

import heapq
import json
import os
import signal
import tempfile
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

AGAIN = ":again"  # the end of the parameter 'record' of a job that the user forces
ROOM = 1 << 14  # bytes; more than the end of a task takes


@dataclass(eq=False)  # jobs can be alike
class Task:
    """One job of the workflow."""

    name: str  # what the user calls it
    command: str  # for the shell
    identity: str  # what its files depend on besides the command; another identity asks for other files
    cost: float = 1.0  # arithmetic, in any unit; decides the order
    benchmark: str | None = None  # where its run time goes
    checkpoint: str | None = None  # what it resumes from; a new one shows that the task makes progress
    output: list[str] = field(default_factory=list)
    reads_new: bool = False  # it reads what this run makes: an earlier job may have read what was there before
    made: bool = False  # an earlier job has made its files, and what it said in the log stays
    before: list[int] | None = None  # the checkpoint when the bundle was written, see `mark`

    @property
    def made_progress(self) -> bool:
        """Whether it has written a checkpoint, or is done with it, since its bundle was written."""
        return mark(self.checkpoint) != self.before


@dataclass
class Bundle:
    """Tasks that one job of the cluster works off.

    Args:
        folder: where the bundle lies; its name is the name of the job.
        tasks: in the order in which they begin.
        side_by_side: how many run at a time.
        minutes: none begins that would probably end later than this; 0 sets no limit.
        prefix: what the shell needs before each command.
    """

    folder: Path
    tasks: list[Task]
    side_by_side: int = 1
    minutes: float = 0
    prefix: str = ""

    @property
    def name(self) -> str:
        """The name of its job in the queue."""
        return self.folder.name

    @property
    def log(self) -> Path:
        """The file that tells what it did."""
        return self.folder / "log"

    def write(self) -> None:
        """Write the tasks and how to run them; exit statuses have files of their own."""
        values = {key: value for key, value in asdict(self).items() if key != "folder"}
        write(self.folder / "bundle.json", json.dumps(values, indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a bundle; one whose ``bundle.json`` is damaged has no tasks.

        What another version notes besides is left out: its jobs may still run.
        """
        try:
            values = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
            tasks = [Task(**known(Task, task)) for task in values.pop("tasks")]
            return cls(folder, tasks, **known(cls, values))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls(folder, [])

    def status(self, number: int) -> int | None:
        """The exit status of a task, None while it has none."""
        # A file without a number counts as if the task had not ended.
        with suppress(FileNotFoundError, ValueError):
            return int((self.folder / f"{number}.exit").read_text())
        return None

    def ended(self, among: Iterable[int] | None = None) -> dict[int, int]:
        """The exit statuses of the tasks that have ended, by number; of all, or of some."""
        names: set[str] = set()
        with suppress(FileNotFoundError):
            # On a network file system one look at the folder is faster than one for each file that is not there yet.
            names.update(os.listdir(self.folder))
        return {
            number: status
            for number in (range(len(self.tasks)) if among is None else sorted(among))
            if f"{number}.exit" in names and (status := self.status(number)) is not None
        }

    def note_end(self, number: int, status: int) -> None:
        """Note the exit status of a task."""
        write(self.folder / f"{number}.exit", f"{status}\n")

    def remove(self, keep_log: bool = False) -> None:
        """Delete the bundle. Its log stays if it is to be kept or a task failed."""
        failed = any(self.ended().values())
        names = ("bundle.json", "*.exit") if failed or keep_log else ("*",)
        for path in [path for name in names for path in self.folder.glob(name)]:
            path.unlink(missing_ok=True)
        # A network file system keeps files that another node still has open.
        with suppress(OSError):
            self.folder.rmdir()


def known(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Those of some values that a dataclass has fields for."""
    return {each.name: values[each.name] for each in fields(kind) if each.name in values}


def new_folder(parent: Path) -> Path:
    """A name for a bundle that no other has."""
    return parent / f"cells-{uuid.uuid4().hex[:12]}"


def divide(tasks: Sequence[Task], most: int, idle: int = 0) -> list[list[Task]]:
    """As few groups as hold at most ``most`` tasks each, or one for each of ``idle`` nodes where these are more.

    All have about the same cost, and each has its largest task first.
    """
    groups: list[list[Task]] = [[] for _ in range(max(-(-len(tasks) // most), min(len(tasks), idle)))]
    cheapest = [(0.0, 0, place) for place in range(len(groups))]  # of those with room: cost, tasks, which
    for task in sorted(tasks, key=lambda task: -task.cost):
        cost, count, place = heapq.heappop(cheapest)
        groups[place].append(task)
        if count + 1 < most:
            heapq.heappush(cheapest, (cost + task.cost, count + 1, place))
    return groups


def find_bundles(parent: Path) -> list[Bundle]:
    """All bundles that lie in a folder. One whose writer was killed has no ``bundle.json`` and does not count."""
    return [Bundle.read(file.parent) for file in sorted(parent.glob("*/bundle.json"))]


def mark(path: str | None) -> list[int] | None:
    """What changes when a file is written again: its time by its server's clock, size and inode.

    None for no file, or one that cannot be opened: what wants to read it will say why.
    """
    try:
        # A network file system looks again when a file is opened.
        file = os.open(path or "", os.O_RDONLY)  # or a folder
    except OSError:
        return None
    try:
        found = os.fstat(file)
    finally:
        os.close(file)
    return [found.st_mtime_ns, found.st_size, found.st_ino]


def write(path: Path, text: str) -> None:
    """Write a file that is whole or absent, on the disk before it has its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_room(folder: Path) -> None:
    """See whether a compute node could note that a task has ended.

    Raises:
        OSError: it could not; the disk is full, say.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(ROOM))
        file.flush()
        os.fsync(file.fileno())


def how_it_ended(status: int) -> str:
    """The exit status of a task in words; below zero it is a signal."""
    if status >= 0:
        return f"ended with status {status}"
    cause = " (by SLURM or the kernel if it took too much memory)" if status == -signal.SIGKILL else ""
    return f"was killed by {signal_name(-status)}{cause}"


def signal_name(number: int) -> str:
    """SIGTERM, say; those for real time have a number alone."""
    return next((each.name for each in signal.Signals if each == number), f"signal {number}")
