"""Submitting to SLURM: the command for a job's resources, and what its refusal means for the user."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import slurm

NODE = ("mem_mb", "mem_mb_per_cpu", "cpus_per_task", "gpu", "gpu_model", "gres", "nodes", "constraint")
# What sbatch says of jobs that it will never take, with the resources that it may be about. What is not listed here
# may pass by itself: the controller is away, the disk of its state is full, the user has too many jobs in the queue.
PERMANENT = [
    (r"invalid partition|no partition specified|not in this partition", ["slurm_partition"]),
    (r"not permitted to use this partition", ["slurm_partition", "slurm_account", "qos"]),
    (r"access/permission denied", ["slurm_partition", "slurm_account"]),
    (r"invalid account", ["slurm_account", "slurm_partition"]),
    (r"invalid qos|requested qos", ["qos"]),
    (r"node configuration is not available", NODE),
    (r"(memory|cpu count) .*can not be satisfied|memory required|memory spec|--mem", NODE[:3]),
    (r"mutually exclusive", NODE[:2]),
    (r"(max|min|grp)mem", NODE[:2]),
    (r"processors requested|cpu count|cpus per task|(max|min|grp)cpus?(?!\w*minutes)", ["cpus_per_task"]),
    (r"\(gres\)|gres option|\(tres\)|--gres|--gpus|gres (type|specification)|(max|min|grp)(gres|tres)(?!\w*minutes)", ["gpu", "gpu_model", "gres"]),
    (r"grp\w*run\w*minutes", ["runtime", "cpus_per_task", "gpu"]),  # of all that run at a time
    (r"time limit|--time|maxwall|max\w*minutes|partitiontimelimit", ["runtime"]),
    (r"feature specification|--constraint", ["constraint"]),
    (r"node count|number of nodes|(max|min|grp)node|task count|more tasks|number of tasks", ["nodes", "tasks"]),
    (r"invalid node name|(invalid|unknown) (license|wckey|cluster|core)|reservation is invalid|requested reservation", ["slurm_extra"]),
    (r"unrecognized option|invalid option|ambiguous|requires an argument|try .sbatch --help", ["slurm_extra"]),
    (r"(invalid|bad) --", ["slurm_extra"]),
]  # fmt: skip
# Limits on how many jobs are in the queue, in messages that speak of other limits as well.
TEMPORARY = r"submitjob|jobslimit|(max|grp)jobs|not available now"
# An allocation that is used up: minutes of processors, GPUs or jobs that an account or QOS may use in all.
USED_UP = r"grp(?!\w*run)\w*(minutes|wall)"
# What sbatch says of each limit of an account or QOS, whichever it is.
ANY_LIMIT = "(job submit limit, user's size and/or time limits)"
# The variables of sbatch that a resource of the profile wins over.
OVERRIDDEN = {
    "slurm_partition": "PARTITION", "slurm_account": "ACCOUNT", "runtime": "TIMELIMIT", "constraint": "CONSTRAINT",
    "qos": "QOS", "mem_mb": "MEM_PER_NODE", "gres": "GRES", "gpu": "GPUS",
}  # fmt: skip
# GPUs in a list of generic resources: 'gpu', 'gpu:2', 'gpu:a100:2'.
GRES_GPUS = re.compile(r"(?<![^,])((?:gres[:/])?gpu(?::[^,:]+)??)(?::(\d+))?(?![^,])")

# Resources of which a job can ask for a multiple, and the options that say how much.
COUNTED = {"gpu": ("--gpus", "--gpus-per-node"), "mem_mb": ("--mem",), "cpus_per_task": ("--cpus-per-task",)}


class Refused(Exception):
    """SLURM will never take the job; the message names the setting."""


def partition(resources: Mapping[str, Any]) -> str | None:
    """The partition that a job asks for; one in ``slurm_extra`` wins."""
    further = re.findall(r"(?<!\S)(?:-p|--partition[=\s])\s*(\S+)", resources.get("slurm_extra") or "")
    return further[-1] if further else resources.get("slurm_partition")


def gpus(resources: Mapping[str, Any]) -> int:
    """The GPUs that a job asks for on a node, by ``gpu``, ``gpu_model`` or ``gres``."""
    listed = sum(int(count or 1) for _, count in GRES_GPUS.findall(resources.get("gres") or ""))
    return resources.get("gpu") or listed or int(bool(resources.get("gpu_model")))


def times(resources: dict[str, Any], factor: int) -> None:
    """Ask for so many times as many GPUs and as much memory on a node."""
    if resources.get("gres"):
        resources["gres"] = GRES_GPUS.sub(lambda gpu: f"{gpu[1]}:{int(gpu[2] or 1) * factor}", resources["gres"])
    if resources.get("gpu") or resources.get("gpu_model"):
        resources["gpu"] = (resources.get("gpu") or 1) * factor
    if resources.get("mem_mb"):
        resources["mem_mb"] *= factor


def command(name: str, log: Path, comment: str, resources: Mapping[str, Any], threads: int) -> list[str]:
    """The command that submits a script, from the resources of Snakemake's own executor for SLURM.

    Raises:
        Refused: ``slurm_extra`` cannot be read or asks for an array.
    """
    get = resources.get
    gpu_model, gpu = get("gpu_model"), get("gpu") or int(bool(get("gpu_model")))
    on_gpus = get("gpu") or "gpu" in (get("gres") or "")
    spread = (get("nodes") or 1) > 1  # a task, with all of its GPUs, is then what runs on one node
    cpus = get("cpus_per_task") or threads  # below zero: the cluster wants none (in partitions of GPUs, say)
    options = {
        # SLURM replaces what begins with % (%j by the number of the job), also in the working folder before a relative path.
        "output": str(log.absolute()).replace("%", "%%"),
        "comment": comment,
        "account": get("slurm_account"),
        "partition": get("slurm_partition"),
        "time": get("runtime"),
        "constraint": get("constraint"),
        "qos": get("qos"),
        "mem-per-cpu": get("mem_mb_per_cpu"),
        "mem": None if get("mem_mb_per_cpu") else get("mem_mb"),
        "nodes": get("nodes"),
        "gres": get("gres"),
        "gpus-per-node" if spread else "gpus": f"{gpu_model}:{gpu}" if gpu_model else gpu,
        "ntasks-per-node": 1 if spread else None,
        # With GPUs some clusters take no number of tasks that nobody asked for.
        "ntasks-per-gpu" if on_gpus else "ntasks": get("tasks") or (None if on_gpus or spread else 1),
        "cpus-per-gpu": get("cpus_per_gpu") if on_gpus and not get("cpus_per_task") else None,
    }
    if not options["cpus-per-gpu"] and cpus > 0:
        options["cpus-per-task"] = cpus
    chosen = [f"--{key}={value}" for key, value in options.items() if value not in (None, "", 0)]
    fixed = ["--parsable", "--export=ALL", "--requeue", "--open-mode=append", f"--chdir={Path.cwd()}"]
    try:
        further = shlex.split(get("slurm_extra") or "")
    except ValueError as error:
        raise Refused(f"slurm_extra is no list of options ({error}): {get('slurm_extra')}") from error
    if any(re.match("-a|--ar", word) for word in further):
        raise Refused(
            f"slurm_extra asks for an array of jobs, each of which would train the same: {get('slurm_extra')}"
        )
    # The last of two counts, and the job is known by its name.
    return ["sbatch", *fixed, *chosen, *further, f"--job-name={name}"]


def submit(command: list[str], script: str, resources: Mapping[str, Any]) -> str:
    """Submit a script; the number of the job.

    Raises:
        Refused: SLURM will never take it.
        Unreachable: it did not take it this time, or took it and did not say so.
    """
    try:
        # The last line; wrappers say more before it. Without a number the job is found by its name.
        found = re.search(r"(\d+)(?:;.*)?\s*$", slurm.run(command, script, environment()))
        return found[1] if found else ""
    except slurm.Unreachable as error:
        said, reason = str(error), reason_of(str(error))
        found = [each for pattern, names in PERMANENT if re.search(pattern, reason, re.I) for each in names]
        if re.search(USED_UP, reason, re.I) or (not found and "violates accounting" in reason):
            found = ["slurm_account", "qos"]
        if not found or re.search(TEMPORARY, reason, re.I):
            raise
        if re.search(USED_UP, reason, re.I):
            said += "\nThe allocation of your account or QOS is used up."
        correct = advice(list(dict.fromkeys(found)), resources, command)
        raise Refused(f"sbatch refused: {said}\n{correct}\n    {shlex.join(command)}") from error


def reason_of(said: str) -> str:
    """Why sbatch failed: what follows its own words for that, and the name of a limit; a site can print anything before."""
    failed = re.search("Batch job submission failed: (.*)", said)
    limits = re.findall(r"^sbatch: error: (\w+)$", said, re.MULTILINE)
    return (" ".join([failed[1], *limits]) if failed else said).replace(ANY_LIMIT, "")


def environment() -> dict[str, str]:
    """What a job takes over.

    Where Snakemake is in a job itself, that one's memory and tasks would stay beside those of the new one and end its
    srun. What finds SLURM and proves who the user is stays.
    """
    inside = "SLURM_JOB_ID" in os.environ
    return {k: v for k, v in os.environ.items() if not (inside and re.match("SLURM_(?!(CONF|JWT)$)", k))}


def advice(names: list[str], resources: Mapping[str, Any], command: Sequence[str]) -> str:
    """What to correct: the resources that are set, and the variables of sbatch that still count.

    A job of several workers or cells asks for more than one resource says, so the command's own numbers are shown.
    """
    given = {name for name, value in resources.items() if value not in (None, "", 0)}
    if "mem_mb_per_cpu" in given:
        given.discard("mem_mb")  # which it replaces
    won = {f"SBATCH_{variable}" for name, variable in OVERRIDDEN.items() if name in given}
    at_fault = [name for name in names if name in given] or names[:1]
    if "slurm_extra" in given and "slurm_extra" not in at_fault:
        at_fault.append("slurm_extra")  # where any option can stand
    asked = dict(word.split("=", 1) for word in command if re.match("--[a-z-]+=", word))
    now = {name: asked[option] for name, options in COUNTED.items() for option in options if option in asked}
    named = [f"{name} (now {now.get(name, resources[name])})" if name in given else name for name in at_fault]
    workers = ", or hardware.workers of the configuration" if resources.get("workers", 1) > 1 else ""
    lines = [f"Correct {', '.join(named)} of this rule in the profile{workers}"]
    variables = [
        f"{key}={value}"
        for key, value in sorted(environment().items())
        if re.match(r"SBATCH_|SLURM_MEM_PER_", key) and key not in won
    ]
    if variables:
        lines.append(f"or what is set in your environment: {', '.join(variables)}")
    return f"{' '.join(lines)}. It is not tried again."
