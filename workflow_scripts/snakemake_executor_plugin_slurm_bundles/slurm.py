"""SLURM's commands: what its queue holds, cancel, and start elsewhere what a broken node did not start.

Snakemake's side is in ``executor``; nothing here knows of it.
"""

import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

GONE = "gone"  # SLURM no longer knows the job
# A job in one of these states has ended; SLURM starts it again by itself from none of them.
ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
    "TIMEOUT", GONE,
}  # fmt: skip
# Ended for no fault of its tasks: they go on in another job as long as they make progress.
INTERRUPTED = ENDED - {"CANCELLED", "OUT_OF_MEMORY"}
WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
# Why jobs wait on any day; what else SLURM says may last until someone does something about it.
ORDINARY = {"None", "Priority", "Resources", "BeginTime", "Prolog", "Cleaning"}
# How long one command may take.
TIMEOUT_SECONDS = 20
CANCELLED_AT_A_TIME = 500  # by one command


class Unreachable(Exception):
    """SLURM did not do what it was asked, and may well do it later."""


@dataclass
class QueuedJob:
    """A job that SLURM knows."""

    number: str
    state: str
    reason: str
    node: str = ""
    began: str = ""  # when it was last started, in SLURM's own words; only good for comparing

    @property
    def over(self) -> bool:
        """Whether it has ended for good."""
        return self.state in ENDED

    @property
    def could_not_start(self) -> bool:
        """Whether SLURM holds it, since it could not start it on the node that it had chosen."""
        return "launch failed requeued held" in self.reason.lower()

    @property
    def waits(self) -> bool:
        """Whether it has not begun, or is to begin again."""
        return self.state in WAITING


def queue() -> dict[str, QueuedJob]:
    """This user's jobs, by name."""
    # The name comes last: those of other jobs may hold anything.
    lines = run(["squeue", "--me", "--states=all", "--noheader", "--format=%A|%T|%N|%S|%r|%j"]).splitlines()
    known: dict[str, QueuedJob] = {}
    for line in lines:
        number, state, node, began, reason, name = (*line.strip().split("|", 5), *[""] * 5)[:6]
        # sbatch may have failed and reached SLURM all the same; of two jobs the one that lives counts.
        if name not in known or known[name].over:
            known[name] = QueuedJob(number, state, reason, node, began)
    return known


def hidden(number: str, name: str) -> bool:
    """Whether SLURM has a job that the queue does not show.

    Where squeue is late, or fails without a word, a second job would only wait for the cells of the first.

    Raises:
        Unreachable: SLURM does not say.
    """
    try:
        # Without a number, as after a restart, these are all jobs.
        jobs = run(["scontrol", "show", "job", number])
    except Unreachable as error:
        if "invalid job id" in str(error).lower():
            return False
        raise
    found = re.findall(r"JobName=(\S+)[\s\S]*?JobState=(\w+)", jobs)
    return any(each == name and state not in ENDED for each, state in found)


def scancel(numbers: Sequence[str] = (), names: Iterable[str] = ()) -> None:
    """Cancel jobs by their numbers or names; no error if one has ended or there is none.

    Raises:
        Unreachable: some may not be cancelled; all were tried.
    """
    steps = range(0, len(numbers), CANCELLED_AT_A_TIME)
    failed = None
    # With --me an ended job is an error also where --quiet is given.
    for which in (
        *(numbers[start : start + CANCELLED_AT_A_TIME] for start in steps),
        *(["--me", f"--name={name}"] for name in names),
    ):
        try:
            run(["scancel", "--quiet", *which])
        except Unreachable as error:
            failed = error
    if failed:
        raise failed


def memory_of_nodes(partition: str | None) -> int | None:
    """Memory of the largest node, in MB; SLURM would refuse more. None if it is not known."""
    sizes = [size.strip("+") for size in of_partition(partition, "%m")]
    return max((int(size) for size in sizes if size.isdigit()), default=None)


