"""Snakemake's executor for SLURM that puts several cells into one job: ``snakemake --executor slurm-bundles``.

It can be used in any workflow whose jobs on the cluster are shell commands (``shell:``) in the environment of Snakemake
itself: no groups, ``script:``, ``run:``, conda or containers, which it refuses. From a rule it reads the resources
``bundle_cost`` (arithmetic of the job in any unit; 0 or none: the job stays alone), ``gpu`` or the GPUs of ``gres`` and
``cells_per_gpu`` (jobs side by side), ``workers`` (processes of one job, each of which takes these GPUs and ``mem_mb``,
spread over ``nodes``), and the parameters ``checkpoint`` and ``record``. A record says what the files of a job are made
from, and stands in its command; as inputs a job with a record has only files that this run makes. Bundles lie below
``RESULTS`` where the Snakefile has such a variable.

Snakemake takes for an executor what it finds in a package of such a name. Compute nodes need the runner alone, so
that nothing here imports Snakemake before it is asked for.
"""

import sys
from typing import Any

from .command_line import check_command_line

check_command_line(sys.argv)


def __getattr__(name: str) -> Any:
    if name not in ("Executor", "ExecutorSettings", "common_settings"):
        raise AttributeError(name)
    from . import executor

    return getattr(executor, name)
