"""SLURM's commands: what its queue holds, submit, cancel, and start elsewhere what a broken node did not start.

Snakemake's side is in ``executor``; nothing here knows of it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

GONE = "gone"  # SLURM no longer knows the job
# A job in one of these states has ended; SLURM starts it again by itself from none of them.
ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
    "TIMEOUT", GONE,
}  # fmt: skip
# Ended for no fault of its tasks: they go on in another job as long as they make progress.
INTERRUPTED = {"BOOT_FAIL", "DEADLINE", "NODE_FAIL", "PREEMPTED", "TIMEOUT", "FAILED", "COMPLETED", GONE}
WAITING = {"PENDING", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
# Why jobs wait on any day; what else SLURM says may last until someone does something about it.
ORDINARY = {"None", "Priority", "Resources", "BeginTime", "Prolog", "Cleaning"}
# In what SLURM says when it may well take the same command later: it is away, or holds as many jobs as it may.
TEMPORARY = (
    "unable to contact", "timed out", "connection", "zero bytes", "communication", "temporarily", "standby",
    "munge", "authentication", "submitjob",
)  # fmt: skip


class Unreachable(Exception):
    """SLURM did not answer, nothing is known about its jobs; or it cannot do now what it was asked."""


class Refused(Exception):
    """SLURM does not do what it was asked."""


@dataclass
class QueuedJob:
    """A job that SLURM knows."""

    number: str
    state: str
    reason: str

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
    lines = run(["squeue", "--me", "--states=all", "--noheader", "--format=%A|%T|%r|%j"]).splitlines()
    known: dict[str, QueuedJob] = {}
    for line in lines:
        number, state, reason, name = (*line.strip().split("|", 3), "", "", "")[:4]
        # sbatch may have failed and reached SLURM all the same; of two jobs the one that lives counts.
        if name not in known or known[name].over:
            known[name] = QueuedJob(number, state, reason)
    return known


def sbatch_command(name: str, log: Path, comment: str, resources: Mapping[str, Any], threads: int) -> str:
    """The command that submits a job, from the resources that Snakemake's own executor for SLURM knows.

    Raises:
        WorkflowError: a resource is not written as SLURM wants it.
    """
    account, partition = resources.get("slurm_account"), resources.get("slurm_partition")
    like = SimpleNamespace(resources=Resources(resources), threads=threads)
    call = get_submit_command(
        like,
        {
            "run_uuid": name,
            "slurm_logfile": log,
            "comment_str": comment,
            "account": f"--account={account}" if account else "",
            "partition": f"--partition={partition}" if partition else "",
            "workdir": Path.cwd(),
        },
        SimpleNamespace(requeue=True, no_requeue=False, qos=None, reservation=None),
    )
    return f"{call} {set_gres_string(like)} --open-mode=append"


class Resources(dict):
    """A job's resources, to be had by key and as attributes."""

    __getattr__ = dict.__getitem__


def submit(command: str, script: str) -> str:
    """Submit a script; the number of the job."""
    return run(["bash", "-c", command], script).strip().split(";")[0]


def scancel(name: str) -> None:
    """Cancel the job of a name, if there is one."""
    run(["scancel", "--me", f"--name={name}"])


def at_most_a_node(mem_mb: int, partition: str | None) -> int:
    """Memory to ask for: not more than any node has, which SLURM would refuse."""
    options = [f"--partition={partition}"] if partition else []
    try:
        nodes = [int(line.strip("+ ")) for line in run(["sinfo", "-h", "-o", "%m", *options]).splitlines()]
    except (Refused, ValueError):
        return mem_mb
    return min(mem_mb, max(nodes, default=mem_mb))


def start_elsewhere(number: str, failures: int) -> list[str]:
    """Let a job go on waiting that SLURM could not start on its node (a full disk, say) and holds since.

    SLURM does not say which node that was, and would take the same one again. It takes the first that is free, so
    with each failure one more of these is excluded.

    Returns:
        The nodes that it will not take.
    """
    free = list(dict.fromkeys(run(["sinfo", "-h", "--Node", "--states=idle,mixed", "--format=%N"]).split()))
    excluded = free[:failures]
    if len(excluded) == len(free):
        excluded = []  # none would be left
    run(["scontrol", "update", f"JobId={number}", f"ExcNodeList={','.join(excluded)}"])
    run(["scontrol", "release", number])
    return excluded


def run(command: list[str], stdin: str = "") -> str:
    """The output of one of SLURM's commands.

    Raises:
        Unreachable: the controller did not answer, or says that it cannot do this now.
        Refused: it does not do this.
    """
    # What a user likes to see of the queue (SQUEUE_PARTITION, say) must not hide jobs from us.
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("SQUEUE_", "SINFO_", "SCANCEL_"))
    }
    try:
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
            timeout=60,
            env=environment,
            # Ctrl-C is for Snakemake; an sbatch that it ends may have submitted its job or not.
            start_new_session=True,
        ).stdout
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{command[0]} took more than {error.timeout:.0f} s") from error
    except OSError as error:
        raise Unreachable(f"{command[0]} cannot be run: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip() or f"{command[0]} ended with status {error.returncode}"
        # A queue that is not shown tells nothing, whatever the reason.
        unknown = command[0] == "squeue" or error.returncode < 0
        later = unknown or any(word in said.lower() for word in TEMPORARY)
        raise (Unreachable if later else Refused)(said) from error