def longest_minutes(partition: str | None) -> int | None:
    """The time limit of a partition, which a job with a longer one would never start in; None if there is none."""
    limits = [minutes(limit) for limit in of_partition(partition, "%l")]
    return None if None in limits else max(limits, default=None)


def minutes(limit: str) -> int | None:
    """A time limit as sinfo writes it (``1-12:00:00``, ``30:00``); None for ``infinite``."""
    if not (found := re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+):\d+", limit)):
        return None
    days, hours, minute = (int(part or 0) for part in found.groups())
    return (24 * days + hours) * 60 + minute


def idle_nodes(partition: str | None) -> int:
    """How many nodes of a partition have nothing to do; 0 if SLURM does not say."""
    try:
        return sum(map(int, of_partition(partition, "%D", "--states=idle")))
    except (Unreachable, ValueError):
        return 0


def of_partition(partition: str | None, what: str, *options: str) -> list[str]:
    """What sinfo says of a partition, of several (``a,b``), of the default one, or of all if there is none."""
    lines = run(["sinfo", "-h", *options, "-o", f"%P {what}"]).splitlines()
    rows = [row for line in lines if len(row := line.split()) > 1]
    asked = partition or os.environ.get("SBATCH_PARTITION")
    if asked:
        return [row[1] for row in rows if row[0].rstrip("*") in asked.split(",")]
    return [row[1] for row in rows if row[0].endswith("*")] or [row[1] for row in rows]


def excluded_nodes(number: str) -> list[str]:
    """The nodes that a job must not take."""
    found = re.search(r"ExcNodeList=(?!\(null\))(\S+)", run(["scontrol", "show", "job", number]))
    return run(["scontrol", "show", "hostnames", found[1]]).split() if found else []


def start_elsewhere(number: str, partition: str | None, excluded: list[str], failures: int) -> list[str]:
    """Let a job go on waiting that SLURM could not start on its node (a full disk, say) and holds since.

    SLURM does not say which node that was, and would take the same one again. It takes the first of its partition that
    is free, so with each failure one more of these is excluded, besides those that the user excludes; when none would
    be left, all are tried again.

    Returns:
        The nodes that it will not take either.
    """
    nodes = dict.fromkeys(of_partition(partition, "%N", "--Node", "--states=idle,mixed"))
    free = [node for node in nodes if node not in excluded]
    suspects = free[: failures % max(1, len(free))]
    run(["scontrol", "update", f"JobId={number}", f"ExcNodeList={','.join(excluded + suspects)}"])
    run(["scontrol", "release", number])
    return suspects


def run(command: list[str], stdin: str = "", environment: Mapping[str, str] | None = None) -> str:
    """The output of one of SLURM's commands.

    Raises:
        Unreachable: it failed, for whatever reason, or took too long.
    """
    # What a user likes to see of the queue (SQUEUE_PARTITION, say) must not hide jobs from us, and when a job began
    # must not change its words from day to day.
    hiding = ("SQUEUE_", "SINFO_", "SCANCEL_", "SLURM_TIME_FORMAT")
    environment = environment or {k: v for k, v in os.environ.items() if not k.startswith(hiding)}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    try:
        # Ctrl-C is for Snakemake; an sbatch that it ends may have submitted its job or not.
        with subprocess.Popen(
            command, **pipes, encoding="utf-8", errors="replace", env=environment, start_new_session=True
        ) as process:
            try:
                output, errors = process.communicate(stdin, TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired as late:
                # With what it has started: on many clusters the commands are wrappers.
                os.killpg(process.pid, signal.SIGKILL)
                said = (late.stderr or b"").decode(errors="replace").strip()
                raise Unreachable(
                    f"{command[0]} took more than {TIMEOUT_SECONDS} s{said and f' and said: {said}'}"
                ) from None
    except OSError as error:
        raise Unreachable(f"{command[0]} cannot be run: {error.strerror}") from error
    if process.returncode:
        raise Unreachable(errors.strip() or f"{command[0]} ended with status {process.returncode}")
    return output
