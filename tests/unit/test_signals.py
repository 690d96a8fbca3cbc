"""Signals that tests send reach the programs that they start, whatever started the tests."""

import signal
import subprocess
import sys
from pathlib import Path

from rethinking.run.code import SCRIPTS

PROGRAM = """
import signal, subprocess, sys
import tests.conftest
with subprocess.Popen(["sleep", "20"]) as program:
    program.send_signal(signal.SIGINT)
    sys.exit(program.wait() != -signal.SIGINT)
"""


def test_also_where_the_shell_lets_tests_ignore_ctrl_c():
    """As in ``sh -c 'pytest &'``."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": str(SCRIPTS)},
    )
    assert done.returncode == 0
