"""Run snakemake as often as standard input asks, each time in a fork of this process, which has imported it.

A line is a run as JSON: ``arguments``, ``folder``, ``environment`` and the file for ``output``. The answer is a line with
the exit status.
"""

import json
import os
import sys

import pandas  # noqa: F401  snakemake imports these later
import pydantic  # noqa: F401
import requests  # noqa: F401
import smart_open  # noqa: F401
import snakemake.report.html_reporter  # noqa: F401
from snakemake.cli import main

for line in sys.stdin:
    run = json.loads(line)
    process = os.fork()
    if process == 0:
        os.chdir(run["folder"])
        os.environ.clear()
        os.environ.update(run["environment"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        output = os.open(run["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.path[0] = run["folder"]
        sys.argv = ["snakemake", *run["arguments"]]
        main()
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
